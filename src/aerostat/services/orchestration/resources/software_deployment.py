"""Software deployments. https://docs.openstack.org/api-ref/orchestration/v1/#software-configuration"""

from typing import Any

from aerostat.kernel import clock
from aerostat.kernel.db import Row
from aerostat.kernel.http import Request
from aerostat.kernel.policy import role
from aerostat.kernel.resource import Resource, route

from .. import model
from ..deployments import deployment_view, server_metadata, wake_waiting
from ..errors import BadBody, EntityNotFound
from ..guest_accounts import GUEST_ROLE
from .scope import MEMBER, READER, own_project

_BASE = "/v1/{project_id}/software_deployments"
_ONE = _BASE + "/{deployment_id}"
_TEXT = {"type": ["string", "null"], "maxLength": 255}
_CHANGES = {
    "config_id": _TEXT,
    "input_values": {"type": ["object", "null"]},
    "output_values": {"type": ["object", "null"]},
    "action": _TEXT,
    "status": _TEXT,
    "status_reason": {"type": ["string", "null"]},
}
_UPDATE = {"type": "object", "properties": _CHANGES}
_CREATE = {"type": "object", "properties": {**_CHANGES, "server_id": _TEXT}}


class SoftwareDeployments(Resource):
    below_bases = False

    @route("GET", _BASE, policy="software_deployments:index", default=READER)
    async def list(self, req: Request, project_id: str) -> dict[str, Any]:
        where = {"project_id": own_project(req, project_id)}
        if server_id := req.argument("server_id"):
            where["server_id"] = server_id
        rows = await req.db.all(model.SOFTWARE_DEPLOYMENTS, where, order="created_at")
        known = await req.db.all(model.RESOURCES, {"id": [row.id for row in rows]}) if rows else []
        resources = {one.id: one for one in known}
        return {"software_deployments": [deployment_view(row, resources.get(row.id)) for row in rows]}

    @route(
        "GET",
        _BASE + "/metadata/{server_id}",
        policy="software_deployments:metadata",
        default=READER | role(GUEST_ROLE),
    )
    async def metadata(self, req: Request, project_id: str, server_id: str) -> dict[str, Any]:
        """What a server's agent is to do. A guest's own account asks for its own server alone."""
        project_id = own_project(req, project_id)
        if GUEST_ROLE in req.context.roles:
            rows = await req.db.all(model.RESOURCES, {"physical_id": server_id})
            own = [row for row in rows if row.data.get("account", {}).get("user_id") == req.context.user_id]
            if not own:
                raise EntityNotFound(entity="Server", name=server_id)
            stack = await req.db.get(model.STACKS, id=own[0].stack_id)
            project_id = stack.project_id
        return {"metadata": await server_metadata(req.db, project_id, server_id)}

    @route("POST", _BASE, policy="software_deployments:create", default=MEMBER, body=_CREATE)
    async def create(self, req: Request, project_id: str) -> dict[str, Any]:
        own_project(req, project_id)
        body = req.body
        if not body.get("config_id"):
            raise BadBody("config_id is required")
        await self._check_config(req, project_id, body["config_id"])
        row = await req.db.insert(
            model.SOFTWARE_DEPLOYMENTS,
            project_id=project_id,
            server_id=body.get("server_id"),
            config_id=body["config_id"],
            input_values=body.get("input_values") or {},
            output_values=body.get("output_values") or {},
            action=body.get("action") or "INIT",
            status=body.get("status") or "COMPLETE",
            status_reason=body.get("status_reason") or "",
        )
        return {"software_deployment": deployment_view(row)}

    @route("GET", _ONE, policy="software_deployments:show", default=READER)
    async def show(self, req: Request, project_id: str, deployment_id: str) -> dict[str, Any]:
        return {"software_deployment": await self._view(req, project_id, deployment_id)}

    @route("PUT", _ONE, policy="software_deployments:update", default=MEMBER, body=_UPDATE)
    async def update(self, req: Request, project_id: str, deployment_id: str) -> dict[str, Any]:
        row = await self._row(req, project_id, deployment_id)
        changes = {name: req.body[name] for name in _CHANGES if req.body.get(name)}
        if "config_id" in changes:
            await self._check_config(req, project_id, changes["config_id"])
        async with req.db.transaction() as tx:
            await tx.update(model.SOFTWARE_DEPLOYMENTS, {"id": row.id}, changed_at=clock.now(), **changes)
            await wake_waiting(tx, row.id)
        return {"software_deployment": await self._view(req, project_id, deployment_id)}

    @route("DELETE", _ONE, status=204, policy="software_deployments:delete", default=MEMBER)
    async def delete(self, req: Request, project_id: str, deployment_id: str) -> None:
        row = await self._row(req, project_id, deployment_id)
        await req.db.delete(model.SOFTWARE_DEPLOYMENTS, id=row.id)

    async def _check_config(self, req: Request, project_id: str, config_id: str) -> None:
        if not await req.db.count(model.SOFTWARE_CONFIGS, id=config_id, project_id=project_id):
            raise EntityNotFound(entity="Software config", name=config_id)

    async def _view(self, req: Request, project_id: str, id: str) -> dict[str, Any]:
        row = await self._row(req, project_id, id)
        return deployment_view(row, await req.db.find(model.RESOURCES, id=row.id))

    async def _row(self, req: Request, project_id: str, id: str) -> Row:
        own_project(req, project_id)
        row = await req.db.find(model.SOFTWARE_DEPLOYMENTS, id=id, project_id=project_id)
        if row is None:
            raise EntityNotFound(entity="Software Deployment", name=id)
        return row
