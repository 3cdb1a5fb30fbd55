"""The older way to keep what is overwritten: in another container that the user names and sees.

    X-Versions-Location: CONTAINER     a stack: DELETE brings the version before back
    X-History-Location: CONTAINER      a history: DELETE leaves a marker, and nothing comes back by itself

https://docs.openstack.org/swift/latest/middleware.html#module-swift.common.middleware.versioned_writes.legacy. Versions
are called `LENGTH NAME/TIME`, with the length of the name in three hexadecimal digits.

What is about to be overwritten is copied first. A copy made by somebody who died before the write is known by its time,
which is that of what is still current; what came back is known by a word kept with it. So a version that is there twice
is taken for one.
"""

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from .. import timestamp
from ..http.listing import ObjectRow
from ..http.request import Handler, Request, path_of
from ..http.response import Refusal, Response
from ..timestamp import Timestamp
from .object_copy import as_upload
from .object_versioning.names import CONTAINER, MARKER_TYPE

if TYPE_CHECKING:
    from ..room import ObjectStore

STACK, HISTORY = "x-versions-location", "x-history-location"
LOCATION = "x-container-sysmeta-versions-location"
MODE = "x-container-sysmeta-versions-mode"
RESTORED = "x-object-sysmeta-versions-restored-from"
"""Kept with an object that came back: the version it was."""
RAW = "symlink=get"


class Current(msgspec.Struct, frozen=True):
    """What is under a name now. `restored`: the version that it was before it came back."""

    is_there: bool
    at: Timestamp = 0
    restored: str | None = None


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._room = room
        self._next = next
        self._most = room.settings.limits.max_file_size

    async def __call__(self, request: Request) -> Response:
        if request.container is None or request.account is None:
            return await self._next(request)
        if request.name is None:
            return await self._container(request)
        if request.method not in ("PUT", "DELETE"):
            return await self._next(request)
        info = await self._room.infos.container(request.account, request.container)
        if info is None or (location := info.headers.get(LOCATION)) is None:
            return await self._next(request)
        await request.check(info.write_acl)
        history = _History(self._next, request, unquote(location).split("/")[0], self._most)
        if request.method == "PUT":
            return await history.put()
        if info.headers.get(MODE) == "history":
            return await history.delete()
        return await history.restore()

    async def _container(self, request: Request) -> Response:
        if request.method in ("PUT", "POST"):
            await self._set(request)
        response = await self._next(request)
        if location := response.headers.get(LOCATION):
            name = HISTORY if response.headers.get(MODE) == "history" else STACK
            response.headers[name] = location
        return response

    async def _set(self, request: Request) -> None:
        """Raises `Refusal` 400, 412."""
        headers = request.headers
        asked = {name: headers.pop(name) for name in (STACK, HISTORY) if name in headers}
        removals = [headers.pop(name.replace("x-", "x-remove-", 1), "") for name in (STACK, HISTORY)]
        given = {name: value for name, value in asked.items() if value}
        if len(given) > 1:
            raise Refusal(400, f"Only one of {STACK} or {HISTORY} may be specified")
        for name, value in given.items():
            if "/" in value or "\0" in unquote(value):
                raise Refusal(412, "Container name cannot contain slashes")
            info = await self._room.infos.container(request.account, request.container)
            if info is not None and CONTAINER in info.headers:
                await request.check(None)
                raise Refusal(400, "The container keeps versions of its objects in another way already.")
            headers[LOCATION] = value
            headers[MODE] = "history" if name == HISTORY else "stack"
        if not given and (asked or any(removals)):
            headers[LOCATION] = headers[MODE] = ""

    def info(self) -> Mapping[str, Any]:
        return {"versioned_writes": {"allowed_flags": [STACK, HISTORY]}}


