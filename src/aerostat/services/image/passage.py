"""Bytes on their way into a store: in blocks, hashed and looked at in one pass, by threads.

The loop only joins what the network brings into blocks. While one block is hashed, inspected and written, the next is
collected, so at most two are held.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from aerostat.kernel.db import Row

from .config import ImageConfig
from .errors import ImageTooLarge

BLOCK_BYTES = 128 << 10
_MOST_PIECES = 4096
"""In one block: each costs memory of its own, however small it is."""


class Writable(Protocol):
    async def write(self, chunk: bytes) -> None: ...

    @property
    def write_now(self) -> Callable[[bytes], None] | None:
        """The same for threads, where there is such a thing: one way to a thread less for each block."""


async def copied(
    upload: Writable,
    image: Row,
    config: ImageConfig,
    chunks: AsyncIterator[bytes],
    check: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Every byte into the upload; answers what the row then says of them. `check` may raise between two blocks.

    Raises `ImageTooLarge`, `FormatMismatch`, `UnsafeImage`, and what the chunks, the upload and `check` raise; none of
    this is at work any more then.
    """
    # The inspectors take 50 ms to load: at the first upload, not at the start.
    from .inspection import Inspection

    inspection = Inspection(image.disk_format, image.container_format, must_match=config.require_format_match)
    md5, sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()

    write_now = upload.write_now

    def look(block: bytes) -> None:
        md5.update(block)
        sha512.update(block)
        inspection.take(block)
        if write_now is not None:
            write_now(block)

    async def take(block: bytes) -> None:
        if write_now is not None:
            await asyncio.to_thread(look, block)
        else:
            await asyncio.gather(asyncio.to_thread(look, block), upload.write(block))

    size = await _passed(take, config.max_image_bytes, chunks, check)
    return {
        "virtual_size": inspection.finish(),
        "size": size,
        "checksum": md5.hexdigest(),
        "os_hash_algo": "sha512",
        "os_hash_value": sha512.hexdigest(),
    }


async def taken(upload: Writable, limit_bytes: int, chunks: AsyncIterator[bytes]) -> int:
    """Every byte into the upload, as they are; answers how many. Raises `ImageTooLarge`, and what the others raise."""
    return await _passed(upload.write, limit_bytes, chunks, None)


async def _passed(
    take: Callable[[bytes], Any],
    limit_bytes: int,
    chunks: AsyncIterator[bytes],
    check: Callable[[], None] | None,
) -> int:
    size = 0
    at_work: asyncio.Task[None] | None = None
    try:
        async for block in _blocks(chunks, limit_bytes):
            if check is not None:
                check()
            if at_work is not None:
                await at_work
            size += len(block)
            at_work = asyncio.ensure_future(take(block))
        if at_work is not None:
            await at_work
    finally:
        if at_work is not None and not at_work.done():
            at_work.cancel()
            await asyncio.wait([at_work])
    return size


async def _blocks(chunks: AsyncIterator[bytes], limit_bytes: int) -> AsyncIterator[bytes]:
    """The same bytes in pieces that are worth a thread's while. Raises `ImageTooLarge` with the first too many."""
    pieces: list[bytes] = []
    size = held_bytes = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit_bytes:
            raise ImageTooLarge(limit=limit_bytes)
        pieces.append(chunk)
        held_bytes += len(chunk)
        if held_bytes >= BLOCK_BYTES or len(pieces) == _MOST_PIECES:
            yield b"".join(pieces)
            pieces, held_bytes = [], 0
    if pieces:
        yield b"".join(pieces)
