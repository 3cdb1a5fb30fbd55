"""Users. https://docs.openstack.org/api-ref/identity/v3/#users"""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Unauthorized
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request, Response
from aerostat.kernel.policy import Term
from aerostat.kernel.resource import Conditions, View, route

from .. import model
from ..errors import DomainNotFound, UserNotFound
from ..passwords import hash_password, is_password
from ..rules import ANY_SCOPE, DOMAIN_READER, looked_at, managed, policy_of
from .shape import DOMAIN_ID, OPTIONS, Named, changed, check_mutable, links

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
    options = Field(dict, create="optional", update="optional", schema=OPTIONS, default=dict)
    password = Field(str, create="optional", update="optional", schema=_PASSWORD, show=False, stored=False)
    password_expires_at = Field(str, compute=lambda row, req: row["password_expires_at"])
    links = links()

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        new["domain_id"] = (
            new.get("domain_id") or req.context.domain_id or req.context.project_domain_id or "default"
        )
        self.check_new(req, new)
        if await req.db.find(model.PROJECTS, id=new["domain_id"], is_domain=True) is None:
            raise DomainNotFound(id=new["domain_id"])
        await self._take_password(req, new)
        return await super().create(req, new)

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        if changes.get("domain_id", row.domain_id) != row.domain_id:
            raise BadRequest("Cannot change Domain ID.")
        changes.pop("domain_id", None)
        renewed = "password" in changes
        await self._take_password(req, changes)
        updated = await super().update(req, row, changes)
        if renewed or changes.get("enabled") is False:
            await req.house.state["identity"].revoke(user_id=row.id)
        return updated

    async def delete(self, req: Request, row: Row) -> None:
        check_mutable("user", row)
        async with req.db.transaction() as tx:
            await tx.delete(model.TRUSTS, trustor_user_id=row.id)
            await tx.delete(model.TRUSTS, trustee_user_id=row.id)
            await tx.delete(model.ASSIGNMENTS, actor_kind="user", actor_id=row.id)
            await tx.delete(model.USERS, id=row.id)
        changed(req)

    def visible(self, req: Request) -> Conditions:
        context = req.context
        if context.is_admin or context.system_scope:
            return []
        return [
            model.USERS.c.domain_id
            == (context.domain_id or context.project_domain_id or context.user_domain_id)
        ]

    def view(self, req: Request, row: Mapping[str, Any], brief: bool = False) -> View:
        view = super().view(req, row, brief)
        for name in ("description", "email", "default_project_id"):
            if view.get(name) is None:
                view.pop(name, None)
        for name in _NEVER_SHOWN:
            view.pop(name, None)
        return view

    @route("POST", "/v3/users/{user_id}/password", public=True, body=_CHANGE_PASSWORD)
    async def change_password(self, req: Request, user_id: str) -> Response:
        """By the user, who proves it with the present password; an expired one may be changed as well."""
        asked, rounds = req.body["user"], req.house.state["identity"].config.bcrypt_rounds
        row = await req.db.find(model.USERS, id=user_id)
        if (
            not await is_password(asked["original_password"], row.password_hash if row else None, rounds)
            or row is None
            or not row.enabled
        ):
            raise Unauthorized("The request you have made requires authentication.")
        if asked["password"] == asked["original_password"]:
            raise BadRequest(
                "Password validation error: The new password cannot be identical to a previous password."
            )
        hashed = await hash_password(asked["password"], rounds)
        await req.db.update(model.USERS, {"id": row.id}, password_hash=hashed, password_expires_at=None)
        await req.house.state["identity"].revoke(user_id=row.id)
        return Response(None, 204)

    @route("GET", "/v3/groups/{group_id}/users")
    async def of_group(self, req: Request, group_id: str) -> dict[str, Any]:
        group = await req.service.resources["Group"].find(req, group_id)
        req.check("identity:list_users_in_group", req.service.resources["Group"].target(group))
        ids = [row.user_id for row in await req.db.all(model.MEMBERSHIPS, {"group_id": group_id})]
        rows = await req.db.all(model.USERS, {"id": ids}) if ids else []
        return {
            "users": [self.view(req, row) for row in rows],
            "links": {"self": req.url, "previous": None, "next": None},
        }

    async def _take_password(self, req: Request, values: dict[str, Any]) -> None:
        if "password" not in values:
            return
        password = values.pop("password")
        rounds = req.house.state["identity"].config.bcrypt_rounds
        values["password_hash"] = None if password is None else await hash_password(password, rounds)