class _History:
    """The versions of what one request is about."""

    def __init__(self, next: Handler, request: Request, location: str, most: int) -> None:
        assert request.account is not None
        assert request.name is not None
        self._next = next
        self._request = request
        self._account = request.account
        self._location = location
        self._most = most
        length = len(request.name.encode("utf-8", "surrogateescape"))
        self._prefix = f"{length:03x}{request.name}/"

    async def put(self) -> Response:
        request = self._request
        now = await self._look()
        if now.is_there:
            if request.headers.get("if-none-match", "").strip() == "*":
                raise Refusal(412)
            await self._settle(now)
            await self._keep()
        return await self._next(request)

    async def delete(self) -> Response:
        """The newest version is a marker then."""
        now = await self._look()
        if now.is_there:
            await self._settle(now)
            await self._keep()
        path = self._path(self._prefix + timestamp.write(max(timestamp.now(), now.at + 1)))
        headers = {"content-type": MARKER_TYPE}
        _check(await self._next(self._request.sub("PUT", path, headers=headers, body=b"", is_allowed=True)))
        return await self._next(self._request)

    async def restore(self) -> Response:
        """The version before is current then; a marker is taken away together with what it deleted."""
        now = await self._look()
        marker: str | None = None
        async for row in self._rows():
            if now.is_there and self._is_stale(row, now):
                await self._drop(row.name)
            elif row.content_type == MARKER_TYPE:
                if now.is_there or marker is not None:
                    break
                marker = row.name
            elif await self._bring_back(row.name):
                response = await self._drop(row.name)
                return response if marker is None else await self._drop(marker)
        return await self._next(self._request) if marker is None else await self._drop(marker)

    # Steps

    async def _look(self) -> Current:
        headers = {"x-newest": "true"}
        response = await self._ask("HEAD", self._request.path, headers=headers, query=RAW)
        await response.close()
        if response.status == 404:
            written = response.headers.get("x-backend-timestamp")
            return Current(False, timestamp.parse(written) if written else 0)
        _check(response)
        found = response.headers
        return Current(True, timestamp.parse(found["x-timestamp"]), found.get(RESTORED))

    async def _keep(self) -> None:
        """A copy of what is current among the versions, under its own time."""
        source = await self._ask("GET", self._request.path, headers={"x-newest": "true"}, query=RAW)
        if source.status != 404:
            await self._copy(source, None, {})

    async def _bring_back(self, name: str) -> bool:
        """False when that version is not there any more."""
        source = await self._ask("GET", self._path(name), headers={"x-newest": "true"}, query=RAW)
        if source.status == 404:
            return False
        await self._copy(source, self._request.path, {RESTORED: name})
        return True

    async def _copy(self, source: Response, path: str | None, more: Mapping[str, str]) -> None:
        """Raises `Refusal` 412, 413, 503."""
        try:
            _check(source)
            headers, body = as_upload(source)
            if source.entity is not None and source.entity.size > self._most:
                raise Refusal(413)
            headers.pop(RESTORED, None)
            path = path or self._path(self._prefix + source.headers["x-timestamp"])
            _check(
                await self._next(
                    self._request.sub("PUT", path, headers={**headers, **more}, body=body, is_allowed=True)
                )
            )
        finally:
            await source.close()

    async def _settle(self, now: Current) -> None:
        """Finish what somebody who brought a version back did not come to."""
        if now.restored is None:
            return
        async for row in self._rows():
            if not self._is_stale(row, now):
                break
            await self._drop(row.name)

    def _is_stale(self, row: ObjectRow, now: Current) -> bool:
        """Whether a version is what is current, or a marker above what has come back since."""
        try:
            at = timestamp.parse(row.name[len(self._prefix) :])
        except ValueError:
            return False
        if row.content_type == MARKER_TYPE:
            return now.restored is not None and now.restored < row.name and at < now.at
        return row.name == now.restored or at == now.at

    async def _drop(self, name: str) -> Response:
        response = await self._ask("DELETE", self._path(name))
        if response.status != 404:
            _check(response)
        return response

    async def _rows(self) -> AsyncIterator[ObjectRow]:
        """Versions, the newest first. Raises `Refusal` 412, 500."""
        marker = ""
        while True:
            asked = self._request.sub("GET", path_of(self._account, self._location), is_allowed=True)
            asked.query = {"prefix": self._prefix, "marker": marker, "reverse": "on"}
            found = await self._next(asked)
            if found.status == 404:
                return
            if found.listing is None:
                raise Refusal(412 if found.status < 500 else 500)
            rows = [row for row in found.listing.rows if isinstance(row, ObjectRow)]
            if not rows:
                return
            for row in rows:
                yield row
            marker = rows[-1].name

    async def _ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Response:
        return await self._next(
            self._request.sub(method, path, headers=headers, query=query, is_allowed=True)
        )

    def _path(self, name: str) -> str:
        return path_of(self._account, self._location, name)


def _check(response: Response) -> None:
    """Raises `Refusal` 412 for what the user can change (no such container, say), 503 for the rest."""
    if not response.is_ok:
        raise Refusal(412 if response.status < 500 else 503)
