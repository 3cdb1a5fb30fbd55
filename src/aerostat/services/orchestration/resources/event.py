"""Events: what happened to a stack and its resources, in order.

https://docs.openstack.org/api-ref/orchestration/v1/#stack-events
"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.http import Request
from aerostat.kernel.http.paging import Order, read_page
from aerostat.kernel.resource import Resource, Views, route

from .. import model
from ..errors import EventNotFound
from ..nesting import nested_stacks, read_depth
from .scope import READER, find_stack, stack_url
from .views import link, shown_time

_STACK = "/v1/{project_id}/stacks/{stack_name}/{stack_id}"
_SORTABLE = {
    "event_time": "at",
    "created_at": "at",
    "logical_resource_id": "resource_name",
    "resource_name": "resource_name",
    "resource_type": "resource_type",
    "resource_status": "state",
}


class Event(Resource):
    below_bases = False

    @route("GET", _STACK + "/events", policy="events:index", default=READER)
    async def list(self, req: Request, project_id: str, stack_name: str, stack_id: str) -> dict[str, Any]:
        stack = await find_stack(req, project_id, stack_name, stack_id)
        stacks = {stack.id: stack}
        depth = read_depth(req)
        if depth:
            stacks |= {one.id: one for one in await nested_stacks(req.db, stack, depth)}
        return {"events": await self._events(req, stacks, None, stack if depth else None)}

    @route("GET", _STACK + "/resources/{resource_name}/events", policy="events:index")
    async def list_of_resource(
        self, req: Request, project_id: str, stack_name: str, stack_id: str, resource_name: str
    ) -> dict[str, Any]:
        stack = await find_stack(req, project_id, stack_name, stack_id)
        found = await self._events(req, {stack.id: stack}, resource_name, None)
        if not found and not req.query.get("marker"):
            raise EventNotFound(f"No events found for resource {resource_name}")
        return {"events": found}

    @route(
        "GET", _STACK + "/resources/{resource_name}/events/{event_id}", policy="events:show", default=READER
    )
    async def show(
        self, req: Request, project_id: str, stack_name: str, stack_id: str, resource_name: str, event_id: str
    ) -> dict[str, Any]:
        stack = await find_stack(req, project_id, stack_name, stack_id)
        row = await req.db.find(model.EVENTS, id=event_id)
        if row is None or row.stack_id != stack.id or row.resource_name != resource_name:
            raise EventNotFound(id=event_id)
        shown = _view(req, stack, row)
        return {
            "event": {
                **shown,
                "resource_type": row.resource_type,
                "resource_properties": row.properties or {},
            }
        }

    async def _events(
        self, req: Request, stacks: dict[str, Row], resource_name: str | None, root: Row | None
    ) -> Views:
        c = model.EVENTS.c
        conditions: Any = [c.stack_id.in_(list(stacks))]
        if resource_name is not None:
            conditions.append(c.resource_name == resource_name)
        for argument, column in (
            ("resource_name", c.resource_name),
            ("resource_type", c.resource_type),
        ):
            values = req.query.get(argument)
            if values:
                conditions.append(column.in_(values))
        for word in req.query.get("resource_status", []):
            conditions.append(c.state.like(f"%{word}"))
        for word in req.query.get("resource_action", []):
            conditions.append(c.state.like(f"{word}%"))
        page = await read_page(
            req, self.paging, model.EVENTS, conditions, sortable=_SORTABLE, default_order=(Order("id"),)
        )
        return [
            _view(
                req, stacks[row.stack_id], row, root if root is not None and row.stack_id != root.id else None
            )
            for row in page.rows
        ]


def _view(req: Request, stack: Row, row: Row, root: Row | None = None) -> dict[str, Any]:
    links = [
        link(stack_url(req, stack, "resources", row.resource_name, "events", row.id)),
        link(stack_url(req, stack, "resources", row.resource_name), "resource"),
        link(stack_url(req, stack), "stack"),
    ]
    if root is not None:
        links.append(link(stack_url(req, root), "root_stack"))
    return {
        "id": row.id,
        "links": links,
        "event_time": shown_time(row.at),
        "resource_name": row.resource_name,
        "logical_resource_id": row.resource_name,
        "physical_resource_id": row.physical_id or "",
        "resource_status": row.state,
        "resource_status_reason": row.reason,
    }
