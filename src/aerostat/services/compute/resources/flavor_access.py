"""Which projects may use a flavor that is not public.

Wire: /flavors/{id}/os-flavor-access and the flavor's two actions,
https://docs.openstack.org/api-ref/compute/#flavors-access-flavors-os-flavor-access-addtenantaccess-action
"""

from typing import Any

from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.errors import BadRequest, Conflict, NotFound
from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from .. import model
from ..errors import FlavorAccessExists, FlavorAccessNotFound
from .arguments import at_least
from .flavor import find_flavor
from .schemas import closed
from .terms import ADMIN, rules

_RULE = "os_compute_api:os-flavor-access"
_TENANT = closed({"tenant": {"type": "string", "minLength": 1, "maxLength": 255}}, "tenant")
_ACTION = {
    "type": "object",
    "properties": {"addTenantAccess": _TENANT, "removeTenantAccess": _TENANT},
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
}


class FlavorAccess(Resource):
    extra_rules = rules(
        (_RULE, ADMIN), (_RULE + ":add_tenant_access", ADMIN), (_RULE + ":remove_tenant_access", ADMIN)
    )

    @route("GET", "/flavors/{flavor_id}/os-flavor-access", policy=_RULE)
    async def index(self, req: Request, flavor_id: str) -> dict[str, Any]:
        flavor = await find_flavor(req, flavor_id)
        if flavor.is_public:
            raise NotFound("Access list not available for public flavors.")
        return await self._view(req, flavor)

    @route("POST", "/flavors/{flavor_id}/action", body=_ACTION)
    async def act(self, req: Request, flavor_id: str) -> dict[str, Any]:
        ((name, argument),) = req.body.items()
        adding = name == "addTenantAccess"
        req.check(_RULE + (":add_tenant_access" if adding else ":remove_tenant_access"))
        flavor = await find_flavor(req, flavor_id)
        key = {"flavor_id": flavor.id, "project_id": argument["tenant"]}
        if not adding:
            if not await req.db.delete(model.FLAVOR_ACCESS, **key):
                raise FlavorAccessNotFound(**key)
            return await self._view(req, flavor)
        if flavor.is_public and at_least(req, 7):
            raise Conflict("Can not add access to a public flavor.")
        if not argument["tenant"].strip():
            raise BadRequest("A project is needed.")
        try:
            await req.db.insert(model.FLAVOR_ACCESS, **key)
        except Duplicate:
            raise FlavorAccessExists(**key) from None
        return await self._view(req, flavor)

    async def _view(self, req: Request, flavor: Row) -> dict[str, Any]:
        rows = await req.db.all(model.FLAVOR_ACCESS, {"flavor_id": flavor.id}, order="project_id")
        return {"flavor_access": [{"flavor_id": flavor.id, "tenant_id": row.project_id} for row in rows]}
