"""Copies that are made here: `COPY` with `Destination`, and `PUT` with `X-Copy-From`.

https://docs.openstack.org/swift/latest/middleware.html#server-side-copy. The source is read as its reader may read it,
with the conditions and the range of the request; then the request goes on as a PUT of what was read.
"""

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from ..config import options_of
from ..http import conditions, paths, report
from ..http.request import Body, Handler, Request, is_true, path_of
from ..http.response import Entity, Refusal, Response
from ..stores.told import OVERRIDE

if TYPE_CHECKING:
    from ..room import ObjectStore

FROM, FROM_ACCOUNT = "x-copy-from", "x-copy-from-account"
TO, TO_ACCOUNT = "destination", "destination-account"
SYSMETA = "x-object-sysmeta-"
METADATA = ("x-object-meta-", SYSMETA, "x-object-transient-sysmeta-")
NOT_COPIED = frozenset({
    "x-static-large-object", "x-object-manifest", "etag", "content-type", "content-length", "x-timestamp",
    "last-modified", "accept-ranges", "content-range", "content-location", "x-manifest-etag", "x-parts-count",
    "x-object-version-id",
})  # fmt: skip
"""Headers of the source that are about how it was answered, and those that a copy gets in its own way."""
SLO, DLO = "x-static-large-object", "x-object-manifest"
QUERY = "multipart-manifest"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.copy]`"""

    yield_frequency: float = report.INTERVAL_S
    """Seconds between the blanks that tell a client that the work goes on."""


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        settings = options_of(room.settings, "copy", Settings)
        self._next = next
        self._most: int = room.settings.limits.max_file_size
        self._interval_s = settings.yield_frequency

    async def __call__(self, request: Request) -> Response:
        if request.name is None:
            return await self._next(request)
        if request.method == "COPY":
            return await self._copy(_as_put(request))
        if request.method == "PUT" and request.headers.get(FROM):
            return await self._copy(request)
        return await self._next(request)

    def info(self) -> Mapping[str, Any]:
        return {}

    async def _copy(self, request: Request) -> Response:
        """Raises `Refusal` 400, 412, 413."""
        if request.body.length or (request.body.length is None and "transfer-encoding" in request.headers):
            raise Refusal(400, "Copy requests require a zero byte body")
        headers = request.headers
        account = paths.account(headers[FROM_ACCOUNT]) if FROM_ACCOUNT in headers else request.account or ""
        container, name = paths.container_and_object("X-Copy-From", headers[FROM])
        is_beating = is_true(request.query.get("heartbeat", ""))
        source = await self._source(request, path_of(account, container, name))
        if source.status >= 300:
            return source
        try:
            entity = source.entity
            if entity is None or entity.size > self._most:
                raise Refusal(413)
            shown = _shown(account, f"{container}/{name}", source)
            _become_put_of(request, source, entity)
            shown |= {one: value for one, value in request.headers.items() if _is_metadata(one)}
        except BaseException:
            await source.close()
            raise
        if is_beating:
            kind = report.best_kind(headers.get("accept"), report.KINDS[:2]) or report.KINDS[0]
            work = self._reported(request, source, shown, kind)
            return await report.answer(work, kind, 202, at_once=True, interval_s=self._interval_s)
        return await self._put(request, source, shown)

    async def _source(self, request: Request, path: str) -> Response:
        query = dict(request.query)
        if query.get(QUERY) == "get":
            query["format"] = "raw"
        sent = {one: value for one, value in request.headers.items() if not one.startswith("content-")}
        asking = request.sub(
            "GET",
            path,
            query=urlencode(query, errors="surrogateescape"),
            headers={**sent, "x-newest": "true"},
        )
        return await conditions.apply(asking, await self._next(asking))

    async def _put(self, request: Request, source: Response, shown: Mapping[str, str]) -> Response:
        try:
            response = await self._next(request)
        finally:
            await source.close()
        if response.is_ok:
            response.headers.update(shown)
        return response

    async def _reported(
        self, request: Request, source: Response, shown: Mapping[str, str], kind: str
    ) -> bytes:
        try:
            response = await self._put(request, source, shown)
        except Refusal as refused:
            response = refused.response()
        errors: list[tuple[str, str]] = []
        line = report.status_line(response.status)
        if not response.is_ok:
            errors.append((shown["x-copied-from"], line))
        facts = {
            one.title(): value
            for one, value in {**shown, **response.headers}.items()
            if not one.startswith((SYSMETA, "x-backend"))
        }
        body = report.sentence(response)
        return report.write(kind, {**facts, "Response Status": line, "Response Body": body}, errors, "copy")


def _as_put(request: Request) -> Request:
    """A COPY of the source as the PUT to the destination that it asks for. Raises `Refusal` 412."""
    headers = request.headers
    if not headers.get(TO):
        raise Refusal(412, "Destination header required")
    source_account = account = request.account or ""
    if TO_ACCOUNT in headers:
        account = paths.account(headers.pop(TO_ACCOUNT))
    headers[FROM_ACCOUNT] = paths.quoted(source_account)
    container, name = paths.container_and_object("Destination", headers.pop(TO))
    headers[FROM] = paths.quoted(f"{request.container}/{request.name}")
    request.method = "PUT"
    request.set_path(f"/{request.version}" + path_of(account, container, name)[3:])
    return request


def _become_put_of(request: Request, source: Response, entity: Entity) -> None:
    """Give the request the bytes and the metadata of the source, where it does not say other ones itself."""
    said, found = dict(request.headers), source.headers
    said.pop(FROM, None)
    said.pop(FROM_ACCOUNT, None)
    is_fresh = is_true(said.get("x-fresh-metadata", ""))
    copied = {
        one: value
        for one, value in found.items()
        if (one.startswith(SYSMETA) if is_fresh else one not in NOT_COPIED)
    }
    is_slo, is_dlo = SLO in found, DLO in found
    is_manifest = request.query.get(QUERY) == "get"
    if source.status == 200 and not is_slo and (not is_dlo or is_manifest):
        copied["etag"] = found["etag"]
        said.pop("etag", None)
    else:  # the bytes are not those of which the ETag is, nor those that a listing tells of
        copied = {one: value for one, value in copied.items() if not one.startswith(OVERRIDE)}
    query = {one: value for one, value in request.query.items() if one not in ("version-id", "heartbeat")}
    if is_manifest:
        if is_slo:
            query[QUERY] = "put"
        if is_dlo:
            del query[QUERY]
            said[DLO] = found[DLO]
    if not said.get("content-type"):
        said["content-type"] = found["content-type"]
    request.headers = {**copied, **said, "content-length": str(entity.size)}
    request.set_query(urlencode(query, errors="surrogateescape"))
    request.body = Body(
        entity.data if entity.data is not None else _all(entity),
        None if entity.data is not None else entity.size,
    )


async def _all(entity: Entity) -> AsyncIterator[bytes]:
    async for piece in entity.stream(0, entity.size):
        yield piece


def _shown(account: str, path: str, source: Response) -> dict[str, str]:
    """What the answer tells of the source."""
    shown = {"x-copied-from-account": paths.quoted(account), "x-copied-from": paths.quoted(path)}
    for header, name in (("last-modified", "last-modified"), ("x-object-version-id", "version-id")):
        if header in source.headers:
            shown[f"x-copied-from-{name}"] = source.headers[header]
    return shown


def _is_metadata(name: str) -> bool:
    return name.startswith(METADATA) or name == "x-delete-at"
