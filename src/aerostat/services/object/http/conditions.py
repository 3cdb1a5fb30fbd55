"""From the whole object to what was asked of it: conditions first, then ranges.

https://www.rfc-editor.org/rfc/rfc9110#section-13 and section 14; where that leaves room, as upstream does.
"""

import secrets
from collections.abc import AsyncIterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from . import ranges
from .request import Request
from .response import Entity, Response, refusal

OF_BODY = frozenset(
    {"content-type", "content-encoding", "content-length", "content-range", "content-disposition"}
)
"""Headers that are about the bytes that are not sent."""
Pieces = list[tuple[bytes, int, int]]
"""What goes before the bytes of a range, and the range."""


async def apply(request: Request, response: Response) -> Response:
    """The answer to GET or HEAD of an object; what is not to be sent of it is closed."""
    if (
        response.status == 404
        and request.headers.get("if-match", "").strip() == "*"
        and request.name is not None
    ):
        return refusal(412)
    if response.status != 200 or response.entity is None or not request.is_reading:
        return response
    if status := unmet(request, response):
        kept = response.headers if status == 304 else _without_body(response.headers)
        await response.close()
        return refusal(412, None, kept) if status == 412 else Response(304, kept)
    if request.method == "GET":
        if header := request.headers.get("range"):
            return await _ranged(request, response, response.entity, header)
        await begin(response.entity, 0, response.entity.size)
    return response


async def begin(entity: Entity, start: int, end: int) -> None:
    """Let an entity that may not be what it seems (a large object, whose segments are others) find that out before the
    answer begins. Raises `Refusal`.
    """
    if (prepare := getattr(entity, "begin", None)) is not None:
        try:
            await prepare(start, end)
        except BaseException:
            await entity.close()
            raise


def unmet(request: Request, response: Response) -> int | None:
    """304 or 412 when a condition is not met. All that are there must be, as upstream has it."""
    headers = request.headers
    etags = [tag for name in ("etag", "x-conditional-etag") if (tag := response.headers.get(name))]
    modified = moment(response.headers.get("last-modified"))
    if (asked := headers.get("if-none-match")) is not None and matches(asked, etags):
        return 304
    if (asked := headers.get("if-match")) is not None and not matches(asked, etags):
        return 412
    since = moment(headers.get("if-modified-since"))
    if since is not None and modified is not None and modified <= since:
        return 304
    before = moment(headers.get("if-unmodified-since"))
    if before is not None and modified is not None and modified > before:
        return 412
    return None


def _without_body(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in OF_BODY}


def matches(asked: str, etags: list[str]) -> bool:
    """Whether one of the tags is asked for; `*` asks for any."""
    wanted = {part.strip().removeprefix("W/").strip('"') for part in asked.split(",")}
    return "*" in wanted or any(tag.removeprefix("W/").strip('"') in wanted for tag in etags)


def moment(date: str | None) -> float | None:
    """An HTTP date as seconds since 1970; None for none, and for what is no date."""
    if not date:
        return None
    try:
        parsed = parsedate_to_datetime(date)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


async def _ranged(request: Request, response: Response, entity: Entity, header: str) -> Response:
    if (condition := request.headers.get("if-range")) is not None:
        tags = [response.headers.get("etag", "")]
        since = moment(condition)
        is_same = (
            moment(response.headers.get("last-modified")) == since
            if since is not None
            else matches(condition, tags) and condition.strip() != "*"
        )
        if not is_same:
            return await _whole(response, entity)
    if (spans := ranges.parse(header)) is None:
        return await _whole(response, entity)
    size = entity.size
    found = ranges.within(spans, size)
    if not found:
        if size == 0:
            return response
        await response.close()
        kept = _without_body(response.headers)
        return refusal(416, None, {**kept, "content-range": f"bytes */{size}"})
    await begin(entity, *found[0])
    response.status = 206
    if len(found) == 1:
        ((start, end),) = found
        response.headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
        response.entity = Parts([(b"", start, end)], b"", entity)
        return response
    boundary = secrets.token_hex(16)
    kind = response.headers.get("content-type", "")
    pieces: Pieces = []
    for index, (start, end) in enumerate(found):
        lines = f"Content-Type: {kind}\r\nContent-Range: bytes {start}-{end - 1}/{size}\r\n\r\n"
        before = "" if index == 0 else "\r\n"
        pieces.append((f"{before}--{boundary}\r\n{lines}".encode("utf-8", "surrogateescape"), start, end))
    response.headers["content-type"] = f"multipart/byteranges;boundary={boundary}"
    response.entity = Parts(pieces, f"\r\n--{boundary}--".encode(), entity)
    return response


async def _whole(response: Response, entity: Entity) -> Response:
    await begin(entity, 0, entity.size)
    return response


class Parts:
    """See `Entity`: ranges of another, with what stands between them."""

    def __init__(self, pieces: Pieces, ending: bytes, entity: Entity) -> None:
        self._pieces, self._ending, self._entity = pieces, ending, entity
        self.size = sum(len(before) + end - start for before, start, end in pieces) + len(ending)
        whole = entity.data
        self.data = (
            b"".join(before + whole[start:end] for before, start, end in pieces) + ending
            if whole is not None
            else None
        )

    async def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        """The whole of it: a range of ranges is never asked for."""
        for before, first, last in self._pieces:
            if before:
                yield before
            async for piece in self._entity.stream(first, last):
                yield piece
        if self._ending:
            yield self._ending

    async def close(self) -> None:
        await self._entity.close()
