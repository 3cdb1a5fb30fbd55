"""Dynamic large objects: whatever has a prefix in a container, in the order of its names, read as one object.

https://docs.openstack.org/swift/latest/middleware.html#dynamic-large-objects. `X-Object-Manifest: CONTAINER/PREFIX`.
The size and the ETag are worked out from the listing. Of one whose segments fill more than `MOST_PAGES` of it they are
not known before it is read: it comes in chunks, whole, with the manifest's own ETag.
"""

import hashlib
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode

from ..http.listing import ObjectRow
from ..http.request import Handler, Request, path_of
from ..http.response import Refusal, Response
from ..large.concatenation import Concatenation, Piece, refuse

if TYPE_CHECKING:
    from ..room import ObjectStore

HEADER = "x-object-manifest"
AS_IT_IS = "multipart-manifest=get"
MOST_PAGES = 10
"""That are gone through for the size: 100,000 segments."""
ENDLESS = 1 << 62


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        self._next = next
        self._page: int = room.settings.limits.container_listing_limit

    async def __call__(self, request: Request) -> Response:
        if request.name is None:
            return await self._next(request)
        if request.method == "PUT" and HEADER in request.headers:
            _check(request.headers[HEADER])
        response = await self._next(request)
        if (
            HEADER in response.headers
            and response.status == 200
            and request.is_reading
            and request.query.get("multipart-manifest") != "get"
        ):
            return await self._show(request, response)
        return response

    def info(self) -> Mapping[str, Any]:
        return {"dlo": {}}

    async def _show(self, request: Request, response: Response) -> Response:
        container, _, prefix = unquote(response.headers[HEADER], errors="surrogateescape").partition("/")
        await response.close()
        if "," in request.headers.get("range", ""):  # as upstream: only single ones
            del request.headers["range"]
        segments = _Segments(self._next, request, container, prefix, self._page)
        if (refused := await segments.measure()) is not None:
            return refused
        whole = Concatenation(
            request.path,
            segments.size,
            segments.pieces,
            lambda path: self._next(request.sub("GET", path, query=AS_IT_IS)),
        )
        if segments.is_measured:
            response.entity = whole
            response.headers["etag"] = f'"{segments.etag}"'
            return response
        if request.method == "GET":
            await whole.begin(0, whole.size)
        response.stream = _closed(whole)
        return response


async def _closed(whole: Concatenation) -> AsyncIterator[bytes]:
    """All of it."""
    try:
        async for piece in whole.stream(0, whole.size):
            yield piece
    finally:
        await whole.close()


class _Segments:
    """The names with a prefix, a page at a time. Only the first page is kept; of the others, where they begin."""

    def __init__(self, next: Handler, request: Request, container: str, prefix: str, limit: int) -> None:
        self._next = next
        self._request = request
        self._path = path_of(request.account or "", container)
        self._prefix = prefix
        self._limit = limit
        self._first: Sequence[ObjectRow] = ()
        self._begins: list[int] = [0]
        self._markers: list[str] = [""]
        self.size = 0
        self.etag = ""
        self.is_measured = False

    async def measure(self) -> Response | None:
        """Find out size and ETag, if that is not too far; a refusal when there is no listing."""
        md5 = hashlib.md5(usedforsecurity=False)
        for number in range(MOST_PAGES):
            refused, rows = await self._page(self._markers[-1])
            if refused is not None:
                return refused
            if number == 0:
                self._first = rows
            for row in rows:
                self.size += row.bytes
                md5.update(row.hash.strip('"').encode())
            if len(rows) < self._limit:
                self.etag, self.is_measured = md5.hexdigest(), True
                return None
            self._begins.append(self.size)
            self._markers.append(rows[-1].name)
        self.size = ENDLESS
        return None

    async def pieces(self, start: int, end: int) -> AsyncGenerator[Piece, None]:
        """See `Pieces`."""
        number = bisect_right(self._begins, start) - 1
        begins = self._begins[number]
        rows = self._first if number == 0 else await self._page_or_refuse(self._markers[number])
        while True:
            for row in rows:
                if begins >= end:
                    return
                ends = begins + row.bytes
                if ends > start and row.bytes:
                    path = f"{self._path}/{row.name}"
                    yield Piece(
                        max(start, begins) - begins, min(end, ends) - begins, path=path, size=row.bytes
                    )
                begins = ends
            if len(rows) < self._limit:
                return
            rows = await self._page_or_refuse(rows[-1].name)

    async def _page(self, marker: str) -> tuple[Response | None, Sequence[ObjectRow]]:
        """A refusal, or a page."""
        query = urlencode({"prefix": self._prefix, "marker": marker}, errors="surrogateescape")
        response = await self._next(self._request.sub("GET", self._path, query=query))
        if response.listing is None:
            return response, ()
        return None, [row for row in response.listing.rows if isinstance(row, ObjectRow)]

    async def _page_or_refuse(self, marker: str) -> Sequence[ObjectRow]:
        """Raises `Refusal`."""
        refused, rows = await self._page(marker)
        if refused is not None:
            refuse(self._request.path, self._path, refused.status)
        return rows


def _check(value: str) -> None:
    """Raises `Refusal` 400."""
    container, _, prefix = value.partition("/")
    if not container or not prefix or "?" in value or "&" in value or prefix.startswith("/"):
        raise Refusal(400, "X-Object-Manifest must be in the format container/prefix")
