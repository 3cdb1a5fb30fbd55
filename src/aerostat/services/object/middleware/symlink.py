"""Symbolic links: objects without bytes that stand for another, by its name, or for what it is now (by its ETag).

https://docs.openstack.org/swift/latest/middleware.html#symlink. The target stands in the system metadata, quoted as it
is sent; what a listing tells of it goes with the ETag (`proxy/container.py`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

import msgspec

from ..config import options_of
from ..http import paths
from ..http.request import Handler, Request, path_of
from ..http.response import Refusal, Response
from ..large.tree import ETAG as SLO_ETAG
from ..large.tree import SIZE as SLO_SIZE
from ..proxy.upload import md5_of
from ..stores.told import OVERRIDE

if TYPE_CHECKING:
    from ..room import ObjectStore

TARGET = "x-symlink-target"
ACCOUNT, ETAG, BYTES = TARGET + "-account", TARGET + "-etag", TARGET + "-bytes"
KEPT = {name: "x-object-sysmeta-" + name.removeprefix("x-") for name in (TARGET, ACCOUNT, ETAG, BYTES)}
KEPT_TARGET = KEPT[TARGET]
OF_NOTHING = md5_of(b"")
NOT_SENT_ON = ("content-length", "transfer-encoding", TARGET, ACCOUNT, ETAG, BYTES)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.symlink]`"""

    symloop_max: Annotated[int, msgspec.Meta(ge=1)] = 2
    """Links that are followed, one to the next."""


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        settings = options_of(room.settings, "symlink", Settings)
        self._next = next
        self._most = settings.symloop_max

    async def __call__(self, request: Request) -> Response:
        if request.name is None:
            return await self._next(request)
        match request.method:
            case "GET" | "HEAD":
                response = await self._next(request)
                if KEPT_TARGET not in response.headers:
                    return response
                if request.query.get("symlink") == "get":
                    return _itself(response)
                return await _Walk(self._next, request, self._most).follow(request, response)
            case "PUT" if TARGET in request.headers:
                return await self._put(request)
            case "POST":
                return await self._post(request)
            case _:
                return await self._next(request)

    def info(self) -> Mapping[str, Any]:
        return {"symlink": {"symloop_max": self._most, "static_links": True}}

    async def _put(self, request: Request) -> Response:
        if request.body.length or any([True async for _ in request.body]):
            raise Refusal(400, "Symlink requests require a zero byte body")
        path, etag = _target(request)
        headers = request.headers
        if etag:
            size = await self._verified(request, path, etag)
            headers[KEPT[ETAG]], headers[KEPT[BYTES]] = etag, str(size)
        elif not headers.get("content-type"):
            headers["content-type"] = "application/symlink"
        headers.pop(ETAG, None)
        headers.pop(BYTES, None)
        for name in (TARGET, ACCOUNT):
            if name in headers:
                headers[KEPT[name]] = headers.pop(name)
        told = [headers.get(OVERRIDE + "etag", OF_NOTHING)]
        for name, option in (
            (TARGET, "target"),
            (ACCOUNT, "target_account"),
            (ETAG, "target_etag"),
            (BYTES, "target_bytes"),
        ):
            if (value := headers.get(KEPT[name])) is not None:
                told.append(f"symlink_{option}={value}")
        headers[OVERRIDE + "etag"] = "; ".join(told)
        return await self._next(request)

    async def _verified(self, request: Request, path: str, etag: str) -> int:
        """The size of the target, which must have that ETag. Raises `Refusal` 409, and what the target answers."""
        asking = request.sub("HEAD", path, headers=_sent_on(request))
        walk = _Walk(self._next, request, self._most, location=paths.quoted(path), etag=etag, is_static=True)
        found = await walk.follow(asking, await self._next(asking))
        size = found.entity.size if found.entity is not None else 0
        await found.close()
        if found.status == 404:
            raise Refusal(409, "X-Symlink-Target does not exist", {"content-location": walk.location})
        if not found.is_ok:
            raise Refusal(found.status)
        headers = request.headers
        options = [f"slo_etag={found.headers[SLO_ETAG]}"] if SLO_ETAG in found.headers else []
        if options and OVERRIDE + "etag" not in headers:
            headers[OVERRIDE + "etag"] = "; ".join((OF_NOTHING, *options))
        if not headers.get("content-type"):
            headers["content-type"] = found.headers["content-type"]
        return int(found.headers.get(SLO_SIZE, size))

    async def _post(self, request: Request) -> Response:
        """It is for the link itself, and its answer says so."""
        if TARGET in request.headers:
            raise Refusal(400, "A PUT request is required to set a symlink target")
        response = await self._next(request)
        headers = response.headers
        if not response.is_ok or KEPT_TARGET not in headers:
            return response
        account = headers.get(KEPT[ACCOUNT]) or paths.quoted(request.account or "")
        moved = {name: value for name, value in headers.items() if name.startswith("x-object-sysmeta-")}
        moved["location"] = f"/v1/{account}/{headers[KEPT_TARGET]}"
        if KEPT[ETAG] in headers:
            moved[ETAG] = headers[KEPT[ETAG]]
        raise Refusal(
            307,
            "The requested POST was applied to a symlink. "
            "POST directly to the target to apply requested metadata.",
            moved,
        )


