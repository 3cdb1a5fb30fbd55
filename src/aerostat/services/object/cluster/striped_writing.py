"""An object that is written as fragments: coded segment by segment, each fragment on its own lane.

In two steps: first all fragments are put on the disks beside what is there, then, when there are enough, they are made
what stands for the object. Whatever dies in between, the older version or the new one can be read whole.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import msgspec

from ..stores.object_file import SMALL, Facts, Geometry
from ..timestamp import Timestamp
from .coding import SEGMENT_BYTES, Code
from .telling import Slot
from .writing import Lanes

MakeDurable = Callable[[Timestamp, list[Slot]], Awaitable[None]]
"""Raises `Superseded`, `NoQuorum`, `DeviceFull`."""


class StripedWriting:
    """See `ObjectWriting`."""

    def __init__(self, code: Code, lanes: Lanes, make_durable: MakeDurable) -> None:
        self._code, self._lanes, self._make_durable = code, lanes, make_durable
        self._waiting = bytearray()
        self._hashes = [hashlib.md5(usedforsecurity=False) for _ in range(code.fragments)]
        self._size = 0

    async def write(self, data: bytes) -> None:
        """Raises `NoQuorum`, `DeviceFull`."""
        self._size += len(data)
        if not self._waiting and len(data) == SEGMENT_BYTES:
            await self._send(data)
            return
        self._waiting += data
        while len(self._waiting) >= SEGMENT_BYTES:
            segment = bytes(memoryview(self._waiting)[:SEGMENT_BYTES])
            del self._waiting[:SEGMENT_BYTES]
            await self._send(segment)

    async def _send(self, segment: bytes) -> None:
        if len(segment) > SMALL:
            pieces = await asyncio.to_thread(self._code_segment, segment)
        else:
            pieces = self._code_segment(segment)
        await self._lanes.send(pieces.__getitem__)

    def _code_segment(self, segment: bytes) -> list[bytes]:
        pieces = self._code.encode(segment)
        for hashed, piece in zip(self._hashes, pieces, strict=True):
            hashed.update(piece)
        return pieces

    async def commit(self, facts: Facts) -> None:
        """Raises `Superseded`, `NoQuorum`, `DeviceFull`."""
        if self._waiting:
            await self._send(bytes(self._waiting))
        told = await self._lanes.commit(lambda number: self._facts(facts, number))
        told.check("commit fragments")
        await self._make_durable(facts.timestamp, [slot for slot, _ in told.answers])

    def _facts(self, facts: Facts, number: int) -> Facts:
        return facts_of(self._code, facts, self._size, number, self._hashes[number].hexdigest())

    async def close(self) -> None:
        self._lanes.close()


def cut(code: Code, data: bytes, facts: Facts) -> list[tuple[Facts, bytes]]:
    """An object of one segment as fragments, each with its own facts."""
    pieces = code.encode(data) if data else [b""] * code.fragments
    return [
        (
            facts_of(code, facts, len(data), number, hashlib.md5(piece, usedforsecurity=False).hexdigest()),
            piece,
        )
        for number, piece in enumerate(pieces)
    ]


def facts_of(code: Code, facts: Facts, size: int, number: int, checksum: str) -> Facts:
    """Of a fragment, from those of the object. `checksum`: of the fragment's bytes."""
    geometry = Geometry(
        data=code.data, parity=code.parity, segment_bytes=SEGMENT_BYTES, size=size, checksum=checksum
    )
    fragment_bytes = code.fragment_bytes(size)
    return msgspec.structs.replace(facts, size=fragment_bytes, fragment=number, geometry=geometry)
