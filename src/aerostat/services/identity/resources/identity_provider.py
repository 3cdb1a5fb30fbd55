"""Identity providers that this cloud trusts, and the protocols they speak.

https://docs.openstack.org/api-ref/identity/v3-ext/#os-federation-api. The providers themselves are other people's;
these are the records of them, each with a domain for its users and, per protocol, the mapping of what it says
(`mapping.py`).
"""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel import ids
from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.errors import BadRequest, Conflict
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import View, route

from .. import model
from ..errors import DomainNotFound, IdentityProviderNotFound, ProtocolNotFound
from ..rules import CLOUD_SCOPES, LOOK, policy_of, rules
from .shape import Named, changed, links

_BASE = "/v3/OS-FEDERATION/identity_providers"
_PROTOCOLS = _BASE + "/{idp_id}/protocols"
_ID = {"type": ["string", "null"], "minLength": 1, "maxLength": 64}
_REMOTE_IDS = {
    "type": ["array", "null"],
    "items": {"type": "string", "maxLength": 255},
    "uniqueItems": True,
}
_PROTOCOL = {"mapping_id": {"type": "string", "minLength": 1, "maxLength": 64}}
_REMOTE_ID = {"type": ["string", "null"], "maxLength": 64}


def _body(remote_id: dict[str, Any]) -> dict[str, Any]:
    properties = {**_PROTOCOL, "remote_id_attribute": remote_id}
    inner = {
        "type": "object",
        "properties": properties,
        "required": ["mapping_id"],
        "additionalProperties": False,
    }
    return {"type": "object", "properties": {"protocol": inner}, "required": ["protocol"]}


_CREATE, _UPDATE = _body(_REMOTE_ID), _body({**_REMOTE_ID, "type": "string"})


