"""Application credentials: a part of a user's rights on one project, for programs, and the rules that bound them.

https://docs.openstack.org/api-ref/identity/v3/#application-credentials
"""

import secrets
from typing import Any

from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.errors import Forbidden
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import iso_micro

from .. import model
from ..delegation import (
    MOMENT,
    ROLES,
    asked_roles,
    check_not_delegated,
    current_project,
    held_roles,
    note_unrestricted,
    read_moment,
    roles_by_id,
)
from ..errors import (
    AccessRuleNotFound,
    AlreadyThere,
    ApplicationCredentialNotFound,
    InvalidApplicationCredential,
)
from ..passwords import hash_password
from ..rules import ADMIN, CLOUD_SCOPES, SYSTEM_READER, rules

_RULE = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "path": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^/"},
        "method": {"type": "string", "pattern": "^(POST|GET|HEAD|PATCH|PUT|DELETE)$"},
        "service": {"type": "string", "minLength": 1, "maxLength": 64},
    },
    "anyOf": [{"required": ["id"]}, {"required": ["path", "method", "service"]}],
    "additionalProperties": False,
}
_CREATE = {
    "type": "object",
    "properties": {
        "application_credential": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"\S"},
                "description": {"type": ["string", "null"]},
                "secret": {"type": ["string", "null"], "minLength": 1, "maxLength": 4096},
                "expires_at": MOMENT,
                "roles": ROLES,
                "unrestricted": {"type": ["boolean", "null"]},
                "access_rules": {"type": "array", "items": _RULE},
            },
            "required": ["name"],
        }
    },
    "required": ["application_credential"],
}
_PATH = "/v3/users/{user_id}/application_credentials"
_RULES_PATH = "/v3/users/{user_id}/access_rules"
_MANAGING = "managing additional application credentials"


# Not an administrator of a project: access rules are their user's own business, and the system's.
_READ_RULES = "(role:reader and system_scope:all) or user_id:%(target.user.id)s"


