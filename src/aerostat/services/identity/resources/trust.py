"""Trusts: one user lets another act with some of its roles on a project. https://docs.openstack.org/api-ref/identity/v3-ext/#os-trust-api"""

from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Forbidden
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import iso_micro_z

from .. import model
from ..delegation import (
    MOMENT,
    ROLES,
    asked_roles,
    check_not_delegated,
    note_unrestricted,
    read_moment,
    roles_by_id,
)
from ..errors import RoleNotFound, RoleNotHeld, TrustNotFound, UserNotFound
from ..rules import ADMIN, CLOUD_SCOPES, SYSTEM_READER, rules

_CREATE = {
    "type": "object",
    "properties": {
        "trust": {
            "type": "object",
            "properties": {
                "trustor_user_id": {"type": "string"},
                "trustee_user_id": {"type": "string"},
                "impersonation": {"type": "boolean"},
                "project_id": {"type": ["string", "null"]},
                "remaining_uses": {"type": ["integer", "null"], "minimum": 1, "maximum": 2147483647},
                "expires_at": MOMENT,
                "allow_redelegation": {"type": ["boolean", "null"]},
                "redelegation_count": {"type": ["integer", "null"], "minimum": 0},
                "roles": ROLES,
            },
            "required": ["trustor_user_id", "trustee_user_id", "impersonation"],
        }
    },
    "required": ["trust"],
}
_PATH = "/v3/OS-TRUST/trusts"
_TRUSTOR = "user_id:%(target.trust.trustor_user_id)s"
_TRUSTEE = "user_id:%(target.trust.trustee_user_id)s"


class Trust(Resource):
    extra_rules = rules(
        {
            "list_trusts": SYSTEM_READER,
            "list_trusts_for_trustor": f"{SYSTEM_READER} or {_TRUSTOR}",
            "list_trusts_for_trustee": f"{SYSTEM_READER} or {_TRUSTEE}",
            "get_trust": f"{SYSTEM_READER} or {_TRUSTOR} or {_TRUSTEE}",
            "list_roles_for_trust": f"{SYSTEM_READER} or {_TRUSTOR} or {_TRUSTEE}",
            "get_role_for_trust": f"{SYSTEM_READER} or {_TRUSTOR} or {_TRUSTEE}",
            "delete_trust": f"{ADMIN} or {_TRUSTOR}",
        },
        CLOUD_SCOPES,
    ) + rules({"create_trust": "user_id:%(trust.trustor_user_id)s"}, ("project",))

    @route("POST", _PATH, body=_CREATE)
    async def create_trust(self, req: Request) -> Response:
        new = req.body["trust"]
        req.check("identity:create_trust", {"trust": {"trustor_user_id": new["trustor_user_id"]}})
        parent = await _handed_on(req)
        if parent is None:
            await note_unrestricted(req)
            check_not_delegated(req, "managing trusts")
        if await req.db.find(model.USERS, id=new["trustee_user_id"]) is None:
            raise UserNotFound(id=new["trustee_user_id"])
        project_id, asked = new.get("project_id"), new.get("roles") or []
        if project_id is None and asked:
            raise BadRequest("Roles are given on a project: project_id is missing.")
        if project_id is not None:
            if project_id != req.context.project_id:
                raise Forbidden(
                    "You are not authorized to perform the requested action: the project is another."
                )
            if not asked:
                raise Forbidden("At least one role should be specified.")
        roles = await asked_roles(req, asked, RoleNotHeld)
        row = await req.db.insert(
            model.TRUSTS,
            trustor_user_id=new["trustor_user_id"],
            trustee_user_id=new["trustee_user_id"],
            impersonation=new["impersonation"],
            project_id=project_id,
            **_bounds(req, new, parent),
            remaining_uses=new.get("remaining_uses"),
            role_ids=[role.id for role in roles],
        )
        view = {**_view(req, row), "roles": [_role(req, role) for role in roles]}
        return Response({"trust": view}, 201, resource_id=row.id)

    @route("GET", _PATH)
    async def list_trusts(self, req: Request) -> dict[str, Any]:
        where: dict[str, Any] = {
            key: req.query[key][-1] for key in ("trustor_user_id", "trustee_user_id") if key in req.query
        }
        for key in where:
            kind = key.removesuffix("_user_id")
            req.check(f"identity:list_trusts_for_{kind}", {"target": {"trust": where}})
        if not where:
            req.check("identity:list_trusts")
        rows = await req.db.all(model.TRUSTS, where)
        return {"trusts": [_view(req, row) for row in rows], "links": _links(req)}

    @route("GET", _PATH + "/{id}")
    async def show_trust(self, req: Request, id: str) -> dict[str, Any]:
        row = await self._get(req, id, "get_trust")
        roles = await roles_by_id(req, row.role_ids)
        return {"trust": {**_view(req, row), "roles": [_role(req, role) for role in roles]}}

    @route("DELETE", _PATH + "/{id}", status=204)
    async def delete_trust(self, req: Request, id: str) -> None:
        row = await self._get(req, id, "delete_trust")
        await note_unrestricted(req)
        check_not_delegated(req, "managing trusts")
        async with req.db.transaction() as tx:
            gone = [row.id]
            while gone:  # with those that were made of it
                below = await tx.all(model.TRUSTS, {"redelegated_trust_id": gone})
                await tx.delete(model.TRUSTS, id=gone)
                gone = [one.id for one in below]
        req.house.state["identity"].changed()

    @route("GET", _PATH + "/{id}/roles")
    async def list_roles(self, req: Request, id: str) -> dict[str, Any]:
        row = await self._get(req, id, "list_roles_for_trust")
        roles = await roles_by_id(req, row.role_ids)
        return {"roles": [_role(req, role) for role in roles], "links": _links(req)}

    @route("GET", _PATH + "/{id}/roles/{role_id}")
    async def show_role(self, req: Request, id: str, role_id: str) -> dict[str, Any]:
        row = await self._get(req, id, "get_role_for_trust")
        roles = await roles_by_id(req, [role_id] if role_id in row.role_ids else [])
        if not roles:
            raise RoleNotFound(id=role_id)
        return {"role": _role(req, roles[0])}

    async def _get(self, req: Request, id: str, verb: str) -> Row:
        row = await req.db.find(model.TRUSTS, id=id)
        if row is None:
            raise TrustNotFound(id=id)
        req.check(f"identity:{verb}", {"target": {"trust": row}})
        return row


