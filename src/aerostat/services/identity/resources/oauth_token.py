"""From a consumer's request over a user's consent to an access token, by OAuth 1; and what users gave away so.

https://docs.openstack.org/api-ref/identity/v3-ext/#os-oauth1-api. The consumer signs its requests (`oauth.py`) and has
no token of the cloud; with an access token it logs in by the method `oauth1`.
"""

import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from aerostat.kernel import ids
from aerostat.kernel.clock import now
from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Unauthorized
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import iso_micro_z

from .. import grants, model
from ..delegation import ROLES, check_not_delegated, roles_by_id
from ..errors import ConsumerNotFound, OAuthTokenNotFound, ProjectNotFound, RoleNotFound
from ..oauth import Signed
from ..rules import ADMIN, rules
from .shape import changed

_AUTHORIZE = {
    "type": "object",
    "properties": {"roles": {**ROLES, "minItems": 1}},
    "required": ["roles"],
}
_PATH = "/v3/OS-OAUTH1"
_ACCESSES = "/v3/users/{user_id}/OS-OAUTH1/access_tokens"


class OAuthToken(Resource):
    extra_rules = rules(
        {
            "authorize_request_token": ADMIN,
            "get_access_token": ADMIN,
            "get_access_token_role": ADMIN,
            "list_access_tokens": ADMIN,
            "list_access_token_roles": ADMIN,
            "delete_access_token": ADMIN,
        }
    )

    @route("POST", _PATH + "/request_token", public=True)
    async def request(self, req: Request) -> Response:
        """A consumer asks for a part of somebody's rights on the project in `Requested-Project-Id`."""
        signed = Signed.read(req)
        project_id = req.headers.get("requested-project-id")
        if not project_id:
            raise BadRequest("Expecting to find Requested-Project-Id in request.")
        consumer = await req.db.find(model.CONSUMERS, id=signed.get("oauth_consumer_key"))
        if consumer is None:
            raise ConsumerNotFound(id=signed.get("oauth_consumer_key"))
        signed.get("oauth_callback")
        signed.check(consumer.secret)
        if await req.db.find(model.PROJECTS, id=project_id, is_domain=False) is None:
            raise ProjectNotFound(id=project_id)
        row = await req.db.insert(
            model.OAUTH_REQUESTS,
            consumer_id=consumer.id,
            project_id=project_id,
            secret=secrets.token_hex(16),
            expires_at=_end(req.house.state["identity"].config.oauth1_request_token_lifetime_s),
        )
        return _form(row)

    @route("PUT", _PATH + "/authorize/{id}", body=_AUTHORIZE, policy="identity:authorize_request_token")
    async def authorize(self, req: Request, id: str) -> dict[str, Any]:
        """The user lets the consumer in, with roles that the user has; the verifier goes to the consumer."""
        check_not_delegated(req, "authorizing a request token")
        row = await _request(req, id)
        project = await req.db.get(model.PROJECTS, id=row.project_id)
        assert req.context.user_id is not None
        held = await grants.roles_on_project(req.db, req.context.user_id, project)
        asked: list[Row] = []
        for one in req.body["roles"]:
            found = [role for role in held if role.id == one.get("id") or role.name == one.get("name")]
            if not found:
                raise Unauthorized("The authorizing user does not have a role that was asked for.")
            asked.extend(found)
        verifier = secrets.token_hex(4)
        changes = {
            "user_id": req.context.user_id,
            "verifier": verifier,
            "role_ids": list(dict.fromkeys(role.id for role in asked)),
        }
        if not await req.db.update(model.OAUTH_REQUESTS, {"id": row.id, "user_id": None}, **changes):
            raise Unauthorized("The request token was authorized before.")
        return {"token": {"oauth_verifier": verifier}}

    @route("POST", _PATH + "/access_token", public=True)
    async def exchange(self, req: Request) -> Response:
        """An authorized request becomes an access token, once."""
        signed = Signed.read(req)
        verifier = signed.get("oauth_verifier")
        asked = await _request(req, signed.get("oauth_token"))
        consumer = await req.db.get(model.CONSUMERS, id=asked.consumer_id)
        if consumer.id != signed.get("oauth_consumer_key"):
            raise Unauthorized("Provided consumer key does not match stored consumer key.")
        signed.check(consumer.secret, asked.secret)
        if asked.user_id is None or not secrets.compare_digest(asked.verifier.encode(), verifier.encode()):
            raise Unauthorized("Provided verifier does not match stored verifier.")
        async with req.db.transaction() as tx:
            if not await tx.delete(model.OAUTH_REQUESTS, id=asked.id):
                raise OAuthTokenNotFound(kind="request", id=asked.id)
            row = await tx.insert(
                model.OAUTH_ACCESSES,
                id=ids.new_hex_id(),
                consumer_id=consumer.id,
                user_id=asked.user_id,
                project_id=asked.project_id,
                secret=secrets.token_hex(16),
                role_ids=asked.role_ids,
                expires_at=_end(req.house.state["identity"].config.oauth1_access_token_lifetime_s),
            )
        return _form(row)

    @route("GET", _ACCESSES)
    async def list_accesses(self, req: Request, user_id: str) -> dict[str, Any]:
        _check(req, "list_access_tokens", user_id)
        rows = await req.db.all(model.OAUTH_ACCESSES, {"user_id": user_id}, order="id")
        return {"access_tokens": [_view(req, row) for row in rows], "links": _links(req)}

    @route("GET", _ACCESSES + "/{id}")
    async def show_access(self, req: Request, user_id: str, id: str) -> dict[str, Any]:
        _check(req, "get_access_token", user_id)
        return {"access_token": _view(req, await _access(req, user_id, id))}

    @route("DELETE", _ACCESSES + "/{id}", status=204)
    async def delete_access(self, req: Request, user_id: str, id: str) -> None:
        _check(req, "delete_access_token", user_id)
        await _access(req, user_id, id)
        await req.db.delete(model.OAUTH_ACCESSES, id=id)
        changed(req)

    @route("GET", _ACCESSES + "/{id}/roles")
    async def list_roles(self, req: Request, user_id: str, id: str) -> dict[str, Any]:
        _check(req, "list_access_token_roles", user_id)
        roles = await roles_by_id(req, (await _access(req, user_id, id)).role_ids)
        return {"roles": [_role(req, role) for role in roles], "links": _links(req)}

    @route("GET", _ACCESSES + "/{id}/roles/{role_id}")
    async def show_role(self, req: Request, user_id: str, id: str, role_id: str) -> dict[str, Any]:
        _check(req, "get_access_token_role", user_id)
        access = await _access(req, user_id, id)
        roles = await roles_by_id(req, [role_id] if role_id in access.role_ids else [])
        if not roles:
            raise RoleNotFound(id=role_id)
        return {"role": _role(req, roles[0])}


