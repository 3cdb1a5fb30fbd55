"""Groups of users. https://docs.openstack.org/api-ref/identity/v3/#groups"""

from typing import Any

from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.errors import BadRequest, NotFound
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Term
from aerostat.kernel.resource import Conditions, route

from .. import model
from ..errors import DomainNotFound, GroupNotFound, UserNotFound
from ..rules import ADMIN, ANY_SCOPE, DOMAIN_READER, SYSTEM_READER, looked_at, managed, policy_of, rules
from .shape import DOMAIN_ID, Named, changed, domain_in_sight, links

_BOTH = "domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s"
_MANAGE = f"{ADMIN} or (role:manager and {_BOTH})"


class Group(Named):
    path = "/v3/groups/{group_id}"
    singular, plural = "group", "groups"
    table = model.GROUPS
    project_column = None
    not_found = GroupNotFound
    extra_body_keys = True
    in_domain = True
    policy_first = ("show", "update")
    policy = policy_of(
        "group",
        "groups",
        default=Term(managed("group"), 0),
        list=Term(DOMAIN_READER, 0),
        show=Term(looked_at("group"), 0),
        scopes=ANY_SCOPE,
    )
    extra_rules = rules(
        {
            "add_user_to_group": _MANAGE,
            "remove_user_from_group": _MANAGE,
            "check_user_in_group": f"({SYSTEM_READER}) or (role:reader and {_BOTH})",
            "list_users_in_group": looked_at("group"),
            "list_groups_for_user": f"{looked_at('user')} or user_id:%(target.user.id)s",
        }
    )

    id = Field(str)
    name = Field(str, create="required", update="optional", length=(1, 64), filter=True, pattern=r"\S")
    domain_id = Field(str, create="optional", update="optional", schema=DOMAIN_ID, filter=True)
    description = Field(str, create="optional", update="optional", nullable=True, default="")
    links = links()

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        new["domain_id"] = (
            new.get("domain_id") or req.context.domain_id or req.context.project_domain_id or "default"
        )
        new["description"] = new.get("description") or ""
        self.check_new(req, new)
        if await req.db.find(model.PROJECTS, id=new["domain_id"], is_domain=True) is None:
            raise DomainNotFound(id=new["domain_id"])
        return await super().create(req, new)

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        if changes.get("domain_id", row.domain_id) != row.domain_id:
            raise BadRequest("Cannot change Domain ID.")
        changes.pop("domain_id", None)
        if changes.get("description", "") is None:
            changes["description"] = ""
        return await super().update(req, row, changes)

    async def delete(self, req: Request, row: Row) -> None:
        async with req.db.transaction() as tx:
            await tx.delete(model.ASSIGNMENTS, actor_kind="group", actor_id=row.id)
            await tx.delete(model.GROUPS, id=row.id)
        changed(req)

    def visible(self, req: Request) -> Conditions:
        seen = domain_in_sight(req)
        return [] if seen is None else [model.GROUPS.c.domain_id == seen]

    @route("GET", "/v3/users/{user_id}/groups")
    async def of_user(self, req: Request, user_id: str) -> dict[str, Any]:
        user = await req.db.find(model.USERS, id=user_id)
        req.check("identity:list_groups_for_user", {"target": {"user": user or {}}})
        if user is None:
            raise UserNotFound(id=user_id)
        ids = [row.group_id for row in await req.db.all(model.MEMBERSHIPS, {"user_id": user_id})]
        seen = req.context.domain_id
        rows = [row for row in await req.db.all(model.GROUPS, {"id": ids}) if seen in (None, row.domain_id)]
        return {
            "groups": [self.view(req, row) for row in rows],
            "links": {"self": req.url, "previous": None, "next": None},
        }

    @route("PUT", "/v3/groups/{group_id}/users/{user_id}", status=204)
    async def add(self, req: Request, group_id: str, user_id: str) -> None:
        await self._both(req, group_id, user_id, "identity:add_user_to_group")
        try:
            await req.db.insert(model.MEMBERSHIPS, group_id=group_id, user_id=user_id)
        except Duplicate:
            return  # in it already: nothing to do
        changed(req)

    @route("GET", "/v3/groups/{group_id}/users/{user_id}", status=204)
    async def check(self, req: Request, group_id: str, user_id: str) -> None:
        await self._both(req, group_id, user_id, "identity:check_user_in_group")
        if await req.db.find(model.MEMBERSHIPS, group_id=group_id, user_id=user_id) is None:
            raise NotFound(f"User '{user_id}' not found in group '{group_id}'.")

    @route("DELETE", "/v3/groups/{group_id}/users/{user_id}", status=204)
    async def remove(self, req: Request, group_id: str, user_id: str) -> None:
        await self._both(req, group_id, user_id, "identity:remove_user_from_group")
        if not await req.db.delete(model.MEMBERSHIPS, group_id=group_id, user_id=user_id):
            raise NotFound(f"User '{user_id}' not found in group '{group_id}'.")
        await req.house.state["identity"].revoke(user_id=user_id)

    async def _both(self, req: Request, group_id: str, user_id: str, rule: str) -> None:
        """Policy first: who may not ask is not told what is there."""
        group = await req.db.find(model.GROUPS, id=group_id)
        user = await req.db.find(model.USERS, id=user_id)
        req.check(rule, {"target": {"group": group or {}, "user": user or {}}})
        if group is None:
            raise GroupNotFound(id=group_id)
        if user is None:
            raise UserNotFound(id=user_id)
