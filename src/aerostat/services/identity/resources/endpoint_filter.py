"""Which endpoints a project sees: single ones, and groups of them by filter.

https://docs.openstack.org/api-ref/identity/v3-ext/#os-ep-filter-api. A project that is associated with
nothing sees every endpoint (upstream's `return_all_endpoints_if_no_filter`).
"""

from typing import Any

from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.errors import BadRequest, Conflict, NotFound
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.resource import route

from .. import model
from ..catalog import filtered
from ..errors import EndpointGroupNotFound
from ..rules import CLOUD_SCOPES, LOOK, policy_of, rules
from .shape import Named, changed, collection, links

_ADMIN, _LOOK = "rule:admin_required", LOOK.text
_FILTERS = {
    "type": "object",
    "minProperties": 1,
    "properties": {
        "interface": {"enum": ["admin", "internal", "public"]},
        "service_id": {"type": "string"},
        "region_id": {"type": "string"},
    },
    "additionalProperties": False,
}
_GROUPS = "/v3/OS-EP-FILTER/endpoint_groups"
_PROJECTS = "/v3/OS-EP-FILTER/projects"


class EndpointGroup(Named):
    path = _GROUPS + "/{endpoint_group_id}"
    singular, plural = "endpoint_group", "endpoint_groups"
    table = model.ENDPOINT_GROUPS
    project_column = None
    not_found = EndpointGroupNotFound
    policy = policy_of("endpoint_group", "endpoint_groups", list=LOOK, show=LOOK)
    extra_rules = rules(
        {
            "list_projects_associated_with_endpoint_group": _LOOK,
            "list_endpoints_associated_with_endpoint_group": _LOOK,
            "get_endpoint_group_in_project": _LOOK,
            "list_endpoint_groups_for_project": _LOOK,
            "add_endpoint_group_to_project": _ADMIN,
            "remove_endpoint_group_from_project": _ADMIN,
            "list_projects_for_endpoint": _LOOK,
            "add_endpoint_to_project": _ADMIN,
            "check_endpoint_in_project": _LOOK,
            "list_endpoints_for_project": _LOOK,
            "remove_endpoint_from_project": _ADMIN,
        },
        CLOUD_SCOPES,
    )

    id = Field(str)
    name = Field(str, create="required", update="optional", length=(1, 255), filter=True, pattern=r"\S")
    description = Field(str, create="optional", update="optional", nullable=True)
    filters = Field(dict, create="required", update="optional", schema=_FILTERS)  # type: ignore[assignment]
    links = links("OS-EP-FILTER/")

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        if not changes:
            raise BadRequest("An update of an endpoint group changes something.")
        return await super().update(req, row, changes)

    @route("GET", _GROUPS + "/{endpoint_group_id}/endpoints")
    async def endpoints_of_group(self, req: Request, endpoint_group_id: str) -> dict[str, Any]:
        req.check("identity:list_endpoints_associated_with_endpoint_group")
        group = await self.find(req, endpoint_group_id)
        rows = filtered(await req.db.all(model.ENDPOINTS, order="id"), group.filters)
        return collection(req, "endpoints", rows, "CatalogEndpoint")

    @route("GET", _GROUPS + "/{endpoint_group_id}/projects")
    async def projects_of_group(self, req: Request, endpoint_group_id: str) -> dict[str, Any]:
        req.check("identity:list_projects_associated_with_endpoint_group")
        group = await self.find(req, endpoint_group_id)
        pairs = await req.db.all(model.PROJECT_ENDPOINT_GROUPS, {"endpoint_group_id": group.id})
        return collection(req, "projects", await _projects(req, pairs), "Project")

    @route("GET", _PROJECTS + "/{project_id}/endpoint_groups")
    async def groups_of_project(self, req: Request, project_id: str) -> dict[str, Any]:
        req.check("identity:list_endpoint_groups_for_project")
        await req.service.resources["Project"].find(req, project_id)
        pairs = await req.db.all(model.PROJECT_ENDPOINT_GROUPS, {"project_id": project_id})
        ids = [pair.endpoint_group_id for pair in pairs]
        rows = await req.db.all(model.ENDPOINT_GROUPS, {"id": ids}, order="id") if ids else []
        return collection(req, "endpoint_groups", rows, "EndpointGroup")

    @route("PUT", _GROUPS + "/{endpoint_group_id}/projects/{project_id}", status=204)
    async def add_group(self, req: Request, endpoint_group_id: str, project_id: str) -> None:
        pair = await self._pair(req, "add_endpoint_group_to_project")
        try:
            await req.db.insert(model.PROJECT_ENDPOINT_GROUPS, **pair)
        except Duplicate:
            raise Conflict("The endpoint group is associated with the project already.") from None
        changed(req)

    @route("GET", _GROUPS + "/{endpoint_group_id}/projects/{project_id}")
    async def show_group(self, req: Request, endpoint_group_id: str, project_id: str) -> dict[str, Any]:
        pair = await self._pair(req, "get_endpoint_group_in_project")
        if await req.db.find(model.PROJECT_ENDPOINT_GROUPS, **pair) is None:
            raise EndpointGroupNotFound(id=endpoint_group_id)
        return {"project_endpoint_group": {**pair, "links": {"self": req.url}}}

    @route("DELETE", _GROUPS + "/{endpoint_group_id}/projects/{project_id}", status=204)
    async def remove_group(self, req: Request, endpoint_group_id: str, project_id: str) -> None:
        pair = await self._pair(req, "remove_endpoint_group_from_project")
        if not await req.db.delete(model.PROJECT_ENDPOINT_GROUPS, **pair):
            raise EndpointGroupNotFound(id=endpoint_group_id)
        changed(req)

    @route("GET", "/v3/OS-EP-FILTER/endpoints/{endpoint_id}/projects")
    async def projects_of_endpoint(self, req: Request, endpoint_id: str) -> dict[str, Any]:
        req.check("identity:list_projects_for_endpoint")
        await req.service.resources["CatalogEndpoint"].find(req, endpoint_id)
        pairs = await req.db.all(model.PROJECT_ENDPOINTS, {"endpoint_id": endpoint_id})
        return collection(req, "projects", await _projects(req, pairs), "Project")

    @route("GET", _PROJECTS + "/{project_id}/endpoints")
    async def endpoints_of_project(self, req: Request, project_id: str) -> dict[str, Any]:
        """Those associated with it by themselves or by a group; not all, where there are none."""
        req.check("identity:list_endpoints_for_project")
        await req.service.resources["Project"].find(req, project_id)
        ids = await req.house.state["identity"].catalog.associated(project_id)
        rows = await req.db.all(model.ENDPOINTS, {"id": ids}, order="id") if ids else []
        return collection(req, "endpoints", rows, "CatalogEndpoint")

    @route("PUT", _PROJECTS + "/{project_id}/endpoints/{endpoint_id}", status=204)
    async def add_endpoint(self, req: Request, project_id: str, endpoint_id: str) -> None:
        pair = await self._endpoint_pair(req, "add_endpoint_to_project")
        try:
            await req.db.insert(model.PROJECT_ENDPOINTS, **pair)
        except Duplicate:
            raise Conflict("The endpoint is associated with the project already.") from None
        changed(req)

    @route("GET", _PROJECTS + "/{project_id}/endpoints/{endpoint_id}", status=204)
    async def has_endpoint(self, req: Request, project_id: str, endpoint_id: str) -> None:
        pair = await self._endpoint_pair(req, "check_endpoint_in_project")
        if await req.db.find(model.PROJECT_ENDPOINTS, **pair) is None:
            raise NotFound(f"Endpoint {endpoint_id} not found in project {project_id}.")

    @route("DELETE", _PROJECTS + "/{project_id}/endpoints/{endpoint_id}", status=204)
    async def remove_endpoint(self, req: Request, project_id: str, endpoint_id: str) -> None:
        pair = await self._endpoint_pair(req, "remove_endpoint_from_project")
        if not await req.db.delete(model.PROJECT_ENDPOINTS, **pair):
            raise NotFound(f"Endpoint {endpoint_id} not found in project {project_id}.")
        changed(req)

    async def _pair(self, req: Request, rule: str) -> dict[str, str]:
        req.check(f"identity:{rule}")
        await req.service.resources["Project"].find(req, req.params["project_id"])
        await self.find(req, req.params["endpoint_group_id"])
        return {key: req.params[key] for key in ("endpoint_group_id", "project_id")}

    async def _endpoint_pair(self, req: Request, rule: str) -> dict[str, str]:
        req.check(f"identity:{rule}")
        await req.service.resources["CatalogEndpoint"].find(req, req.params["endpoint_id"])
        await req.service.resources["Project"].find(req, req.params["project_id"])
        return {key: req.params[key] for key in ("endpoint_id", "project_id")}


async def _projects(req: Request, pairs: list[Row]) -> list[Row]:
    ids = [pair.project_id for pair in pairs]
    return await req.db.all(model.PROJECTS, {"id": ids}, order="id") if ids else []
