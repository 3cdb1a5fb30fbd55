"""OAuth 2 for programs: an application credential as client id and secret gives a token of the cloud.

https://docs.openstack.org/api-ref/identity/v3-ext/#os-oauth2-api. Errors are OAuth's (RFC 6749, 5.2), not the room's.
"""

import base64
import binascii
from urllib.parse import parse_qs

from aerostat.kernel.clock import clock
from aerostat.kernel.errors import Unauthorized
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from ..login import log_in

_MOST_BYTES = 16_384


class OAuth2Token(Resource):
    @route("POST", "/v3/OS-OAUTH2/token", public=True, raw_body=True)
    async def grant(self, req: Request) -> Response:
        try:
            form = {
                name: values[-1] for name, values in parse_qs((await req.read(_MOST_BYTES)).decode()).items()
            }
        except (UnicodeDecodeError, ValueError):
            return _refusal(req, 400, "invalid_request", "The body is no form.")
        kind = form.get("grant_type")
        if kind is None:
            return _refusal(req, 400, "invalid_request", "The parameter grant_type is required.")
        if kind != "client_credentials":
            text = f"The parameter grant_type {kind} is not supported."
            return _refusal(req, 400, "unsupported_grant_type", text)
        id, secret = _basic(req) or (form.get("client_id"), form.get("client_secret"))
        if not id or not secret:
            return _refusal(req, 401, "invalid_client", "Client authentication failed.")
        key = {"id": id, "secret": secret}
        identity = {"methods": ["application_credential"], "application_credential": key}
        try:
            token, payload, _ = await log_in(req, req.house.state["identity"], {"identity": identity})
        except Unauthorized as error:
            return _refusal(req, 401, "invalid_client", error.text)
        shown = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(payload.expires_at - clock.timestamp()),
        }
        return Response(shown, 200, {"Cache-Control": "no-store"})


def _basic(req: Request) -> tuple[str, str] | None:
    """Id and secret from the `Authorization` header, if they are there."""
    kind, _, text = req.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        id, mark, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return (id, secret) if mark else None


def _refusal(req: Request, status: int, error: str, text: str) -> Response:
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = f'Keystone uri="{req.base_url}{req.house.sign_in_path}"'
    return Response({"error": error, "error_description": text}, status, headers)
