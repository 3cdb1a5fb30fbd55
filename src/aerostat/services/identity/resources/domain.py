"""Domains: the outermost containers of projects, users and groups.

https://docs.openstack.org/api-ref/identity/v3/#domains
"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import Forbidden
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Term
from aerostat.kernel.resource import Conditions

from .. import model
from ..errors import DomainEnabled, DomainNotFound
from ..rules import ANY_SCOPE, SYSTEM_READER, policy_of
from .project import TAGS, remove_project
from .shape import IMMUTABLE, Named, check_mutable, domain_in_sight, links


class Domain(Named):
    path = "/v3/domains/{domain_id}"
    singular, plural = "domain", "domains"
    table = model.PROJECTS
    project_column = None
    not_found = DomainNotFound
    extra_body_keys = True
    policy_first = ("show", "delete")
    policy = policy_of(
        "domain",
        "domains",
        list=Term(f"({SYSTEM_READER}) or (role:reader and domain_id:%(target.domain.id)s)", 0),
        show=Term(
            f"({SYSTEM_READER}) or domain_id:%(target.domain.id)s or project_domain_id:%(target.domain.id)s",
            0,
        ),
        verb_scopes={"list": ANY_SCOPE, "show": ANY_SCOPE},
    )

    id = Field(str)
    name = Field(str, create="required", update="optional", length=(1, 64), filter=True, pattern=r"\S")
    description = Field(str, create="optional", update="optional", nullable=True, default="")
    enabled = Field(bool, create="optional", update="optional", default=True, filter=True)
    tags = Field(list, create="optional", update="optional", schema=TAGS, default=list)
    options = Field(dict, create="optional", update="optional", schema=IMMUTABLE, default=dict)
    domain_id = Field(str, create="optional", show=False, schema={"type": ["string", "null"]})
    links = links()

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        new.pop("domain_id", None)
        new["description"] = new.get("description") or ""
        explicit = new["extra"].pop("explicit_domain_id", None)
        if isinstance(explicit, str):
            new["id"] = explicit
        return await super().create(req, {**new, "is_domain": True, "domain_id": None, "parent_id": None})

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        if changes.get("description", "") is None:
            changes["description"] = ""
        updated = await super().update(req, row, changes)
        if changes.get("enabled") is False:
            await req.house.state["identity"].revoke(domain_id=row.id)
        return updated

    async def delete(self, req: Request, row: Row) -> None:
        """A domain goes with everything in it, so it must be disabled first."""
        check_mutable("domain", row)
        if row.enabled:
            raise DomainEnabled()
        if row.id == "default":
            raise Forbidden("Cannot delete the default domain.")
        async with req.db.transaction() as tx:
            for project in await tx.all(model.PROJECTS, {"domain_id": row.id}):
                await remove_project(tx, project.id)
            for kind, table in (("user", model.USERS), ("group", model.GROUPS)):
                ids = [one.id for one in await tx.all(table, {"domain_id": row.id})]
                if ids:
                    await tx.delete(model.ASSIGNMENTS, actor_kind=kind, actor_id=ids)
                    await tx.delete(table, id=ids)
            await tx.delete(model.ROLES, domain_id=row.id)
            await tx.delete(model.LIMITS, domain_id=row.id)
            await tx.delete(model.DOMAIN_OPTIONS, domain_id=row.id)
            await tx.delete(model.IDENTITY_PROVIDERS, domain_id=row.id)
            await tx.delete(model.ASSIGNMENTS, target_kind="domain", target_id=row.id)
            await tx.delete(model.PROJECTS, id=row.id)
        req.house.state["identity"].changed()

    async def find(self, req: Request, id: str) -> Row:
        row = await req.db.find(model.PROJECTS, id=id, is_domain=True)
        if row is None:
            raise self.missing(id)
        return row

    def list_target(self, req: Request) -> dict[str, Any]:
        return {"domain": {"id": req.context.domain_id}}

    def visible(self, req: Request) -> Conditions:
        own: Conditions = [model.PROJECTS.c.is_domain.is_(True)]
        seen = domain_in_sight(req)
        return own if seen is None else [*own, model.PROJECTS.c.id == seen]