async def _handed_on(req: Request) -> Row | None:
    """The trust with which the token was made: what is made now is a part of it. Raises `Forbidden`."""
    if req.context.trust_id is None:
        return None
    parent = await req.db.get(model.TRUSTS, id=req.context.trust_id)
    if parent.redelegation_count < 1:
        raise Forbidden("The trust may not be handed on, or not so often.")
    return parent


def _bounds(req: Request, new: dict[str, Any], parent: Row | None) -> dict[str, Any]:
    """When the trust ends and how often it may be handed on: less often and no longer than its parent.

    Raises `BadRequest`, `Forbidden`.
    """
    most = req.house.state["identity"].config.max_redelegation_count
    asked, expires_at = new.get("redelegation_count"), read_moment(new.get("expires_at"))
    may_be_handed_on = bool(new.get("allow_redelegation")) and asked != 0
    if may_be_handed_on and new.get("remaining_uses") is not None:
        raise BadRequest("remaining_uses must not be set if redelegation is allowed.")
    if may_be_handed_on and asked is not None and asked > most:
        raise Forbidden(f"Requested redelegation depth of {asked} is greater than allowed {most}.")
    if parent is None:
        count = most if asked is None else asked
        return {"expires_at": expires_at, "redelegation_count": count if may_be_handed_on else 0}
    left = parent.redelegation_count - 1
    if may_be_handed_on and asked is not None and asked != left:
        raise Forbidden("Modifying redelegation_count upon redelegation is forbidden. Leave it out.")
    if new.get("remaining_uses") is not None:
        raise Forbidden("remaining_uses must not be set in order to redelegate a trust.")
    if new["impersonation"] and not parent.impersonation:
        raise Forbidden("Impersonation is not allowed because redelegated trust does not specify it.")
    if expires_at is not None and parent.expires_at is not None and expires_at > parent.expires_at:
        raise Forbidden("Requested expiration time is more than redelegated trust can provide.")
    return {
        "expires_at": expires_at or parent.expires_at,
        "redelegation_count": left if may_be_handed_on else 0,
        "redelegated_trust_id": parent.id,
    }


def _view(req: Request, row: Row) -> dict[str, Any]:
    own = f"{req.base_url}{req.service.prefix}{_PATH}/{row.id}"
    roles = {"self": f"{own}/roles", "previous": None, "next": None}
    return {
        "id": row.id,
        "trustor_user_id": row.trustor_user_id,
        "trustee_user_id": row.trustee_user_id,
        "project_id": row.project_id,
        "impersonation": row.impersonation,
        "expires_at": iso_micro_z(row.expires_at) if row.expires_at else None,
        "remaining_uses": row.remaining_uses,
        "redelegation_count": row.redelegation_count,
        "redelegated_trust_id": row.redelegated_trust_id,
        "deleted_at": None,
        "roles_links": roles,
        "links": {"self": own},
    }


def _role(req: Request, role: Row) -> dict[str, Any]:
    link = f"{req.base_url}{req.service.prefix}/v3/roles/{role.id}"
    return {"id": role.id, "name": role.name, "domain_id": role.domain_id or None, "links": {"self": link}}


def _links(req: Request) -> dict[str, Any]:
    return {"self": req.url, "previous": None, "next": None}
