"""Static large objects: a manifest names the segments, each with its ETag, and is read as their concatenation.

https://docs.openstack.org/swift/latest/middleware.html#static-large-objects. What a manifest says is in `large/`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET

from ..config import options_of
from ..http import conditions, report
from ..http.constraints import check_content_type, check_utf8
from ..http.request import Body, Handler, Request, is_true, path_of
from ..http.response import Entity, Refusal, Response, Whole, refusal
from ..large import checking, manifest
from ..large.concatenation import Concatenation
from ..large.manifest import Manifest, Wanted
from ..large.removal import Removal, manifest_at
from ..large.tree import ETAG, SIZE, SLO, Tree, is_manifest, load
from ..pipeline import guarded
from ..proxy.upload import md5_of
from ..stores.told import OVERRIDE

if TYPE_CHECKING:
    from ..room import ObjectStore

QUERY = "multipart-manifest"
AS_IT_IS = f"{QUERY}=get"
LENGTHS = {"content-length", "transfer-encoding"}
NOT_SATISFIABLE = "The requested part number is not satisfiable"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.slo]`"""

    max_manifest_segments: int = 1000
    max_manifest_size: int = manifest.MOST_BYTES
    """In bytes."""
    allow_async_delete: bool = True
    """Let segments be left to the expirer."""
    yield_frequency: float = report.INTERVAL_S
    """Seconds between the blanks that tell a client that the work goes on."""


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        settings = options_of(room.settings, "slo", Settings)
        self._room = room
        self._next = next
        self._handler = guarded(self)
        self._most_segments = settings.max_manifest_segments
        self._most_bytes = settings.max_manifest_size
        self._is_async_allowed = settings.allow_async_delete
        self._interval_s = settings.yield_frequency

    async def __call__(self, request: Request) -> Response:
        if request.name is None:
            return await self._next(request)
        if request.method in ("GET", "HEAD"):
            return await self._show(request, await self._next(request))
        if request.query:
            asked = request.query.get(QUERY)
            if asked == "put" and request.method == "PUT":
                return await self._put(request)
            if asked == "delete" and request.method == "DELETE":
                return await self._delete(request)
        if SLO in request.headers and not request.is_inner:
            raise Refusal(
                400,
                "X-Static-Large-Object is a reserved header. "
                "To create a static large object add query param multipart-manifest=put.",
            )
        return await self._next(request)

    def info(self) -> Mapping[str, Any]:
        return {
            "slo": {
                "max_manifest_segments": self._most_segments,
                "max_manifest_size": self._most_bytes,
                "yield_frequency": self._interval_s,
                "min_segment_size": 1,
                "allow_async_delete": self._is_async_allowed,
            }
        }

    # Reading

    async def _show(self, request: Request, response: Response) -> Response:
        if SLO not in response.headers or response.status != 200 or not is_manifest(response):
            return response
        assert response.entity is not None
        query = request.query
        if query.get(QUERY) == "get":
            if query.get("format") == "raw":
                raw = manifest.as_sent(await load(response))
                response.headers["etag"] = md5_of(raw)
                response.entity = Whole(raw)
            else:
                response.headers["content-type"] = "application/json; charset=utf-8"
            return response
        try:
            part = _part_number(request)
        except Refusal:
            await response.close()
            raise
        headers = response.headers
        own = {name: headers.pop(name) for name in list(headers) if name.startswith((ETAG, SIZE, OVERRIDE))}
        headers["x-manifest-etag"], headers["etag"] = headers["etag"], f'"{own[ETAG]}"'
        kept = _Kept(response.entity)
        tree = Tree(
            request.path,
            path_of(request.account or ""),
            kept.manifest,
            lambda path: self._ask(request, "GET", path, AS_IT_IS),
        )
        whole = Concatenation(
            request.path,
            int(own[SIZE]),
            tree.pieces,
            lambda path: self._next(request.sub("GET", path, query=AS_IT_IS)),
            kept.close,
        )
        response.entity = whole
        return response if part is None else await self._part(request, response, whole, kept, part)

    async def _part(
        self, request: Request, response: Response, whole: Concatenation, kept: "_Kept", number: int
    ) -> Response:
        """One segment, counted from 1, as the range of the whole that it is."""
        found = await kept.manifest()
        headers = response.headers
        headers["x-parts-count"] = str(len(found.segments))
        if number > len(found.segments):
            await response.close()
            headers["content-range"] = f"bytes */{whole.size}"
            text = NOT_SATISFIABLE if request.method == "GET" else ""
            return refusal(416, text, {**headers, "content-type": "text/plain; charset=UTF-8"})
        if status := conditions.unmet(request, response):
            await response.close()
            return refusal(412, None, headers) if status == 412 else Response(304, headers)
        start, end = found.bounds(number - 1)
        response.status = 206
        headers["content-range"] = f"bytes {start}-{end - 1}/{whole.size}"
        if request.method == "GET":
            await conditions.begin(whole, start, end)
        response.entity = conditions.Parts([(b"", start, end)], b"", whole)
        return response

    async def _ask(self, request: Request, method: str, path: str, query: str = "") -> Response:
        """Something of the same account at `container/object`, as the client may have it, below this layer."""
        return await self._next(request.sub(method, f"{path_of(request.account or '')}/{path}", query=query))

    # Writing

    async def _put(self, request: Request) -> Response:
        if request.headers.get("x-copy-from"):
            raise Refusal(405, "Multipart Manifest PUTs cannot be COPY requests")
        wanted = await self._wanted(request)
        kind = report.best_kind(request.headers.get("accept")) or report.KINDS[0]
        if is_true(request.query.get("heartbeat", "")):
            work = self._reported(request, wanted, kind)
            return await report.answer(work, kind, 202, at_once=True, interval_s=self._interval_s)
        response, problems = await self._write(request, wanted)
        if problems:
            response = Response(400, {"content-type": kind}, report.write(kind, {}, problems, "upload"))
        return response

    async def _reported(self, request: Request, wanted: list[Wanted], kind: str) -> bytes:
        """What became of it, for the end of an answer that has begun."""
        problems: checking.Problems = []
        try:
            response, problems = await self._write(request, wanted)
        except Refusal as refused:
            response = refused.response()
        facts = {"Response Status": report.status_line(response.status)}
        if response.is_ok:
            facts |= {"Etag": response.headers["etag"], "Last Modified": response.headers["last-modified"]}
        facts["Response Body"] = report.sentence(response)
        return report.write(kind, facts, problems, "upload")

    async def _wanted(self, request: Request) -> list[Wanted]:
        """Raises `Refusal` 400, 411, 413."""
        length = request.body.length
        if not (request.is_inner or LENGTHS & request.headers.keys()):
            raise Refusal(411, "Missing Content-Length header.")
        too_large = Refusal(413, f"Manifest File > {self._most_bytes} bytes")
        if length is not None and length > self._most_bytes:
            raise too_large
        try:
            body = await request.body.read(self._most_bytes)
        except Refusal as refused:
            raise (too_large if refused.status == 413 else refused) from None
        wanted = manifest.parse(body, f"{request.container}/{request.name}")
        if sum(one.data is None for one in wanted) > self._most_segments:
            raise Refusal(413, f"Number of object-backed segments must be <= {self._most_segments}")
        return wanted

    async def _write(self, request: Request, wanted: list[Wanted]) -> tuple[Response, checking.Problems]:
        """Look at every segment, and write the manifest if nothing is wrong with them. Raises `Refusal` 422."""
        account = path_of(request.account or "")
        segments, problems = await checking.check(
            wanted, lambda path: self._handler(request.sub("HEAD", f"{account}/{path}"))
        )
        if problems:
            return refusal(400), problems
        etag, size = manifest.etag_of(segments), Manifest(segments).size
        asked = request.headers.get("etag", "").strip().strip('"')
        if asked and asked != etag:
            raise Refusal(422)
        body = manifest.write(segments)
        own = md5_of(body)
        shown, semicolon, options = request.headers.get(OVERRIDE + "etag", "").partition(";")
        check_content_type(request)
        request.headers.update(
            {
                "content-length": str(len(body)),
                "etag": own,
                SLO: "True",
                ETAG: etag,
                SIZE: str(size),
                OVERRIDE
                + "etag": f"{(shown or own) + semicolon + options}; slo_etag={etag}; slo_bytes={size}",
            }
        )
        request.body = Body(body)
        response = await self._next(request)
        if response.is_ok:
            response.headers["etag"] = f'"{etag}"'
        return response, []

    # Deleting

    async def _delete(self, request: Request) -> Response:
        assert request.container is not None
        check_utf8(request.path, "Path")
        path = f"{request.container}/{request.name}"
        version = request.query.get("version-id")
        of_version = (
            urlencode({"version-id": version}, errors="surrogateescape") if version is not None else ""
        )

        def query(of: str, *parts: str) -> str:
            return "&".join(part for part in (*parts, of_version if of == path else "") if part)

        async def get(of: str) -> Response:
            return await self._ask(request, "GET", of, query(of, AS_IT_IS))

        if self._is_async_allowed and is_true(request.query.get("async", "")):
            await self._leave_to_expirer(request, await manifest_at(path, get))
            return await self._next(request)

        async def delete(of: str) -> Response:
            return await self._ask(request, "DELETE", of, query(of))

        kind = report.best_kind(request.headers.get("accept"))
        if kind is None:
            raise Refusal(406)

        async def work() -> bytes:
            removal = Removal(path, get, delete)
            status, text, errors = await removal.run()
            facts = {
                "Response Status": report.status_line(status),
                "Response Body": text,
                "Number Deleted": removal.deleted,
                "Number Not Found": removal.missing,
            }
            return report.write(kind, facts, errors, "delete")

        return await report.answer(work(), kind, 200, at_once=False, interval_s=self._interval_s)

    async def _leave_to_expirer(self, request: Request, found: Manifest) -> None:
        """Note that the segments are to be deleted. Raises `Refusal` 400, 401, 403."""
        assert request.account is not None
        assert request.container is not None
        segments = [one for one in found.segments if one.name is not UNSET]
        names = [one.path.partition("/") for one in segments]
        containers = sorted({container for container, _, _ in names})
        if len(containers) > 1:
            listed = ", ".join(f'"{quote(one)}"' for one in containers)
            raise Refusal(400, f"All segments must be in one container. Found segments in {listed}")
        if any(one.sub_slo is True for one in segments):
            raise Refusal(400, "No segments may be large objects.")
        for container in dict.fromkeys((request.container, *containers)):
            info = await self._room.infos.container(request.account, container)
            asking = request.sub("DELETE", path_of(request.account, container, request.name))
            await asking.check(info.write_acl if info is not None else None)
        if segments:
            await self._room.expiry.ask(
                request.moment(), request.account, containers[0], [name for _, _, name in names]
            )


class _Kept:
    """The bytes of a manifest, which are read when they are needed."""

    def __init__(self, entity: Entity) -> None:
        self._response: Response | None = Response(200, entity=entity)
        self._manifest: Manifest | None = None

    async def manifest(self) -> Manifest:
        """Raises `Refusal` 500 when it is damaged."""
        if self._manifest is None:
            assert self._response is not None
            self._manifest = await load(self._response)
        return self._manifest

    async def close(self) -> None:
        if self._response is not None:
            await self._response.close()


def _part_number(request: Request) -> int | None:
    """Raises `Refusal` 400."""
    if (asked := request.query.get("part-number")) is None:
        return None
    if not (asked.isascii() and asked.isdigit()) or int(asked[:20]) < 1:
        raise Refusal(400, "Part number must be an integer greater than 0")
    if request.method == "GET" and "range" in request.headers:
        raise Refusal(400, "Range requests are not supported with part number queries")
    return int(asked[:20])
