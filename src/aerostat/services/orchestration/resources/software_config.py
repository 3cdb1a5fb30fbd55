"""Software configurations. https://docs.openstack.org/api-ref/orchestration/v1/#software-configuration"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.http import Request
from aerostat.kernel.http.paging import read_page
from aerostat.kernel.resource import Resource, route

from .. import model
from ..deployments import config_view
from ..errors import BadBody, EntityNotFound, InvalidRestrictedAction
from .scope import MEMBER, READER, own_project

_BASE = "/v1/{project_id}/software_configs"
_TEXT = {"type": "string"}
_BODY = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 255},
        "group": {"type": "string", "maxLength": 255},
        "config": {"type": ["string", "object", "null"]},
        "inputs": {"type": ["array", "null"], "items": {"type": "object", "required": ["name"]}},
        "outputs": {"type": ["array", "null"], "items": {"type": "object", "required": ["name"]}},
        "options": {"type": ["object", "null"]},
    },
}


class SoftwareConfigs(Resource):
    below_bases = False

    @route("POST", _BASE, policy="software_configs:create", default=MEMBER, body=_BODY)
    async def create(self, req: Request, project_id: str) -> dict[str, Any]:
        own_project(req, project_id)
        body = req.body
        if not body.get("name"):
            raise BadBody("name is required")
        row = await req.db.insert(
            model.SOFTWARE_CONFIGS,
            project_id=project_id,
            name=body["name"],
            group=body.get("group") or "Heat::Ungrouped",
            config=body.get("config") or "",
            inputs=body.get("inputs") or [],
            outputs=body.get("outputs") or [],
            options=body.get("options") or {},
        )
        return {"software_config": config_view(row)}

    @route("GET", _BASE, policy="software_configs:index", default=READER)
    async def list(self, req: Request, project_id: str) -> dict[str, Any]:
        own_project(req, project_id)
        conditions = [model.SOFTWARE_CONFIGS.c.project_id == project_id]
        page = await read_page(
            req, self.paging, model.SOFTWARE_CONFIGS, conditions, sortable={"name": "name"}
        )
        brief = ("id", "name", "group", "creation_time")
        views = [config_view(row) for row in page.rows]
        return {"software_configs": [{key: one[key] for key in brief} for one in views]}

    @route("GET", _BASE + "/{config_id}", policy="software_configs:show", default=READER)
    async def show(self, req: Request, project_id: str, config_id: str) -> dict[str, Any]:
        return {"software_config": config_view(await self._row(req, project_id, config_id))}

    @route("DELETE", _BASE + "/{config_id}", status=204, policy="software_configs:delete", default=MEMBER)
    async def delete(self, req: Request, project_id: str, config_id: str) -> None:
        row = await self._row(req, project_id, config_id)
        if await req.db.count(model.SOFTWARE_DEPLOYMENTS, config_id=row.id):
            raise InvalidRestrictedAction(
                f"Software config with id {row.id} can not be deleted as it is referenced."
            )
        await req.db.delete(model.SOFTWARE_CONFIGS, id=row.id)

    async def _row(self, req: Request, project_id: str, id: str) -> Row:
        own_project(req, project_id)
        row = await req.db.find(model.SOFTWARE_CONFIGS, id=id, project_id=project_id)
        if row is None:
            raise EntityNotFound(entity="Software config", name=id)
        return row
