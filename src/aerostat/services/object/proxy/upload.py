"""The bytes of a PUT on their way to the devices: counted, hashed, and bounded in size."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable

from ..http.request import Body
from ..http.response import Refusal
from ..stores.object_file import Facts
from ..stores.protocol import ObjectWriting

MakeFacts = Callable[[int, str], Facts]
"""From the size and the MD5. Raises `Refusal` 422 when they are not what the client said."""

PIECE = 1 << 20
"""So many bytes are hashed and written at once."""


async def small(body: Body) -> bytes:
    """All bytes of a body that says how short it is. Raises `Refusal` 408, 499."""
    return await body.read(body.length or 0)


def md5_of(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


async def stream(body: Body, writing: ObjectWriting, most: int) -> tuple[int, str]:
    """Hash and write pieces while the next ones come; answers size and MD5. Raises `Refusal` 408, 413, 499."""
    loop = asyncio.get_running_loop()
    md5 = hashlib.md5(usedforsecurity=False)
    size = 0
    at_work: asyncio.Future[tuple[None, None]] | None = None
    try:
        async for piece in _pieces(body):
            size += len(piece)
            if size > most:
                raise Refusal(413, "Your request is too large.")
            if at_work is not None:
                await at_work
            hashed = loop.run_in_executor(None, md5.update, piece)
            at_work = asyncio.gather(hashed, writing.write(piece))
        if at_work is not None:
            await at_work
    except BaseException:
        if at_work is not None:
            await asyncio.wait([at_work])  # nobody writes to a file that is closed
            if not at_work.cancelled():
                at_work.exception()
        raise
    return size, md5.hexdigest()


async def _pieces(body: Body) -> AsyncIterator[bytes]:
    """The body in pieces of a good size."""
    gathered: list[bytes] = []
    size = 0
    async for chunk in body:
        gathered.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            yield b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)
