"""Tokens and what one may be used for. https://docs.openstack.org/api-ref/identity/v3/#authentication-and-token-management"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from aerostat.kernel.context import Context
from aerostat.kernel.errors import Forbidden, NotFound, Unauthorized
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import iso_micro_z

from .. import grants, model
from ..login import RECEIPT_HEADER, log_in
from ..methods import METHODS
from ..receipts import MoreFactorsNeeded, seal
from ..rules import BASE, SYSTEM_READER, rules
from ..tokens import MOST_KEPT, Payload, Tokens

_LOG_IN = {
    "type": "object",
    "properties": {
        "auth": {
            "type": "object",
            "properties": {
                "identity": {
                    "type": "object",
                    "properties": {
                        "methods": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                        **{name: {"type": "object"} for name in METHODS},
                    },
                    "required": ["methods"],
                },
                "scope": {"type": ["object", "string", "null"]},
            },
            "required": ["identity"],
        }
    },
    "required": ["auth"],
}

_LOOK = f"({SYSTEM_READER}) or rule:service_role or rule:token_subject"


class Auth(Resource):
    """Not a thing with rows: a token is itself the record."""

    extra_rules = (
        *BASE,
        *rules(
            {
                "validate_token": _LOOK,
                "check_token": _LOOK,
                "revoke_token": "rule:admin_required or rule:token_subject",
            }
        ),
    )

    @route("POST", "/v3/auth/tokens", public=True, body=_LOG_IN)
    async def issue(self, req: Request) -> Response:
        try:
            token, payload, context = await log_in(req, _tokens(req), req.body["auth"])
        except MoreFactorsNeeded as more:
            return await self._receipt(req, more)
        shown = await self.shown(req, payload, context)
        return Response(shown, 201, {"X-Subject-Token": token, "Vary": "X-Auth-Token"})

    async def _receipt(self, req: Request, more: MoreFactorsNeeded) -> Response:
        user, receipt = more.user, more.receipt
        domain = await req.db.get(model.PROJECTS, id=user.domain_id)
        shown = {
            "receipt": {
                "methods": list(receipt.methods),
                "user": {
                    "id": user.id,
                    "name": user.name,
                    "domain": {"id": domain.id, "name": domain.name},
                },
                "issued_at": _moment(receipt.issued_at),
                "expires_at": _moment(receipt.expires_at),
            },
            "required_auth_methods": more.rules,
        }
        return Response(shown, 401, {RECEIPT_HEADER: seal(_tokens(req), receipt)})

    @route("GET", "/v3/auth/tokens")
    async def validate(self, req: Request) -> Response:
        token, payload, context = await self._subject(
            req, "identity:validate_token", allow_expired=req.flag("allow_expired")
        )
        shown = await self.shown(req, payload, context)
        return Response(shown, 200, {"X-Subject-Token": token, "Vary": "X-Auth-Token"})

    @route("HEAD", "/v3/auth/tokens")
    async def check(self, req: Request) -> Response:
        token, _, _ = await self._subject(
            req, "identity:check_token", allow_expired=req.flag("allow_expired")
        )
        return Response(None, 200, {"X-Subject-Token": token, "Vary": "X-Auth-Token"})

    @route("DELETE", "/v3/auth/tokens")
    async def revoke(self, req: Request) -> Response:
        _, payload, _ = await self._subject(req, "identity:revoke_token")
        await _tokens(req).revoke(audit_id=payload.audit_ids[0])
        return Response(None, 204)

    @route("GET", "/v3/auth/catalog")
    async def catalog(self, req: Request) -> dict[str, Any]:
        if not (req.context.project_id or req.context.domain_id or req.context.system_scope):
            raise Forbidden(
                "You are not authorized to perform the requested action: identity:get_auth_catalog."
            )
        return {"catalog": await _tokens(req).catalog.seen_by(req.context), "links": _own_links(req)}

    @route("GET", "/v3/auth/projects")
    async def projects(self, req: Request) -> dict[str, Any]:
        assert req.context.user_id is not None
        rows = await grants.projects_of(req.db, req.context.user_id)
        kind = req.service.resources["Project"]
        return {"projects": [kind.view(req, row) for row in rows], "links": _own_links(req)}

    @route("GET", "/v3/auth/domains")
    async def domains(self, req: Request) -> dict[str, Any]:
        assert req.context.user_id is not None
        rows = await grants.domains_of(req.db, req.context.user_id)
        kind = req.service.resources["Domain"]
        return {"domains": [kind.view(req, row) for row in rows], "links": _own_links(req)}

    @route("GET", "/v3/OS-FEDERATION/projects")
    async def projects_by_older_name(self, req: Request) -> dict[str, Any]:
        answer: dict[str, Any] = await self.projects.call(self, req)
        return answer

    @route("GET", "/v3/OS-FEDERATION/domains")
    async def domains_by_older_name(self, req: Request) -> dict[str, Any]:
        answer: dict[str, Any] = await self.domains.call(self, req)
        return answer

    @route("GET", "/v3/auth/system")
    async def system(self, req: Request) -> dict[str, Any]:
        assert req.context.user_id is not None
        held = await grants.roles_on(req.db, req.context.user_id, "system", "all")
        return {"system": [{"all": True}] if held else [], "links": _own_links(req)}

    async def _subject(
        self, req: Request, rule: str, *, allow_expired: bool = False
    ) -> tuple[str, Payload, Context]:
        """The token in `X-Subject-Token`. Raises `NotFound` when it is none or no longer good."""
        token = req.headers.get("x-subject-token")
        if not token:
            raise NotFound("Could not find token: no X-Subject-Token header.")
        try:
            payload, context = await _tokens(req).open(token, allow_expired=allow_expired)
        except Unauthorized as error:
            raise NotFound("Failed to validate token", detail=error.text) from None
        req.check(
            rule, {"target.token.user_id": payload.user_id, "target": {"token": {"user_id": payload.user_id}}}
        )
        return token, payload, context

    async def shown(self, req: Request, payload: Payload, context: Context) -> dict[str, Any]:
        """The body that describes a token."""
        kept = _tokens(req).bodies  # what is read now belongs into this one, even if it is dropped meanwhile
        audit_id = payload.audit_ids[0]
        token = kept.get(audit_id)
        if token is None:
            if len(kept) > MOST_KEPT:
                kept.clear()
            token = kept[audit_id] = await _described(req, payload, context)
        if payload.is_scoped and "nocatalog" not in req.query:
            return {"token": {**token, "catalog": await _tokens(req).catalog.seen_by(context)}}
        return {"token": token}


async def _described(req: Request, payload: Payload, context: Context) -> dict[str, Any]:
    """All of a token but its catalog."""
    user = await req.db.get(model.USERS, id=payload.user_id)
    token: dict[str, Any] = {
        "methods": list(payload.methods),
        "user": {
            "id": user.id,
            "name": user.name,
            "domain": {"id": context.user_domain_id, "name": context.user_domain_name},
            "password_expires_at": iso_micro_z(user.password_expires_at)
            if user.password_expires_at
            else None,
        },
        "audit_ids": list(payload.audit_ids),
        "expires_at": _moment(payload.expires_at),
        "issued_at": _moment(payload.issued_at),
    }
    if providers := await req.db.all(model.SERVICE_PROVIDERS, {"enabled": True}, order="id"):
        token["service_providers"] = [
            {key: row[key] for key in ("id", "auth_url", "sp_url")} for row in providers
        ]
    if payload.is_scoped:
        roles = await req.db.all(model.ROLES, {"name": context.roles, "domain_id": ""}, order="name")
        token["roles"] = [{"id": row.id, "name": row.name} for row in roles]
    if payload.project_id:
        token["project"] = {
            "id": context.project_id,
            "name": context.project_name,
            "domain": {"id": context.project_domain_id, "name": context.project_domain_name},
        }
        token["is_domain"] = False
    elif payload.domain_id:
        token["domain"] = {"id": context.domain_id, "name": context.domain_name}
    elif payload.system:
        token["system"] = {"all": True}
    return token | await _delegation(req, payload, context)


async def _delegation(req: Request, payload: Payload, context: Context) -> dict[str, Any]:
    """What the token was made with, if it stands for a part of somebody's rights."""
    if payload.application_credential_id:
        row = await req.db.get(model.APPLICATION_CREDENTIALS, id=payload.application_credential_id)
        shown: dict[str, Any] = {"id": row.id, "name": row.name, "restricted": not row.unrestricted}
        if context.access_rules is not None:
            shown["access_rules"] = [msgspec.structs.asdict(rule) for rule in context.access_rules]
        return {"application_credential": shown}
    if payload.trust_id:
        trust = await req.db.get(model.TRUSTS, id=payload.trust_id)
        return {
            "OS-TRUST:trust": {
                "id": trust.id,
                "impersonation": trust.impersonation,
                "trustor_user": {"id": trust.trustor_user_id},
                "trustee_user": {"id": trust.trustee_user_id},
            }
        }
    if payload.access_token_id:
        access = await req.db.get(model.OAUTH_ACCESSES, id=payload.access_token_id)
        return {"OS-OAUTH1": {"access_token_id": access.id, "consumer_id": access.consumer_id}}
    return {}


def _tokens(req: Request) -> Tokens:
    tokens: Tokens = req.house.state["identity"]
    return tokens


def _moment(timestamp: float) -> str:
    return iso_micro_z(datetime.fromtimestamp(timestamp, UTC))


def _own_links(req: Request) -> dict[str, Any]:
    return {"self": req.url, "previous": None, "next": None}