class IdentityProvider(Named):
    path = _BASE + "/{idp_id}"
    singular, plural = "identity_provider", "identity_providers"
    table = model.IDENTITY_PROVIDERS
    project_column = None
    not_found = IdentityProviderNotFound
    verbs = ("list", "show", "update", "delete")
    policy = policy_of("identity_provider", "identity_providers", list=LOOK, show=LOOK)
    extra_rules = rules(
        {
            "create_identity_provider": "rule:admin_required",
            **{f"{verb}_protocol": "rule:admin_required" for verb in ("create", "update", "delete")},
            "get_protocol": LOOK.text,
            "list_protocols": LOOK.text,
        },
        CLOUD_SCOPES,
    )

    id = Field(str, filter=True)
    domain_id = Field(str, create="optional", schema=_ID)
    enabled = Field(bool, create="optional", update="optional", default=False, filter=True)
    description = Field(str, create="optional", update="optional", nullable=True)
    authorization_ttl = Field(int, create="optional", update="optional", nullable=True, minimum=0)
    remote_ids = Field(list, create="optional", update="optional", schema=_REMOTE_IDS)
    links = links("OS-FEDERATION/")

    @route("PUT", _BASE + "/{idp_id}")
    async def put(self, req: Request, idp_id: str) -> Response:
        return await self.create_as(req, idp_id)

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        new["remote_ids"] = new.get("remote_ids") or []
        await self._check_remote_ids(req, new["id"], new["remote_ids"])
        if await req.db.find(model.IDENTITY_PROVIDERS, id=new["id"]) is not None:
            raise Conflict(
                f"Conflict occurred attempting to store identity_provider - Duplicate ID, {new['id']}."
            )
        if new.get("domain_id") is None:
            new["domain_id"] = await _make_domain(req, new["id"])
        elif await req.db.find(model.PROJECTS, id=new["domain_id"], is_domain=True) is None:
            raise DomainNotFound(id=new["domain_id"])
        return await super().create(req, new)

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        if "domain_id" in req.body["identity_provider"]:
            raise BadRequest("Cannot change the domain of an identity provider.")
        if "remote_ids" in changes:
            changes["remote_ids"] = changes["remote_ids"] or []
            await self._check_remote_ids(req, row.id, changes["remote_ids"])
        return await super().update(req, row, changes)

    def view(self, req: Request, row: Mapping[str, Any], brief: bool = False) -> View:
        view = super().view(req, row, brief)
        return {**view, "links": {**view["links"], "protocols": f"{view['links']['self']}/protocols"}}

    @route("GET", _PROTOCOLS)
    async def list_protocols(self, req: Request, idp_id: str) -> dict[str, Any]:
        req.check("identity:list_protocols")
        await self.find(req, idp_id)
        rows = await req.db.all(model.FEDERATION_PROTOCOLS, {"idp_id": idp_id}, order="id")
        own = {"self": req.url, "previous": None, "next": None}
        return {"protocols": [_protocol(req, row) for row in rows], "links": own}

    @route("PUT", _PROTOCOLS + "/{protocol_id}", body=_CREATE)
    async def create_protocol(self, req: Request, idp_id: str, protocol_id: str) -> Response:
        req.check("identity:create_protocol")
        await self.find(req, idp_id)
        asked = req.body["protocol"]
        await _check_mapping(req, asked)
        try:
            row = await req.db.insert(model.FEDERATION_PROTOCOLS, id=protocol_id, idp_id=idp_id, **asked)
        except Duplicate:
            raise Conflict(
                f"Conflict occurred attempting to store federation_protocol - Duplicate ID, {protocol_id}."
            ) from None
        return Response({"protocol": _protocol(req, row)}, 201)

    @route("GET", _PROTOCOLS + "/{protocol_id}")
    async def show_protocol(self, req: Request, idp_id: str, protocol_id: str) -> dict[str, Any]:
        req.check("identity:get_protocol")
        return {"protocol": _protocol(req, await _find_protocol(req, idp_id, protocol_id))}

    @route("PATCH", _PROTOCOLS + "/{protocol_id}", body=_UPDATE)
    async def update_protocol(self, req: Request, idp_id: str, protocol_id: str) -> dict[str, Any]:
        req.check("identity:update_protocol")
        row = await _find_protocol(req, idp_id, protocol_id)
        asked = req.body["protocol"]
        await _check_mapping(req, asked)
        await req.db.update(model.FEDERATION_PROTOCOLS, {"id": row.id, "idp_id": idp_id}, **asked)
        return {"protocol": _protocol(req, await _find_protocol(req, idp_id, protocol_id))}

    @route("DELETE", _PROTOCOLS + "/{protocol_id}", status=204)
    async def delete_protocol(self, req: Request, idp_id: str, protocol_id: str) -> None:
        req.check("identity:delete_protocol")
        row = await _find_protocol(req, idp_id, protocol_id)
        await req.db.delete(model.FEDERATION_PROTOCOLS, id=row.id, idp_id=idp_id)

    async def _check_remote_ids(self, req: Request, own_id: str, remote_ids: list[str]) -> None:
        """No two providers are known by the same name."""
        for row in await req.db.all(model.IDENTITY_PROVIDERS):
            for taken in set(remote_ids) & set(row.remote_ids):
                if row.id != own_id:
                    raise Conflict(
                        f"Conflict occurred attempting to store remote_id - Duplicate remote ID: {taken}"
                    )


async def _make_domain(req: Request, idp_id: str) -> str:
    """A domain for the users of a provider that is given none."""
    id = ids.new_hex_id()
    text = f"Made for the users of identity provider {idp_id}."
    await req.db.insert(model.PROJECTS, id=id, name=id, is_domain=True, description=text)
    changed(req)
    return id


async def _check_mapping(req: Request, asked: Mapping[str, Any]) -> None:
    if await req.db.find(model.MAPPINGS, id=asked["mapping_id"]) is None:
        raise BadRequest(f"Could not find mapping: {asked['mapping_id']}.")


async def _find_protocol(req: Request, idp_id: str, protocol_id: str) -> Row:
    row = await req.db.find(model.FEDERATION_PROTOCOLS, id=protocol_id, idp_id=idp_id)
    if row is None:
        raise ProtocolNotFound(id=protocol_id, idp_id=idp_id)
    return row


def _protocol(req: Request, row: Row) -> View:
    provider = f"{req.base_url}{req.service.prefix}{_BASE}/{row.idp_id}"
    own = {"self": f"{provider}/protocols/{row.id}", "identity_provider": provider}
    shown = {"id": row.id, "mapping_id": row.mapping_id, "links": own}
    if row.remote_id_attribute is not None:
        shown["remote_id_attribute"] = row.remote_id_attribute
    return shown
