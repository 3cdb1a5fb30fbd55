"""Stored credentials: anything a user wants kept, and the EC2 keys with which EC2 and S3 requests are signed.

https://docs.openstack.org/api-ref/identity/v3/#credentials; the OS-EC2 paths show the same rows in their older form.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any

from aerostat.kernel import ids
from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.errors import BadRequest, Conflict
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import model
from ..delegation import check_not_delegated, note_unrestricted
from ..errors import CredentialNotFound, ProjectNotFound, UserNotFound
from ..rules import ADMIN, CLOUD_SCOPES, SYSTEM_READER, rules

_TEXT = {"type": ["string", "null"], "maxLength": 64}
_FIELDS = {
    "blob": {"type": "string", "maxLength": 65536},
    "type": {"type": "string", "minLength": 1, "maxLength": 255},
    "user_id": {"type": "string", "maxLength": 64},
    "project_id": _TEXT,
}


def _body(required: list[str]) -> dict[str, Any]:
    inner = {"type": "object", "properties": _FIELDS, "required": required}
    return {"type": "object", "properties": {"credential": inner}, "required": ["credential"]}


_CREATE, _UPDATE = _body(["blob", "type"]), _body([])
_EC2 = {"type": "object", "properties": {"tenant_id": {"type": "string"}}, "required": ["tenant_id"]}
_EC2_PATH = "/v3/users/{user_id}/credentials/OS-EC2"
_OWNER = "user_id:%(target.credential.user_id)s"
_MANAGING = "managing stored credentials"


class Credential(Resource):
    extra_rules = rules(
        {
            "get_credential": f"{SYSTEM_READER} or {_OWNER}",
            "list_credentials": f"{SYSTEM_READER} or {_OWNER}",
            "create_credential": f"{ADMIN} or {_OWNER}",
            "update_credential": f"{ADMIN} or {_OWNER}",
            "delete_credential": f"{ADMIN} or {_OWNER}",
        }
    ) + rules(
        {
            "ec2_get_credential": f"{SYSTEM_READER} or {_OWNER}",
            "ec2_list_credentials": f"{SYSTEM_READER} or rule:owner",
            "ec2_create_credential": f"{ADMIN} or (role:member and {_OWNER})",
            "ec2_delete_credential": f"{ADMIN} or (role:member and {_OWNER})",
        },
        CLOUD_SCOPES,
    )

    @route("GET", "/v3/credentials")
    async def list_credentials(self, req: Request) -> dict[str, Any]:
        """Those that the caller may see: all, or the own ones."""
        where: dict[str, Any] = {key: req.query[key][-1] for key in ("user_id", "type") if key in req.query}
        rule, own = "identity:list_credentials", req.context.user_id
        sees_all = req.allows(rule, _target({"user_id": "somebody else"}))
        foreign = not sees_all and where.setdefault("user_id", own) != own
        rows = [] if foreign else await req.db.all(model.CREDENTIALS, where)
        rows = [row for row in rows if sees_all or req.allows(rule, _target(row))]
        return {"credentials": [_view(req, row) for row in rows], "links": _links(req)}

    @route("POST", "/v3/credentials", body=_CREATE)
    async def create_credential(self, req: Request) -> Response:
        new = req.body["credential"]
        user_id = new.get("user_id") or req.context.user_id
        await self._check_change(req, "create_credential", user_id)
        if await req.db.find(model.USERS, id=user_id) is None:
            raise UserNotFound(id=user_id)
        id = ids.new_hex_id()
        if new["type"] == "ec2":
            id = _id_of(_access_key(new["blob"]))
            _check_project_named(new)
        row = await self._insert(
            req, id=id, user_id=user_id, project_id=new.get("project_id"), type=new["type"], blob=new["blob"]
        )
        return Response({"credential": _view(req, row)}, 201, resource_id=row.id)

    @route("GET", "/v3/credentials/{id}")
    async def show_credential(self, req: Request, id: str) -> dict[str, Any]:
        return {"credential": _view(req, await self._get(req, id, "get_credential"))}

    @route("PATCH", "/v3/credentials/{id}", body=_UPDATE)
    async def update_credential(self, req: Request, id: str) -> dict[str, Any]:
        row = await self._get(req, id, "update_credential")
        changes = {key: value for key, value in req.body["credential"].items() if key in _FIELDS}
        after = {**row, **changes}
        await self._check_change(req, "update_credential", after["user_id"])
        if await req.db.find(model.USERS, id=after["user_id"]) is None:
            raise UserNotFound(id=after["user_id"])
        if "ec2" in (row.type, after["type"]):
            _check_project_named(after)
            if row.type != after["type"] or not _access_key(after["blob"]):
                raise BadRequest("The type of an EC2 credential cannot be changed.")
        if changes:
            await req.db.update(model.CREDENTIALS, {"id": row.id}, **changes)
        return {"credential": _view(req, await req.db.get(model.CREDENTIALS, id=row.id))}

    @route("DELETE", "/v3/credentials/{id}", status=204)
    async def delete_credential(self, req: Request, id: str) -> None:
        row = await self._get(req, id, "delete_credential")
        await self._check_change(req, "delete_credential", row.user_id)
        await req.db.delete(model.CREDENTIALS, id=row.id)

    @route("GET", _EC2_PATH)
    async def list_keys(self, req: Request, user_id: str) -> dict[str, Any]:
        req.check("identity:ec2_list_credentials", {"user_id": user_id})
        rows = await req.db.all(model.CREDENTIALS, {"user_id": user_id, "type": "ec2"})
        return {"credentials": [_key(req, row) for row in rows], "links": _links(req)}

    @route("POST", _EC2_PATH, body=_EC2)
    async def create_key(self, req: Request, user_id: str) -> Response:
        req.check("identity:ec2_create_credential", _target({"user_id": user_id}))
        await note_unrestricted(req)
        check_not_delegated(req, _MANAGING)
        if await req.db.find(model.USERS, id=user_id) is None:
            raise UserNotFound(id=user_id)
        project_id = req.body["tenant_id"]
        # Whether the user has a role there is looked at each time that the key is used.
        if await req.db.find(model.PROJECTS, id=project_id, is_domain=False) is None:
            raise ProjectNotFound(id=project_id)
        access = ids.new_hex_id()
        blob = json.dumps({"access": access, "secret": secrets.token_hex(16)})
        row = await self._insert(
            req, id=_id_of(access), user_id=user_id, project_id=project_id, type="ec2", blob=blob
        )
        return Response({"credential": _key(req, row)}, 201, resource_id=row.id)

    @route("GET", _EC2_PATH + "/{access}")
    async def show_key(self, req: Request, user_id: str, access: str) -> dict[str, Any]:
        return {"credential": _key(req, await self._get_key(req, access, "ec2_get_credential"))}

    @route("DELETE", _EC2_PATH + "/{access}", status=204)
    async def delete_key(self, req: Request, user_id: str, access: str) -> None:
        row = await self._get_key(req, access, "ec2_delete_credential")
        await self._check_change(req, "ec2_delete_credential", row.user_id)
        await req.db.delete(model.CREDENTIALS, id=row.id)

    async def _get(self, req: Request, id: str, verb: str) -> Row:
        row = await req.db.find(model.CREDENTIALS, id=id)
        # Policy first: who may not ask is not told what is there.
        req.check(f"identity:{verb}", _target(row) if row is not None else {"target": {"credential": {}}})
        if row is None:
            raise CredentialNotFound(id=id)
        return row

    async def _get_key(self, req: Request, access: str, verb: str) -> Row:
        """By its access key alone, as upstream finds it: whose it is says the row, and not the path."""
        row = await req.db.find(model.CREDENTIALS, id=_id_of(access), type="ec2")
        if row is None:
            raise CredentialNotFound(id=access)
        req.check(f"identity:{verb}", _target(row))
        return row

    async def _check_change(self, req: Request, verb: str, user_id: str | None) -> None:
        req.check(f"identity:{verb}", _target({"user_id": user_id}))
        await note_unrestricted(req)
        check_not_delegated(req, _MANAGING)

    async def _insert(self, req: Request, **values: Any) -> Row:
        try:
            return await req.db.insert(model.CREDENTIALS, **values)
        except Duplicate as error:
            raise Conflict("Conflict occurred attempting to store credential - Duplicate entry.") from error


def _check_project_named(values: Mapping[str, Any]) -> None:
    """Whether the user has a role there is looked at each time that the key is used."""
    if values.get("project_id") is None:
        raise BadRequest("EC2 credentials need a project: project_id is missing.")


def _access_key(blob: str) -> str:
    try:
        access = json.loads(blob)["access"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadRequest("Invalid blob in credential") from None
    if not isinstance(access, str) or not access:
        raise BadRequest("Invalid blob in credential")
    return access


def _id_of(access: str) -> str:
    return hashlib.sha256(access.encode()).hexdigest()


def _target(row: Any) -> dict[str, Any]:
    return {"target": {"credential": {"user_id": row["user_id"]}}}


def _view(req: Request, row: Row) -> dict[str, Any]:
    own = f"{req.base_url}{req.service.prefix}/v3/credentials/{row.id}"
    view = {key: row[key] for key in ("id", "user_id", "project_id", "type", "blob")}
    return {**view, "links": {"self": own}}


def _key(req: Request, row: Row) -> dict[str, Any]:
    kept = json.loads(row.blob)
    own = f"{req.base_url}{req.service.prefix}/v3/users/{row.user_id}/credentials/OS-EC2/{kept['access']}"
    return {
        "access": kept["access"],
        "secret": kept.get("secret"),
        "user_id": row.user_id,
        "tenant_id": row.project_id,
        "trust_id": None,
        "links": {"self": own},
    }


def _links(req: Request) -> dict[str, Any]:
    return {"self": req.url, "previous": None, "next": None}
