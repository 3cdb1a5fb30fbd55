"""Service providers: other clouds that let in the users of this one. Records only; no assertion is made for them here.

https://docs.openstack.org/api-ref/identity/v3-ext/#service-providers
"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import route

from .. import model
from ..errors import ServiceProviderNotFound
from ..rules import CLOUD_SCOPES, LOOK, policy_of, rules
from .shape import Named, links

_URL = {"type": "string", "minLength": 1, "maxLength": 225, "pattern": r"^[a-zA-Z0-9+.-]+:\S+$"}
_PREFIX = {"type": ["string", "null"], "maxLength": 256}
_DEFAULT_PREFIX = "ss:mem:"
_BASE = "/v3/OS-FEDERATION/service_providers"


class ServiceProvider(Named):
    path = _BASE + "/{sp_id}"
    singular, plural = "service_provider", "service_providers"
    table = model.SERVICE_PROVIDERS
    project_column = None
    not_found = ServiceProviderNotFound
    verbs = ("list", "show", "update", "delete")
    policy = policy_of("service_provider", "service_providers", list=LOOK, show=LOOK)
    extra_rules = rules({"create_service_provider": "rule:admin_required"}, CLOUD_SCOPES)

    id = Field(str, filter=True)
    auth_url = Field(str, create="required", update="optional", schema=_URL)
    sp_url = Field(str, create="required", update="optional", schema=_URL)
    description = Field(str, create="optional", update="optional", nullable=True)
    enabled = Field(bool, create="optional", update="optional", default=False, filter=True)
    relay_state_prefix = Field(
        str, create="optional", update="optional", schema=_PREFIX, default=_DEFAULT_PREFIX
    )
    links = links("OS-FEDERATION/")

    @route("PUT", _BASE + "/{sp_id}")
    async def put(self, req: Request, sp_id: str) -> Response:
        return await self.create_as(req, sp_id)

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        new["relay_state_prefix"] = new.get("relay_state_prefix") or _DEFAULT_PREFIX
        return await super().create(req, new)

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        if "relay_state_prefix" in changes:
            changes["relay_state_prefix"] = changes["relay_state_prefix"] or _DEFAULT_PREFIX
        return await super().update(req, row, changes)