def _check(req: Request, rule: str, user_id: str) -> None:
    req.check(f"identity:{rule}", {"user_id": user_id, "target": {"user": {"id": user_id}}})
    check_not_delegated(req, "managing access tokens")


async def _request(req: Request, id: str) -> Row:
    row = await req.db.find(model.OAUTH_REQUESTS, id=id)
    if row is None or await req.db.find(model.PROJECTS, id=row.project_id) is None:
        raise OAuthTokenNotFound(kind="request", id=id)
    if row.expires_at is not None and row.expires_at <= now():
        raise Unauthorized("Request token is expired.")
    return row


async def _access(req: Request, user_id: str, id: str) -> Row:
    row = await req.db.find(model.OAUTH_ACCESSES, id=id, user_id=user_id)
    if row is None:
        raise OAuthTokenNotFound(kind="access", id=id)
    return row


def _end(lifetime_s: int) -> Any:
    return now() + timedelta(seconds=lifetime_s) if lifetime_s else None


def _form(row: Row) -> Response:
    """An answer as OAuth has it: a form, not JSON; with colons in its times as upstream leaves them."""
    fields = {"oauth_token": row.id, "oauth_token_secret": row.secret}
    if row.expires_at is not None:
        fields["oauth_expires_at"] = iso_micro_z(row.expires_at)
    return Response(
        urlencode(fields, safe=":").encode(), 201, content_type="application/x-www-form-urlencoded"
    )


def _view(req: Request, row: Row) -> dict[str, Any]:
    own = f"{_own_url(req)}/users/{row.user_id}/OS-OAUTH1/access_tokens/{row.id}"
    return {
        "id": row.id,
        "consumer_id": row.consumer_id,
        "project_id": row.project_id,
        "authorizing_user_id": row.user_id,
        "expires_at": iso_micro_z(row.expires_at) if row.expires_at else None,
        "links": {"self": own, "roles": f"{own}/roles"},
    }


def _role(req: Request, role: Row) -> dict[str, Any]:
    link = f"{_own_url(req)}/roles/{role.id}"
    return {"id": role.id, "name": role.name, "domain_id": role.domain_id or None, "links": {"self": link}}


def _own_url(req: Request) -> str:
    return f"{req.base_url}{req.service.prefix}/v3"


def _links(req: Request) -> dict[str, Any]:
    return {"self": req.url, "previous": None, "next": None}
