"""Tasks: long work on images, as administrators and the owners of the images see it.

https://docs.openstack.org/api-ref/image/v2/#tasks. Clients that made an image ask for its tasks before they believe
that it is whole.
"""

from typing import Any

from sqlalchemy.sql import ColumnElement

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, MethodNotAllowed, NotFound
from aerostat.kernel.http import Page, Request, Response
from aerostat.kernel.http.paging import next_url, read_page
from aerostat.kernel.policy import Rule
from aerostat.kernel.resource import Resource, View, route

from .. import model
from ..errors import TaskNotFound
from ..stores import stores_of
from .image import Image
from .importing import start_import

_STATUSES = ("pending", "processing", "success", "failure")
_TYPES = ("import", "api_image_import", "location_import")
_SORTABLE = {name: name for name in ("id", "type", "status", "created_at", "updated_at", "expires_at")}
_CREATE = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["import"]},
        "input": {
            "type": "object",
            "properties": {
                "import_from": {"type": "string"},
                "import_from_format": {"type": "string"},
                "image_properties": {"type": "object"},
            },
            "required": ["import_from", "import_from_format", "image_properties"],
        },
    },
    "required": ["type", "input"],
}


class Task(Resource):
    table = model.TASKS
    extra_rules = (
        Rule(name="tasks_api_access", text="role:admin"),
        *(Rule(name=name, text="@") for name in ("get_task", "get_tasks", "add_task")),
    )

    @route("POST", "/tasks", policy="tasks_api_access", body=_CREATE)
    async def make(self, req: Request) -> Response:
        """An image of these properties, with the bytes from there."""
        given = req.body["input"]
        stores_of(req.house).check_uri(given["import_from"])
        properties = {"disk_format": given["import_from_format"], "container_format": "bare"}
        images = req.house.client("image", req.context)
        made = await images.create_image(**{**properties, **given["image_properties"]})
        image = await req.db.get(model.IMAGES, id=made["id"])
        body = {"method": {"name": "web-download", "uri": given["import_from"]}}
        task = await start_import(req, image, "import", body, [stores_of(req.house).default])
        await req.db.update(model.TASKS, {"id": task.id}, input=given)
        shown = self.shown({**task, "input": given})
        headers = {"Location": f"/v2/tasks/{task.id}"}
        return Response(shown, 201, headers, resource_id=task.id)

    @route("GET", "/tasks", policy="tasks_api_access")
    async def list_tasks(self, req: Request) -> dict[str, Any]:
        conditions: list[ColumnElement[bool]] = []
        for name, known in (("status", _STATUSES), ("type", _TYPES)):
            asked = req.argument(name)
            if asked is not None:
                if asked not in known:
                    raise BadRequest(f"Invalid {name} value: {asked}")
                conditions.append(model.TASKS.c[name] == asked)
        page = await read_page(req, self.paging, model.TASKS, conditions, sortable=_SORTABLE)
        return self._listed(req, page)

    @route("GET", "/tasks/{task_id}", policy="tasks_api_access")
    async def show_task(self, req: Request, task_id: str) -> View:
        row = await req.db.find(model.TASKS, id=task_id)
        if row is None:
            raise TaskNotFound(id=task_id)
        return self.shown(row)

    @route("DELETE", "/tasks/{task_id}", policy="tasks_api_access")
    async def refuse_to_delete(self, req: Request, task_id: str) -> None:
        error = MethodNotAllowed(
            "This operation is currently not permitted on Glance Tasks. They are auto deleted after reaching "
            "the time based on their expires_at property."
        )
        error.headers = {"Allow": "GET"}
        raise error

    @route("GET", "/images/{image_id}/tasks")
    async def list_of_image(self, req: Request, image_id: str) -> dict[str, Any]:
        kind = req.service.resource(Image)
        image = await kind.find(req, image_id)
        if not req.allows("get_image", kind.target(image)):
            raise NotFound()
        rows = await req.db.all(model.TASKS, {"image_id": image_id}, order="created_at")
        moment = self.service.time_format
        return {
            "tasks": [
                {
                    **{key: value for key, value in row.items() if not key.endswith("_at")},
                    **{name: moment(row[name]) if row[name] else None for name in _MOMENTS},
                    "deleted": False,
                    "deleted_at": None,
                }
                for row in rows
            ]
        }

    def shown(self, row: Row | dict[str, Any], *, brief: bool = False) -> View:
        names = _BRIEF if brief else _WHOLE
        moment = self.service.time_format
        shown: View = {
            name: row[name] for name in names if name in ("input", "result") or row[name] is not None
        }
        shown |= {name: moment(row[name]) for name in _MOMENTS if row[name] is not None}
        return {**shown, "self": f"/v2/tasks/{row['id']}", "schema": "/v2/schemas/task"}

    def _listed(self, req: Request, page: Page) -> dict[str, Any]:
        query = "&".join(
            part for part in req.query_string.split("&") if part and not part.startswith("marker=")
        )
        listed = {
            "tasks": [self.shown(row, brief=True) for row in page.rows],
            "first": f"/v2/tasks?{query}" if query else "/v2/tasks",
            "schema": "/v2/schemas/tasks",
        }
        if page.next_marker:
            listed["next"] = "/v2/tasks?" + next_url(req, page).partition("?")[2]
        return listed


_BRIEF = ("id", "type", "status", "owner")
_WHOLE = (*_BRIEF, "input", "result", "message", "image_id", "request_id", "user_id")
_MOMENTS = ("created_at", "updated_at", "expires_at")
