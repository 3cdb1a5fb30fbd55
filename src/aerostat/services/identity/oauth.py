"""Signatures of OAuth 1 requests (RFC 5849), as consumers and holders of access tokens send them.

oauthlib does the arithmetic. It is loaded when the first such request comes, for few clouds ever see one.
"""

from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import unquote

from aerostat.kernel.clock import clock
from aerostat.kernel.errors import BadRequest, Unauthorized
from aerostat.kernel.http import Request

_LATE_S = 300
_CHECKS = {
    "HMAC-SHA1": "verify_hmac_sha1",
    "HMAC-SHA256": "verify_hmac_sha256",
    "HMAC-SHA512": "verify_hmac_sha512",
}


class Signed:
    """The OAuth fields of one request's `Authorization` header, and what they were signed with it."""

    def __init__(self, fields: dict[str, str], method: str, urls: list[str], query: str) -> None:
        self._fields = fields
        self._method = method
        self._urls = urls
        self._query = query

    @classmethod
    def read(cls, req: Request) -> Self:
        """Raises `BadRequest` when the request is not signed."""
        header = req.headers.get("authorization", "")
        if not header.startswith("OAuth "):
            raise BadRequest("Expecting an OAuth signature in the Authorization header.")
        from oauthlib.oauth1.rfc5849.utils import parse_authorization_header

        try:
            fields = {name: unquote(value) for name, value in parse_authorization_header(header)}
        except ValueError:
            raise BadRequest("The Authorization header is malformed.") from None
        own = req.service.prefix + req.path  # a proxy before us may have changed the address
        return cls(fields, req.method, [req.url, req.house.public_url + own], req.query_string)

    def get(self, name: str) -> str:
        """Raises `BadRequest` when there is no such field."""
        value = self._fields.get(name)
        if not value:
            raise BadRequest(f"Expecting to find {name} in request.")
        return value

    def check(self, consumer_secret: str, token_secret: str | None = None) -> None:
        """Raises `Unauthorized` unless the request was signed with these, a short while ago."""
        from oauthlib.oauth1.rfc5849 import signature

        name = _CHECKS.get(self.get("oauth_signature_method"))
        stamp = self.get("oauth_timestamp")
        self.get("oauth_nonce")
        if name is None or not stamp.isdecimal() or abs(int(stamp) - clock.timestamp()) > _LATE_S:
            raise Unauthorized("Invalid signature.")
        unsigned = ("oauth_signature", "realm")
        pairs: list[Any] = [pair for pair in self._fields.items() if pair[0] not in unsigned]
        params = [*pairs, *signature.collect_parameters(uri_query=self._query)]
        for url in self._urls:
            request = SimpleNamespace(
                http_method=self._method, uri=url, params=params, signature=self.get("oauth_signature")
            )
            if getattr(signature, name)(request, consumer_secret, token_secret):
                return
        raise Unauthorized("Invalid signature.")
