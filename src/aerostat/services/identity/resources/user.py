"""Users. https://docs.openstack.org/api-ref/identity/v3/#users"""

import operator
from collections.abc import Mapping
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.sql import ColumnElement

from aerostat.kernel.clock import now
from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request, Response
from aerostat.kernel.policy import Term
from aerostat.kernel.resource import Conditions, View, route

from .. import accounts, model, password_rules
from ..errors import DomainNotFound, UserNotFound
from ..methods.password import proven
from ..rules import ANY_SCOPE, DOMAIN_READER, looked_at, managed, policy_of
from .shape import DOMAIN_ID, Named, domain_in_sight, links, query_moment

_PASSWORD = {"type": ["string", "null"], "maxLength": 4096}
_CHANGE_PASSWORD = {
    "type": "object",
    "properties": {
        "user": {
            "type": "object",
            "properties": {
                "original_password": {"type": "string"},
                "password": {"type": "string", "minLength": 1},
            },
            "required": ["original_password", "password"],
        }
    },
    "required": ["user"],
}
_NEVER_SHOWN = ("password",)
_FLAG = {"type": ["boolean", "null"]}  # null takes an option back
_OPTIONS = {
    "type": "object",
    "properties": {
        **dict.fromkeys(
            (
                "ignore_change_password_upon_first_use",
                "ignore_password_expiry",
                "ignore_lockout_failure_attempts",
                "ignore_user_inactivity",
                "lock_password",
                "multi_factor_auth_enabled",
            ),
            _FLAG,
        ),
        "multi_factor_auth_rules": {
            "type": ["array", "null"],
            "items": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
            "uniqueItems": True,
        },
    },
    "additionalProperties": False,
}
_COMPARISONS: dict[str, Any] = {
    name: getattr(operator, word)
    for name, word in {"lt": "lt", "lte": "le", "gt": "gt", "gte": "ge", "eq": "eq", "neq": "ne"}.items()
}


