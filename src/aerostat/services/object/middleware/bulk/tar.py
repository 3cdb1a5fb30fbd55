"""Archives read as they come, without files and without threads of their own: tar as POSIX, pax and GNU write it.

https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13. Headers are parsed by the standard
library; what names a member is gathered here, because the library would read it from a file.
"""

import asyncio
import bz2
import tarfile
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import msgspec

BLOCK = 512
PIECE = 256 << 10
"""So many bytes are unpacked, and handed on, at once."""
_MORE_HOLES, _MORE_STILL = 482, 504
"""Where a sparse file's header, and what follows it, says that more of it follows."""
LONGEST = 1 << 20
"""Of what names a member, in bytes; and of all that is said of members to come."""
MOST_PASSED_OVER = 16 << 20
"""So many bytes that nobody wants are unpacked before something is let in: a stranger's archive may unfold for ever."""


class BadArchive(Exception):
    """Told to the client."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """`attributes`: of the member and of those that it inherits, as pax writes them."""

    name: str
    size: int
    is_file: bool
    is_sparse: bool
    attributes: dict[str, str]


class Archive:
    """Members one after the other; the bytes of each by `read`, before the next is asked for. `chunks`: unpacked."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._waiting = b""
        self._left = 0
        """Of the member, in bytes."""
        self._padding = 0
        self._of_all: dict[str, str] = {}
        self._passed_over = 0
        self.is_welcome = False
        """Something of it was let in."""

    async def __aiter__(self) -> AsyncIterator[Member]:
        """Raises `BadArchive`."""
        own: dict[str, str] = {}
        is_first = True
        while (header := await self._header(is_first)) is not None:
            is_first = False
            self._left, self._padding = header.size, -header.size % BLOCK
            if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                own = _together(own, await self._text())
            elif header.type == tarfile.XGLTYPE:
                self._of_all = _together(self._of_all, await self._text())
            elif header.type == tarfile.GNUTYPE_LONGNAME:
                own["path"] = _decoded((await self._text()).partition(b"\0")[0])
            elif header.type == tarfile.GNUTYPE_LONGLINK:
                await self._text()
            else:
                attributes = {**self._of_all, **own}
                own = {}
                size = attributes.get("size", "")
                if header.type not in tarfile.REGULAR_TYPES and header.type in tarfile.SUPPORTED_TYPES:
                    self._left = self._padding = 0
                elif size.isascii() and size.isdigit():
                    self._left, self._padding = int(size), -int(size) % BLOCK
                is_sparse = header.type == tarfile.GNUTYPE_SPARSE
                yield Member(
                    name=attributes.get("path", header.name),
                    size=self._left,
                    is_file=header.type in tarfile.REGULAR_TYPES,
                    is_sparse=is_sparse or any(key.startswith("GNU.sparse.") for key in attributes),
                    attributes=attributes,
                )
            await self._skip()
        async for chunk in self._chunks:  # what tar fills its last record with
            self._pass_over(len(chunk))

    async def read(self) -> AsyncIterator[bytes]:
        """The bytes of the member. Raises `BadArchive` when they end before it does."""
        while self._left:
            await self._fill(1)
            if not self._waiting:
                raise BadArchive("unexpected end of data")
            piece, self._waiting = self._waiting[: self._left], self._waiting[self._left :]
            self._left -= len(piece)
            yield piece

    async def _header(self, is_first: bool) -> tarfile.TarInfo | None:
        """None at the end."""
        await self._fill(BLOCK)
        block, self._waiting = self._waiting[:BLOCK], self._waiting[BLOCK:]
        self._pass_over(len(block))
        if not block:
            if is_first:
                raise BadArchive("empty file")
            return None
        if len(block) < BLOCK:
            raise BadArchive("truncated header")
        if not block.strip(b"\0"):
            return None
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise BadArchive("file could not be opened successfully" if is_first else str(error)) from None
        if header.size < 0:  # GNU's form of numbers has a sign
            raise BadArchive("invalid header")
        is_continued = header.type == tarfile.GNUTYPE_SPARSE and block[_MORE_HOLES]
        while is_continued:
            await self._fill(BLOCK)
            holes, self._waiting = self._waiting[:BLOCK], self._waiting[BLOCK:]
            self._pass_over(len(holes))
            is_continued = len(holes) == BLOCK and holes[_MORE_STILL]
        return header

    async def _text(self) -> bytes:
        if self._left > LONGEST:
            raise BadArchive("a header is too long")
        return b"".join([piece async for piece in self.read()])

    async def _skip(self) -> None:
        """To the next header."""
        self._left += self._padding
        self._padding = 0
        async for piece in self.read():
            self._pass_over(len(piece))

    def _pass_over(self, size: int) -> None:
        self._passed_over += size
        if self._passed_over > MOST_PASSED_OVER and not self.is_welcome:
            raise BadArchive("too much before the first file that is stored")

    async def _fill(self, size: int) -> None:
        """So much is waiting, unless it has ended."""
        while len(self._waiting) < size:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                return
            self._waiting += chunk


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


async def unpacked(chunks: AsyncIterator[bytes], packing: str) -> AsyncIterator[bytes]:
    """`packing`: empty, `gz` or `bz2`. In pieces of bounded size, however much a little of it unfolds into.

    Raises `BadArchive`.
    """
    if not packing:
        async for chunk in chunks:
            yield chunk
        return
    make: Callable[[], _Unpacker] = _Gzip if packing == "gz" else bz2.BZ2Decompressor
    unpacker = make()
    has_begun = False
    async for chunk in chunks:
        waiting = chunk
        while waiting or (has_begun and not unpacker.eof):
            if unpacker.eof:
                if not (waiting := waiting.lstrip(b"\0")):  # what a record is filled with
                    break
                unpacker = make()
            try:
                piece = await asyncio.to_thread(unpacker.decompress, waiting, PIECE)
            except (zlib.error, OSError, EOFError) as error:
                raise BadArchive(str(error)) from None
            has_begun = True
            waiting = unpacker.unused_data if unpacker.eof else b""
            if piece:
                yield piece
            elif not waiting:
                break
    if has_begun and not unpacker.eof:
        raise BadArchive("unexpected end of data")


class _Gzip:
    """gzip, with the manners of `bz2.BZ2Decompressor`."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._unpacker.eof

    @property
    def unused_data(self) -> bytes:
        return self._unpacker.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._unpacker.decompress(self._unpacker.unconsumed_tail + data, max_length)


def _together(known: dict[str, str], text: bytes) -> dict[str, str]:
    """Raises `BadArchive` when it is too much."""
    found = known | _records(text)
    if sum(len(key) + len(value) for key, value in found.items()) > LONGEST:
        raise BadArchive("too many pax headers")
    return found


def _records(text: bytes) -> dict[str, str]:
    """`LENGTH KEY=VALUE\\n`, one after the other. Raises `BadArchive`."""
    found = {}
    while text := text.lstrip(b"\0"):
        length, space, _ = text.partition(b" ")
        if not (
            space and length.isdigit() and len(length) < 8 and len(length) + 2 < int(length) <= len(text)
        ):
            raise BadArchive("invalid pax header")
        record, text = text[len(length) + 1 : int(length)], text[int(length) :]
        key, equals, value = record.partition(b"=")
        if not equals or not record.endswith(b"\n"):
            raise BadArchive("invalid pax header")
        found[_decoded(key)] = _decoded(value[:-1])
    return found


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
