"""The bytes of a large object: pieces of other objects, one after the other, each opened when its turn has come.

However many pieces there are, one object is open at a time. Small ones are sent together. A piece that is not there, or
not what it was when the large object was made, ends the stream, and is refused outright when it is the first.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import NoReturn

import msgspec
import structlog

from ..http.response import Entity, Refusal, Response

TOGETHER = 64 << 10
"""Pieces are sent when there are so many bytes."""

log = structlog.get_logger(__name__)


class Piece(msgspec.Struct, frozen=True):
    """Bytes from `start` to before `end` of `data`, or of the object at `path` (`/v1/…`), which must have that size,
    and that ETag where there is one.
    """

    start: int
    end: int
    data: bytes | None = None
    path: str = ""
    size: int = 0
    etag: str | None = None


Pieces = Callable[[int, int], AsyncGenerator[Piece, None]]
"""The pieces of a range of the whole, in order. Raises `Refusal` when it finds that they cannot be had."""
Fetch = Callable[[str], Awaitable[Response]]
"""GET of a path, as it is (`multipart-manifest=get`)."""
Close = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """There is nothing to close."""


class Concatenation:
    """See `Entity`. `begin` may be called before `stream`, with the first range that will be asked for."""

    data = None

    def __init__(self, path: str, size: int, pieces: Pieces, fetch: Fetch, close: Close = nothing) -> None:
        """`path`: of the large object, for the log. `close` is called in the end."""
        self.size = size
        self._path = path
        self._pieces = pieces
        self._fetch = fetch
        self._close = close
        self._opened: tuple[tuple[str, str | None], Entity] | None = None
        self._begun: tuple[int, int, bytes, AsyncGenerator[bytes, None]] | None = None

    async def begin(self, start: int, end: int) -> None:
        """Get the first bytes of a range. Raises `Refusal` 409 when they cannot be had, 503 when just now not."""
        stream = self._stream(start, end)
        self._begun = start, end, await anext(stream, b""), stream

    async def stream(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Raises `Refusal`, like `begin`."""
        begun, self._begun = self._begun, None
        if begun is not None and begun[:2] == (start, end):
            _, _, first, stream = begun
            if first:
                yield first
        else:
            if begun is not None:
                await begun[3].aclose()
            stream = self._stream(start, end)
        async with aclosing(stream):
            async for piece in stream:
                yield piece

    async def close(self) -> None:
        begun, self._begun = self._begun, None
        if begun is not None:
            await begun[3].aclose()
        await self._close_opened()
        await self._close()

    async def _stream(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        if start >= end:
            return
        waiting: list[bytes] = []
        size = 0
        async with aclosing(self._pieces(start, end)) as pieces:
            async for piece in pieces:
                data = piece.data
                if data is None:
                    entity = await self._open(piece)
                    data = entity.data
                    if data is None:
                        if waiting:
                            yield b"".join(waiting)
                            waiting, size = [], 0
                        async for chunk in entity.stream(piece.start, piece.end):
                            yield chunk
                        continue
                waiting.append(data[piece.start : piece.end])
                size += piece.end - piece.start
                if size >= TOGETHER:
                    yield b"".join(waiting)
                    waiting, size = [], 0
        if waiting:
            yield b"".join(waiting)

    async def _open(self, piece: Piece) -> Entity:
        """The object of a piece; the last one again, where a range of the same follows. Raises `Refusal`."""
        if self._opened is not None and self._opened[0] == (piece.path, piece.etag):
            return self._opened[1]
        await self._close_opened()
        response = await self._fetch(piece.path)
        entity = response.entity
        if response.status != 200 or entity is None:
            await response.close()
            refuse(self._path, piece.path, response.status)
        etag = response.headers.get("etag", "").strip('"')
        if entity.size != piece.size or (piece.etag is not None and piece.etag != etag):
            await response.close()
            refuse(self._path, piece.path, 409)
        self._opened = (piece.path, piece.etag), entity
        return entity

    async def _close_opened(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened[1].close()


def refuse(path: str, segment: str, status: int) -> NoReturn:
    """Raises `Refusal` for a large object one of whose segments cannot be read."""
    log.warning("a segment of a large object cannot be read", path=path, segment=segment, status=status)
    raise Refusal(503 if status >= 500 else 409)
