"""Temporary URLs: whoever has one may do one thing with one object, or with those of a prefix, for a while.

https://docs.openstack.org/swift/latest/api/temporary_url_middleware.html

    signature = HMAC(key, "METHOD\\nEXPIRES\\n/v1/ACCOUNT/CONTAINER/OBJECT"), key of the account or the container

HEAD goes by any method's signature. What is written by such a URL cannot point to what the URL does not open.
"""

import calendar
import hmac
import time
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

from ..config import options_of
from ..http.constraints import http_date
from ..http.request import Authorize, Handler, Request
from ..http.response import Refusal, Response
from ..http.user import User
from ..proxy import access, signatures
from .staticweb import GENERATOR

if TYPE_CHECKING:
    from ..room import ObjectStore

POINTERS = ("x-object-manifest", "x-symlink-target", "x-copy-from")
"""Refused with what writes."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.tempurl]`. Names of headers may end with `*`."""

    methods: tuple[str, ...] = ("GET", "HEAD", "PUT", "POST", "DELETE")
    incoming_remove_headers: tuple[str, ...] = ("x-timestamp", "x-open-expired")
    incoming_allow_headers: tuple[str, ...] = ()
    outgoing_remove_headers: tuple[str, ...] = ("x-object-meta-*",)
    outgoing_allow_headers: tuple[str, ...] = ("x-object-meta-public-*",)
    allowed_digests: tuple[str, ...] = signatures.DIGESTS


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        """Raises `ConfigError` for settings that make no sense."""
        self._room = room
        self._next = next
        self._settings = options_of(room.settings, "tempurl", Settings)

    def info(self) -> Mapping[str, Any]:
        told = msgspec.to_builtins(self._settings)
        old = [name for name in self._settings.allowed_digests if name in signatures.OLD_DIGESTS]
        return {"tempurl": {**told, **({"deprecated_digests": old} if old else {})}}

    async def __call__(self, request: Request) -> Response:
        query = request.query
        if request.method == "OPTIONS" or not ("temp_url_sig" in query or "temp_url_expires" in query):
            return await self._next(request)
        until_s = _moment(query.get("temp_url_expires", ""))
        scope = await self._scope(request, until_s)
        if request.method not in ("GET", "HEAD"):
            for name in POINTERS:
                if name in request.headers:
                    raise Refusal(400, f"The header '{name.title()}' is not allowed in this tempurl")
        settings = self._settings
        _strip(request.headers, settings.incoming_remove_headers, settings.incoming_allow_headers)
        assert request.account is not None
        request.user = User(name=signatures.TEMPORARY, account=request.account)
        request.authorize = _within(request.account, request.container if scope == "container" else None)
        kept = {name: query[name] for name in _KEPT if name in query}
        request.set_query(urlencode(kept, errors="surrogateescape"))
        at_root = request.name is None
        response = await self._next(request)
        _strip(response.headers, settings.outgoing_remove_headers, settings.outgoing_allow_headers)
        if request.is_reading and response.is_ok:
            is_page = response.headers.get("x-backend-content-generator") == GENERATOR
            if at_root and not is_page:
                await response.close()
                raise _invalid(request)
            _say_how_to_keep(request, response, query, is_page=is_page)
            response.headers["expires"] = http_date(until_s)
        return response

    async def _scope(self, request: Request, until_s: int) -> signatures.Scope:
        """Of the key that signed it. Raises `Refusal` 401 when none did."""
        query = request.query
        account, container = request.account, request.container
        prefix = query.get("temp_url_prefix")
        is_listing = request.is_reading and prefix == ""  # the root of a static site
        is_whole = bool(request.name and request.name.strip("/")) or (is_listing and request.name is None)
        known = request.version == "v1" and request.method in self._settings.methods
        if not (until_s and known and account and container and is_whole):
            raise _invalid(request)
        try:
            digest, signature = signatures.read(query.get("temp_url_sig", ""))
        except ValueError:
            raise _invalid(request) from None
        ip_range = query.get("temp_url_ip_range")
        if digest not in self._settings.allowed_digests or not _is_within(request.client, ip_range):
            raise _invalid(request)
        name = request.name or ""
        if prefix is None:
            path = f"/v1/{account}/{container}/{name}"
        elif name.startswith(prefix):
            path = f"prefix:/v1/{account}/{container}/{prefix}"
        else:
            raise _invalid(request)
        before = f"ip={ip_range}\n" if ip_range else ""
        methods = ("HEAD", "GET", "POST", "PUT") if request.method == "HEAD" else (request.method,)
        texts = [
            f"{before}{method}\n{until_s}\n{path}".encode("utf-8", "surrogateescape") for method in methods
        ]
        for key, scope in await signatures.keys(self._room, account, container):
            for text in texts:
                if hmac.compare_digest(hmac.digest(key, text, digest).hex(), signature):
                    return scope
        raise _invalid(request)


_KEPT = ("temp_url_sig", "temp_url_expires", "temp_url_prefix", "filename", "inline")


def _invalid(request: Request) -> Refusal:
    headers = access.unauthorized(request.account).headers
    return Refusal(401, "401 Unauthorized: Temp URL invalid\n", headers)


def _moment(text: str) -> int:
    """Seconds since 1970, of a number or an ISO date; 0 for what is past, and for what is no time."""
    try:
        moment = int(text)
    except ValueError:
        try:
            moment = calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
        except (ValueError, OverflowError):
            return 0
    return moment if time.time() <= moment < 1 << 40 else 0


def _is_within(client: str, ip_range: str | None) -> bool:
    if not ip_range:
        return True
    try:
        return ip_address(client) in ip_network(ip_range)
    except ValueError:
        return False


def _within(account: str, container: str | None) -> Authorize:
    """Lets in what is of the account, or of the container; ACLs do not matter."""

    async def authorize(request: Request, acl: str | None) -> None:
        if request.account != account or (container is not None and request.container != container):
            raise access.unauthorized(request.account)

    return authorize


def _strip(headers: dict[str, str], removed: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    for name in [one for one in headers if _fits(one, removed) and not _fits(one, allowed)]:
        del headers[name]


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(
        name.startswith(pattern[:-1].lower()) if pattern.endswith("*") else name == pattern.lower()
        for pattern in patterns
    )


def _say_how_to_keep(
    request: Request, response: Response, query: Mapping[str, str], *, is_page: bool
) -> None:
    """`Content-Disposition`: by the URL, else as the object has it, else a file with its name."""
    filename = query.get("filename")
    headers = response.headers
    if "inline" in query or is_page:
        disposition = _disposition("inline", filename) if filename else "inline"
    elif filename:
        disposition = _disposition("attachment", filename)
    elif not (disposition := headers.get("content-disposition", "")):
        disposition = _disposition("attachment", request.path.rstrip("/").rpartition("/")[2])
    headers["content-disposition"] = disposition.replace("\n", "%0A")


def _disposition(kind: str, filename: str) -> str:
    """https://www.rfc-editor.org/rfc/rfc6266: the plain name, and the name in UTF-8."""
    plain = quote(filename, safe=" /", errors="surrogateescape")
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, errors='surrogateescape')}"