class ApplicationCredential(Resource):
    extra_rules = rules(
        {
            "get_application_credential": f"{SYSTEM_READER} or rule:owner",
            "list_application_credentials": f"{SYSTEM_READER} or rule:owner",
            "delete_application_credential": f"{ADMIN} or rule:owner",
            "get_access_rule": _READ_RULES,
            "list_access_rules": _READ_RULES,
            "delete_access_rule": "(role:admin and system_scope:all) or user_id:%(target.user.id)s",
        },
        CLOUD_SCOPES,
    ) + rules({"create_application_credential": "user_id:%(user_id)s"}, ("project",))

    @route("POST", _PATH, body=_CREATE)
    async def create_one(self, req: Request, user_id: str) -> Response:
        """The answer is the only time that the secret is shown."""
        req.check("identity:create_application_credential", {"user_id": user_id})
        await note_unrestricted(req)
        check_not_delegated(req, _MANAGING)
        new, project_id = req.body["application_credential"], current_project(req)
        if new.get("roles"):
            roles = await asked_roles(req, new["roles"], InvalidApplicationCredential)
        else:
            roles = await held_roles(req)
        secret = new.get("secret") or secrets.token_urlsafe(64)
        hashed = await hash_password(secret, req.house.state["identity"].config.bcrypt_rounds)
        limits = (
            await self._access_rules(req, user_id, new["access_rules"]) if "access_rules" in new else None
        )
        try:
            row = await req.db.insert(
                model.APPLICATION_CREDENTIALS,
                name=new["name"],
                user_id=user_id,
                project_id=project_id,
                secret_hash=hashed,
                description=new.get("description"),
                expires_at=read_moment(new.get("expires_at")),
                unrestricted=bool(new.get("unrestricted")),
                role_ids=[role.id for role in roles],
                access_rule_ids=limits,
            )
        except Duplicate as error:
            raise AlreadyThere(kind="application_credential", name=new["name"], where="") from error
        view = {**await self._view(req, row), "secret": secret}
        return Response({"application_credential": view}, 201, resource_id=row.id)

    @route("GET", _PATH)
    async def list_of_user(self, req: Request, user_id: str) -> dict[str, Any]:
        req.check("identity:list_application_credentials", {"user_id": user_id})
        where: dict[str, Any] = {"user_id": user_id}
        if name := req.argument("name"):
            where["name"] = name
        rows = await req.db.all(model.APPLICATION_CREDENTIALS, where, order="name")
        return {"application_credentials": [await self._view(req, row) for row in rows], "links": _links(req)}

    @route("GET", _PATH + "/{id}")
    async def show_one(self, req: Request, user_id: str, id: str) -> dict[str, Any]:
        req.check("identity:get_application_credential", {"user_id": user_id})
        row = await self._get(req, user_id, id, "get_application_credential")
        return {"application_credential": await self._view(req, row)}

    @route("DELETE", _PATH + "/{id}", status=204)
    async def delete_one(self, req: Request, user_id: str, id: str) -> None:
        req.check("identity:delete_application_credential", {"user_id": user_id})
        await note_unrestricted(req)
        check_not_delegated(req, _MANAGING)
        row = await self._get(req, user_id, id, "delete_application_credential")
        await req.db.delete(model.APPLICATION_CREDENTIALS, id=row.id)
        req.house.state["identity"].changed()

    @route("GET", _RULES_PATH)
    async def list_rules(self, req: Request, user_id: str) -> dict[str, Any]:
        req.check("identity:list_access_rules", _of(user_id))
        where = {"user_id": user_id}
        where |= {key: req.query[key][-1] for key in ("service", "method", "path") if key in req.query}
        rows = await req.db.all(model.ACCESS_RULES, where)
        return {"access_rules": [_rule(req, row) for row in rows], "links": _links(req)}

    @route("GET", _RULES_PATH + "/{id}")
    async def show_rule(self, req: Request, user_id: str, id: str) -> dict[str, Any]:
        req.check("identity:get_access_rule", _of(user_id))
        return {"access_rule": _rule(req, await self._get_rule(req, user_id, id))}

    @route("DELETE", _RULES_PATH + "/{id}", status=204)
    async def delete_rule(self, req: Request, user_id: str, id: str) -> None:
        req.check("identity:delete_access_rule", _of(user_id))
        await note_unrestricted(req)
        check_not_delegated(req, _MANAGING)
        async with req.db.transaction() as tx:
            await self._get_rule(req, user_id, id)
            for one in await tx.all(model.APPLICATION_CREDENTIALS, {"user_id": user_id}):
                if id in (one.access_rule_ids or ()):
                    raise Forbidden(f"Access rule {id} is in use by an application credential.")
            await tx.delete(model.ACCESS_RULES, id=id)

    async def _access_rules(self, req: Request, user_id: str, asked: list[dict[str, Any]]) -> list[str]:
        """Ids of the user's rules that `asked` names or describes; those that are not there are made."""
        ids = []
        async with req.db.transaction() as tx:
            for one in asked:
                if "id" in one:
                    ids.append((await self._get_rule(req, user_id, one["id"])).id)
                    continue
                key = {"user_id": user_id, **one}
                row = await tx.find(model.ACCESS_RULES, **key) or await tx.insert(model.ACCESS_RULES, **key)
                ids.append(row.id)
        return list(dict.fromkeys(ids))

    async def _get(self, req: Request, user_id: str, id: str, verb: str) -> Row:
        """Another's, named below one's own user, is refused as another's."""
        row = await req.db.find(model.APPLICATION_CREDENTIALS, id=id)
        if row is not None:
            req.check(f"identity:{verb}", {"user_id": row.user_id})
        if row is None or row.user_id != user_id:
            raise ApplicationCredentialNotFound(id=id)
        return row

    async def _get_rule(self, req: Request, user_id: str, id: str) -> Row:
        row = await req.db.find(model.ACCESS_RULES, id=id, user_id=user_id)
        if row is None:
            raise AccessRuleNotFound(id=id)
        return row

    async def _view(self, req: Request, row: Row) -> dict[str, Any]:
        roles = await roles_by_id(req, row.role_ids)
        view: dict[str, Any] = {
            "id": row.id,
            "name": row.name,
            "description": row.description,
            "user_id": row.user_id,
            "project_id": row.project_id,
            "system": None,
            "expires_at": iso_micro(row.expires_at) if row.expires_at else None,
            "unrestricted": row.unrestricted,
            "roles": [
                {"id": role.id, "name": role.name, "domain_id": role.domain_id or None} for role in roles
            ],
            "links": {"self": f"{_users(req)}/{row.user_id}/application_credentials/{row.id}"},
        }
        if row.access_rule_ids is not None:
            ids = row.access_rule_ids
            found = {one.id: one for one in await req.db.all(model.ACCESS_RULES, {"id": ids})} if ids else {}
            view["access_rules"] = [_brief(found[id]) for id in ids]
        return view


def _of(user_id: str) -> dict[str, Any]:
    return {"target": {"user": {"id": user_id}}}


def _brief(row: Row) -> dict[str, Any]:
    return {key: row[key] for key in ("id", "service", "method", "path")}


def _rule(req: Request, row: Row) -> dict[str, Any]:
    return {**_brief(row), "links": {"self": f"{_users(req)}/{row.user_id}/access_rules/{row.id}"}}


def _users(req: Request) -> str:
    return f"{req.base_url}{req.service.prefix}/v3/users"


def _links(req: Request) -> dict[str, Any]:
    return {"self": req.url, "previous": None, "next": None}
