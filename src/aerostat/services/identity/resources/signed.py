"""Signed EC2 and S3 requests turned into tokens, for the services that take such requests in.

Wire: /v3/ec2tokens and /v3/s3tokens. Only services and administrators may ask: whoever holds one signed request
must not get a token that does everything else as well.
"""

import base64
import binascii
import hashlib
import json
from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, Unauthorized
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import grants, model
from ..rules import rules
from ..signatures import is_signed, is_signed_text, is_signed_v4_text
from .auth import Auth

_ASKED = {"type": "object", "properties": {"access": {"type": "string"}}, "required": ["access"]}
_EC2 = {
    "type": "object",
    "properties": {"credentials": _ASKED, "ec2Credentials": _ASKED},
    "anyOf": [{"required": ["credentials"]}, {"required": ["ec2Credentials"]}],
}
_S3 = {
    "type": "object",
    "properties": {
        "credentials": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("access", "token", "signature")},
            "required": ["access", "token", "signature"],
        }
    },
    "required": ["credentials"],
}


class SignedRequest(Resource):
    extra_rules = rules({"ec2tokens": "rule:service_or_admin", "s3tokens": "rule:service_or_admin"})

    @route("POST", "/v3/ec2tokens", policy="identity:ec2tokens", body=_EC2)
    async def from_ec2(self, req: Request) -> Response:
        asked: dict[str, Any] = req.body.get("credentials") or req.body["ec2Credentials"]
        for name in ("params", "headers"):
            if not isinstance(asked.get(name) or {}, dict):
                raise BadRequest(f"Expecting an object as {name}.")
        key, secret = await self._key(req, asked["access"])
        if not is_signed(secret, asked):
            raise Unauthorized("EC2 signature not supplied or not valid.")
        return await self._token(req, key)

    @route("POST", "/v3/s3tokens", policy="identity:s3tokens", body=_S3)
    async def from_s3(self, req: Request) -> Response:
        asked = req.body["credentials"]
        try:
            text = base64.urlsafe_b64decode(asked["token"])
        except (binascii.Error, ValueError):
            raise BadRequest("Expecting the base64 of what was signed as token.") from None
        key, secret = await self._key(req, asked["access"])
        check = is_signed_v4_text if text.startswith(b"AWS4-HMAC-SHA256") else is_signed_text
        if not check(secret, text, asked["signature"]):
            raise Unauthorized("Credential signature mismatch")
        return await self._token(req, key)

    async def _key(self, req: Request, access: str) -> tuple[Row, str]:
        id = hashlib.sha256(access.encode()).hexdigest()
        row = await req.db.find(model.CREDENTIALS, id=id, type="ec2")
        kept = json.loads(row.blob) if row is not None else {}
        secret = kept.get("secret")
        if row is None or kept.get("access") != access or not isinstance(secret, str):
            raise Unauthorized("EC2 access key not found.")
        return row, secret

    async def _token(self, req: Request, key: Row) -> Response:
        tokens = req.house.state["identity"]
        await tokens.look()
        token, payload = tokens.issue(key.user_id, ("ec2credential",), project_id=key.project_id)
        context = await grants.context_of(req.db, payload)
        shown = await req.service.resource(Auth).shown(req, payload, context)
        return Response(shown, 200, {"X-Subject-Token": token, "Vary": "X-Auth-Token"})
