"""`GET /info`: the limits of this store and the features it has. https://docs.openstack.org/api-ref/object-store/#discoverability

With `admin_key` in the settings, whoever signs with it sees what only administrators may: a signature
`HMAC-SHA256(key, "METHOD\\nEXPIRES\\n/info")` and its end in `swiftinfo_sig` and `swiftinfo_expires`.
"""

import hmac
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ..config import options_of
from ..http.request import Handler, Request
from ..http.response import Refusal, Response

if TYPE_CHECKING:
    from ..room import ObjectStore

METHODS = ("GET", "HEAD", "OPTIONS")
DIGESTS = ("sha256", "sha512", "sha1")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.info]`"""

    admin_key: str = ""
    """With which administrators sign; empty: nobody can."""
    hidden: tuple[str, ...] = ()
    """What only administrators see, `SECTION` or `SECTION.NAME`."""


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        settings = options_of(room.settings, "info", Settings)
        self._room = room
        self._next = next
        self._key = settings.admin_key
        self._hidden = settings.hidden

    async def __call__(self, request: Request) -> Response:
        if request.path != "/info":
            return await self._next(request)
        if request.method not in METHODS:
            raise Refusal(405, None, {"allow": ", ".join(METHODS)})
        if request.method == "OPTIONS":
            return Response(200, {"allow": ", ".join(METHODS)})
        told = {name: dict(section) for name, section in self._room.info().items()}
        hidden: dict[str, Any] = {}
        for path in self._hidden:
            section, _, name = path.partition(".")
            if name and section in told and name in told[section]:
                hidden.setdefault(section, {})[name] = told[section].pop(name)
            elif not name and section in told:
                hidden[section] = told.pop(section)
        if "swiftinfo_sig" in request.query or "swiftinfo_expires" in request.query:
            self._check_signature(request)
            told["admin"] = {"disallowed_sections": list(self._hidden), **hidden}
        return Response(200, {"content-type": "application/json; charset=UTF-8"}, msgspec.json.encode(told))

    def _check_signature(self, request: Request) -> None:
        """Raises `Refusal` 401, 403."""
        if not self._key:
            raise Refusal(403)
        signature, expires = (
            request.query.get("swiftinfo_sig", ""),
            request.query.get("swiftinfo_expires", ""),
        )
        if not (expires.isascii() and expires.isdigit()) or int(expires[:20]) < time.time():
            raise Refusal(401)
        for method in ("GET", "HEAD") if request.method == "HEAD" else (request.method,):
            text = f"{method}\n{expires}\n/info".encode()
            for digest in DIGESTS:
                expected = hmac.new(self._key.encode(), text, digest).hexdigest()
                if hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogateescape")):
                    return
        raise Refusal(401)

    def info(self) -> Mapping[str, Any]:
        return {}
