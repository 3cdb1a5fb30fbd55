"""Objects of a container that has, or once had, versions.

A write makes a version first and then the link to it: until the link is written, all is as it was. What was there
before there were versions is copied to them before something else takes its place.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ... import timestamp
from ...http import constraints
from ...http.request import Body, Handler, Request, is_true, path_of
from ...http.response import HTML, Refusal, Response
from ...proxy.infos import ContainerInfo
from ...timestamp import Timestamp
from ..object_copy import as_upload
from .containers import ensure_versions_container
from .link import LINK, Current, Shown, current, link_headers
from .names import (
    CONTAINER,
    ENABLED,
    MARKER_TYPE,
    NULL,
    container_of_versions,
    name_of_version,
    parse_version,
)
from .shown import VERSION, as_version, marker_gone, null_only

if TYPE_CHECKING:
    from ...room import ObjectStore

CURRENT = "x-object-current-version-id"
EXPIRY = ("x-delete-at", "x-delete-after")
"""What is deleted in time is the link: the version stays."""


class Objects:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._room = room
        self._limits = room.settings.limits
        self._next = next

    async def __call__(self, request: Request) -> Response:
        if request.method != "OPTIONS" and (version := request.query.get("version-id")):
            return await self._of_version(request, version)
        if request.is_reading:
            return await self._show(request)
        if request.method not in ("PUT", "POST", "DELETE"):
            return await self._next(request)
        info = await self._room.infos.container(request.account, request.container)
        if info is None or CONTAINER not in info.headers:
            return await self._next(request)
        if request.method == "POST":
            return await self._post(request, info)
        if not is_true(info.headers.get(ENABLED, "")):
            return await self._next(request)
        return await (self._put if request.method == "PUT" else self._delete)(request, info)

    # Reading

    async def _show(self, request: Request) -> Response:
        response = await self._next(request)
        if (link := response.headers.get(LINK)) is not None:
            await response.close()
            found = await self._ask(request.method, request, parse_version(link), _newest(request))
            if (delete_at := response.headers.get("x-delete-at")) is not None:
                found.headers["x-delete-at"] = delete_at
            return as_version(request, found, link)
        info = await self._room.infos.container(request.account, request.container)
        if info is not None and CONTAINER in info.headers:
            response.headers[VERSION] = NULL
        return response

    async def _look(self, request: Request) -> Current:
        """What is under the name itself."""
        headers = {"x-newest": "true"}
        response = await self._next(request.sub("HEAD", request.path, headers=headers, is_allowed=True))
        await response.close()
        if response.status >= 500:
            raise Refusal(503)
        return current(response)

    async def _ask(
        self,
        method: str,
        request: Request,
        version: Timestamp,
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
    ) -> Response:
        """About a version, as the store itself."""
        return await self._next(self._sub(method, request, version, headers, body))

    def _sub(
        self,
        method: str,
        request: Request,
        version: Timestamp,
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
    ) -> Request:
        assert request.account is not None
        assert request.container is not None
        assert request.name is not None
        hidden = container_of_versions(request.container)
        path = path_of(request.account, hidden, name_of_version(request.name, version))
        return request.sub(method, path, headers=headers, body=body, is_allowed=True)

    # Writing

    async def _put(self, request: Request, info: ContainerInfo) -> Response:
        await request.check(info.write_acl)
        constraints.check_new_object(request, self._limits)
        constraints.delete_at(request.headers)
        asked = request.headers.pop("if-none-match", None)
        if asked is not None and asked.strip() != "*":
            raise Refusal(400, "If-None-Match only supports *")
        now = await self._look(request)
        if asked is not None and now.is_there:
            raise Refusal(412)
        await self._make_way(request, now)
        at = request.moment()
        shown: list[Shown] = []
        own = request.state.get("footers")

        def footers(size: int, md5: str) -> Mapping[str, str]:
            more = own(size, md5) if own is not None else {}
            shown.append(Shown.of({**request.headers, **more}, size, md5))
            return more

        headers = {name: value for name, value in request.headers.items() if name not in EXPIRY}
        made = self._sub("PUT", request, at, headers, request.body)
        made.at, made.state = at, {**request.state, "footers": footers}
        response = await self._next(made)
        if not response.is_ok:
            return response
        kept = {name: request.headers[name] for name in EXPIRY if name in request.headers}
        if asked is not None:
            kept["if-none-match"] = asked
        linked = await self._link(request, at, shown[-1], kept, at)
        if not linked.is_ok:
            if linked.status < 500:  # it is not there, for sure
                await self._ask("DELETE", request, at)
            return linked
        response.headers[VERSION] = timestamp.write(at)
        return response

    async def _link(
        self,
        request: Request,
        version: Timestamp,
        shown: Shown,
        more: Mapping[str, str],
        at: Timestamp | None,
    ) -> Response:
        """Make that version the current one. Where somebody else's is newer already, ours was current before it."""
        headers = {**link_headers(timestamp.write(version), shown), **more}
        made = request.sub("PUT", request.path, headers=headers, body=b"", is_allowed=True)
        made.at = at
        response = await self._next(made)
        return Response(201, {"content-type": HTML}) if response.status == 409 else response

    async def _make_way(self, request: Request, now: Current) -> None:
        """What comes is newer than what is there; and that is among the versions."""
        request.come_after(now.at)
        await ensure_versions_container(self._room, self._next, request)
        if not now.is_null:
            return
        path, headers = request.path, {"x-newest": "true"}
        source = await self._next(request.sub("GET", path, headers=headers, is_allowed=True))
        try:
            if source.status == 404 or LINK in source.headers:
                return
            if source.entity is None:
                raise Refusal(503)
            kept, body = as_upload(source)
            at = timestamp.parse(source.headers["x-timestamp"])
            copied = await self._ask("PUT", request, at, kept, body)
            if not copied.is_ok:
                raise Refusal(copied.status if copied.status in (413, 507) else 503)
        finally:
            await source.close()

    async def _delete(self, request: Request, info: ContainerInfo) -> Response:
        """A marker among the versions, then the link goes."""
        await request.check(info.write_acl)
        await self._make_way(request, await self._look(request))
        at = request.moment()
        marker = self._sub("PUT", request, at, {"content-type": MARKER_TYPE}, b"")
        marker.at = at
        response = await self._next(marker)
        if not response.is_ok:
            return response
        response = await self._unlink(request, at)
        if response.is_ok or response.status == 404:
            response.headers[VERSION] = timestamp.write(at)
        return response

    async def _unlink(self, request: Request, at: Timestamp) -> Response:
        """Where somebody has written since, that stays, and we were before it."""
        made = request.sub("DELETE", request.path, is_allowed=True)
        made.at = at
        response = await self._next(made)
        return Response(204, {"content-type": HTML}) if response.status == 409 else response

    async def _post(self, request: Request, info: ContainerInfo) -> Response:
        """To the version; the link is told what concerns it."""
        await request.check(info.write_acl)
        now = await self._look(request)
        if now.link is None:
            return await self._next(request)
        constraints.delete_at(request.headers)
        headers = {name: value for name, value in request.headers.items() if name not in EXPIRY}
        response = await self._ask("POST", request, parse_version(now.link), headers)
        if response.is_ok:
            names = ("content-type", *EXPIRY)
            told = {name: request.headers[name] for name in names if name in request.headers}
            await self._next(request.sub("POST", request.path, headers=told, is_allowed=True))
        return response

    # By version

    async def _of_version(self, request: Request, version: str) -> Response:
        if request.method == "POST":
            raise Refusal(400, "POST to a specific version is not allowed")
        info = await self._room.infos.container(request.account, request.container)
        has_versions = info is not None and CONTAINER in info.headers
        if version == NULL:
            if request.method == "PUT":
                raise Refusal(400, "Invalid version parameter")
            response = await self._next(request)
            return await null_only(response) if request.is_reading else response
        if info is None or not has_versions:
            await request.check(
                _acl(request, info)
            )  # whether there are versions is not for everybody to know
            raise Refusal(400, "version-aware operations require that the container is versioned")
        wanted = parse_version(version)
        if request.is_reading:
            await request.check(None)
            found = await self._ask(request.method, request, wanted, _newest(request))
            return await marker_gone(as_version(request, found, version), version)
        if request.method == "DELETE":
            return await self._delete_version(request, wanted)
        if request.method == "PUT":
            return await self._restore(request, info, wanted)
        return await self._next(request)

    async def _delete_version(self, request: Request, version: Timestamp) -> Response:
        """When it is the current one, nothing is current afterwards."""
        await request.check(None)
        now = await self._look(request)
        is_current = now.link is not None and parse_version(now.link) == version
        if is_current:
            response = await self._unlink(request, now.at + 1)
            if not response.is_ok and response.status != 404:
                return response
        response = await self._ask("DELETE", request, version)
        response.headers[VERSION] = timestamp.write(version)
        response.headers[CURRENT] = NULL if is_current or now.link is None else now.link
        return response

    async def _restore(self, request: Request, info: ContainerInfo, version: Timestamp) -> Response:
        """That version becomes the current one."""
        await request.check(info.write_acl)
        constraints.delete_at(request.headers)
        async for _ in request.body:
            raise Refusal(400, "PUT version-id requests require a zero byte body")
        found = await self._ask("HEAD", request, version, {"x-newest": "true"})
        size = found.entity.size if found.entity is not None else 0
        await found.close()
        if found.status == 404 or found.headers.get("content-type") == MARKER_TYPE:
            raise Refusal(404, "The specified version does not exist")
        if not found.is_ok:
            return found
        now = await self._look(request)
        if is_true(info.headers.get(ENABLED, "")):
            await self._make_way(request, now)
        shown = Shown.of(found.headers, size, found.headers["etag"])
        kept = {name: request.headers[name] for name in EXPIRY if name in request.headers}
        response = await self._link(request, version, shown, kept, None)
        if response.is_ok:
            response.headers["etag"] = found.headers["etag"]
            response.headers[VERSION] = timestamp.write(version)
        return response


def _acl(request: Request, info: ContainerInfo | None) -> str | None:
    if info is None:
        return None
    return info.read_acl if request.is_reading else info.write_acl


def _newest(request: Request) -> dict[str, str]:
    return {"x-newest": "true"} if request.is_true("x-newest") else {}