class User(Named):
    path = "/v3/users/{user_id}"
    singular, plural = "user", "users"
    table = model.USERS
    project_column = None
    not_found = UserNotFound
    extra_body_keys = True
    in_domain = True
    policy = policy_of(
        "user",
        "users",
        default=Term(managed("user"), 0),
        list=Term(DOMAIN_READER, 0),
        show=Term(f"{looked_at('user')} or user_id:%(target.user.id)s", 0),
        scopes=ANY_SCOPE,
    )

    id = Field(str)
    name = Field(str, create="required", update="optional", length=(1, 255), filter=True, pattern=r"\S")
    domain_id = Field(str, create="optional", update="optional", schema=DOMAIN_ID, filter=True)
    default_project_id = Field(str, create="optional", update="optional", schema=DOMAIN_ID)
    description = Field(str, create="optional", update="optional", nullable=True)
    email = Field(str, create="optional", update="optional", nullable=True, length=(0, 255))
    enabled = Field(bool, create="optional", update="optional", default=True, filter=True)
    options = Field(dict, create="optional", update="optional", schema=_OPTIONS, default=dict)
    password = Field(str, create="optional", update="optional", schema=_PASSWORD, show=False, stored=False)
    password_expires_at = Field(str, compute=lambda row, req: row["password_expires_at"])
    links = links()

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        self.check_new(req, new)  # a domain's manager names the domain, as upstream asks
        new["domain_id"] = (
            new.get("domain_id") or req.context.domain_id or req.context.project_domain_id or "default"
        )
        if await req.db.find(model.PROJECTS, id=new["domain_id"], is_domain=True) is None:
            raise DomainNotFound(id=new["domain_id"])
        await self._take_password(req, new, new.get("options") or {})
        return await super().create(req, new)

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        if changes.get("domain_id", row.domain_id) != row.domain_id:
            raise BadRequest("Cannot change Domain ID.")
        changes.pop("domain_id", None)
        tokens = req.house.state["identity"]
        renewed = "password" in changes
        await self._take_password(req, changes, {**row.options, **(changes.get("options") or {})})
        if renewed:
            await password_rules.keep_old(req.db, row, tokens.config)
        if changes.get("enabled"):  # an administrator wants this account: whatever kept it out is over
            changes |= {"failed_log_ins": 0, "failed_at": None, "last_active_at": now()}
        updated = await super().update(req, row, changes)
        if renewed or changes.get("enabled") is False:
            await tokens.revoke(user_id=row.id)
        return updated

    async def delete(self, req: Request, row: Row) -> None:
        async with req.db.transaction() as tx:
            await tx.delete(model.TRUSTS, trustor_user_id=row.id)
            await tx.delete(model.TRUSTS, trustee_user_id=row.id)
            await tx.delete(model.OAUTH_REQUESTS, user_id=row.id)
            await tx.delete(model.ASSIGNMENTS, actor_kind="user", actor_id=row.id)
            await tx.delete(model.USERS, id=row.id)
        await req.house.state["identity"].revoke(user_id=row.id)  # should the id ever come again

    def visible(self, req: Request) -> Conditions:
        seen = domain_in_sight(req)
        return [] if seen is None else [model.USERS.c.domain_id == seen]

    def filters(self, req: Request) -> Conditions:
        return [*super().filters(req), *_expiring(req)]

    def view(self, req: Request, row: Mapping[str, Any], brief: bool = False) -> View:
        view = super().view(req, row, brief)
        view["enabled"] = accounts.is_enabled(row, req.house.state["identity"].config)
        for name in ("description", "email", "default_project_id"):
            if view.get(name) is None:
                view.pop(name, None)
        for name in _NEVER_SHOWN:
            view.pop(name, None)
        return view

    @route("POST", "/v3/users/{user_id}/password", public=True, body=_CHANGE_PASSWORD)
    async def change_password(self, req: Request, user_id: str) -> Response:
        """By the user, who proves it with the present password; an expired one may be changed as well."""
        asked, tokens = req.body["user"], req.house.state["identity"]
        user = await proven(req, await req.db.find(model.USERS, id=user_id), asked["original_password"])
        await password_rules.check_change(req.db, user, asked["password"], tokens.config)
        columns = await password_rules.columns_of(asked["password"], user.options, tokens.config, is_own=True)
        await password_rules.keep_old(req.db, user, tokens.config)
        await req.db.update(model.USERS, {"id": user.id}, **columns)
        await tokens.revoke(user_id=user.id)
        return Response(None, 204)

    @route("GET", "/v3/groups/{group_id}/users")
    async def of_group(self, req: Request, group_id: str) -> dict[str, Any]:
        group = await req.service.resources["Group"].find(req, group_id)
        req.check("identity:list_users_in_group", req.service.resources["Group"].target(group))
        ids = [row.user_id for row in await req.db.all(model.MEMBERSHIPS, {"group_id": group_id})]
        rows = []
        if ids:
            seen = req.context.domain_id
            wanted = [model.USERS.c.id.in_(ids), *_expiring(req)]
            if seen is not None:
                wanted.append(model.USERS.c.domain_id == seen)
            rows = await req.db.fetch(select(model.USERS).where(and_(*wanted)).order_by(model.USERS.c.id))
        return {
            "users": [self.view(req, row) for row in rows],
            "links": {"self": req.url, "previous": None, "next": None},
        }

    async def _take_password(self, req: Request, values: dict[str, Any], options: dict[str, Any]) -> None:
        if "password" not in values:
            return
        password, config = values.pop("password"), req.house.state["identity"].config
        if password is not None:
            password_rules.check_strength(password, config)
        values.update(await password_rules.columns_of(password, options, config))


def _expiring(req: Request) -> Conditions:
    """`password_expires_at=lt:2026-01-01T00:00:00Z`; without a word before it: exactly then. Raises `BadRequest`."""
    found: list[ColumnElement[bool]] = []
    for text in req.query.get("password_expires_at", []):
        word, mark, rest = text.partition(":")
        compare, moment = (_COMPARISONS[word], rest) if mark and word in _COMPARISONS else (operator.eq, text)
        at = query_moment("password_expires_at", moment)
        found.append(compare(model.USERS.c.password_expires_at, at))
    return found
