"""Mappings: rules for what an identity provider says of its users. The engine that applies them is `mapping.py`.

https://docs.openstack.org/api-ref/identity/v3-ext/#mappings
"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import route

from .. import model
from ..errors import MappingNotFound
from ..mapping import check_rules
from ..mapping_schema import DEFAULT_VERSION, VERSIONS
from ..rules import CLOUD_SCOPES, LOOK, policy_of, rules
from .shape import Named, links

_BASE = "/v3/OS-FEDERATION/mappings"


class FederationMapping(Named):
    path = _BASE + "/{mapping_id}"
    singular, plural = "mapping", "mappings"
    table = model.MAPPINGS
    project_column = None
    not_found = MappingNotFound
    verbs = ("list", "show", "update", "delete")
    policy = policy_of("mapping", "mappings", list=LOOK, show=LOOK)
    extra_rules = rules({"create_mapping": "rule:admin_required"}, CLOUD_SCOPES)

    id = Field(str, filter=True)
    rules = Field(list, create="required", update="required", schema={"type": "array"})  # type: ignore[assignment]
    schema_version = Field(
        str, create="optional", update="optional", choices=VERSIONS, default=DEFAULT_VERSION, nullable=True
    )
    links = links("OS-FEDERATION/")

    @route("PUT", _BASE + "/{mapping_id}")
    async def put(self, req: Request, mapping_id: str) -> Response:
        return await self.create_as(req, mapping_id)

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        new["schema_version"] = new["schema_version"] or DEFAULT_VERSION  # the official client says null
        check_rules(new["rules"], new["schema_version"])
        return await super().create(req, new)

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        changes["schema_version"] = changes.get("schema_version") or DEFAULT_VERSION
        check_rules(changes["rules"], changes["schema_version"])
        return await super().update(req, row, changes)