class _Walk:
    """From a link to what it stands for. `location`: where it is, as the client may go there; `etag`: what it must have
    there; `is_static`: only links with an ETag are followed, as those without are what is linked to.
    """

    def __init__(
        self,
        next: Handler,
        request: Request,
        most: int,
        *,
        location: str = "",
        etag: str | None = None,
        is_static: bool = False,
    ) -> None:
        self._next = next
        self._request = request
        self._most = most
        self._etag = etag
        self._is_static = is_static
        self.location = location

    async def follow(self, request: Request, response: Response) -> Response:
        """`response` is the answer to `request`. Raises `Refusal` 409."""
        steps = 0
        while target := response.headers.get(KEPT_TARGET):
            headers = response.headers
            etag = headers.get(KEPT[ETAG])
            if self._is_static and etag is None:
                break
            await response.close()
            if self._etag and self._etag != (etag or headers.get("etag")):
                raise self._conflict("X-Symlink-Target-Etag headers do not match")
            if steps >= self._most:
                raise Refusal(409, f"Too many levels of symbolic links, maximum allowed is {self._most}")
            steps += 1
            account = headers.get(KEPT[ACCOUNT]) or paths.quoted(request.account or "")
            self.location = f"/v1/{account}/{target.lstrip('/')}"
            self._etag, self._is_static = etag, False
            request = self._request.sub(
                request.method,
                unquote(self.location, errors="surrogateescape"),
                headers=_sent_on(request),
            )
            response = await self._next(request)
        found = response.headers.get("etag")
        if self._etag and response.is_ok and found and self._etag != found:
            await response.close()
            raise self._conflict(
                f"Object Etag {found!r} does not match X-Symlink-Target-Etag header {self._etag!r}"
            )
        response.headers["content-location"] = self.location
        return response

    def _conflict(self, text: str) -> Refusal:
        return Refusal(409, text, {"content-location": self.location})


def _itself(response: Response) -> Response:
    """A link, with the names that clients know."""
    headers = response.headers
    headers.pop(OVERRIDE + "etag", None)  # a copy of the link gets its own
    for name, kept in KEPT.items():
        if kept in headers:
            headers[name] = headers.pop(kept)
    return response


def _sent_on(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name not in NOT_SENT_ON}


def _target(request: Request) -> tuple[str, str]:
    """The path of the target, and its ETag or nothing. Raises `Refusal` 400, 412."""
    headers = request.headers
    if unquote(headers[TARGET]).startswith("/"):
        raise Refusal(412, "X-Symlink-Target header must be of the form <container name>/<object name>")
    container, name = paths.container_and_object("X-Symlink-Target", headers[TARGET])
    headers[TARGET] = paths.quoted(f"{container}/{name}")
    account = request.account or ""
    if ACCOUNT in headers:
        account = paths.account(headers[ACCOUNT])
        headers[ACCOUNT] = paths.quoted(account)
    if (account, container, name) == (request.account, request.container, request.name):
        raise Refusal(400, "Symlink cannot target itself")
    etag = headers.get(ETAG, "").strip().strip('"')
    if any(char in etag for char in ';"\\'):
        raise Refusal(400, f"Bad {ETAG.title()} format")
    return path_of(account, container, name), etag
