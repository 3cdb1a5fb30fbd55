"""An object that is read from fragments: segment by segment, from any that suffice.

A fragment that is missing, damaged or too slow is left, and another one read from that segment on. One that is damaged
may have other segments still: where too few are left, those that failed at other segments are tried again.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import cast

import msgspec

from ..stores.object_file import SMALL, Damaged, Facts, Geometry, Revision
from ..stores.protocol import OpenFragment
from .calls import FAULTS, Calls
from .coding import Code
from .errors import NoQuorum
from .layout import Target

Known = Mapping[int, Sequence[Target]]
"""On which devices the fragment of an index is."""
Open = Callable[[Target, int], Awaitable[OpenFragment | None]]
"""The fragment of that index, on that device."""
LookAgain = Callable[[], Awaitable[Known]]
"""Where fragments are, of all devices that answer."""
OnBadFragment = Callable[[Target, int, str], None]


def whole(facts: Facts) -> Facts:
    """Of the object, from those of a fragment."""
    if facts.geometry is None:
        return facts
    return msgspec.structs.replace(facts, size=facts.geometry.size, fragment=None, geometry=None)


def group_of(found: OpenFragment) -> tuple[str, int]:
    """Fragments of one time may be of two writers; those of one group can be put together."""
    geometry = found.written.geometry
    return found.written.etag, geometry.size if geometry is not None else -1


class Source:
    """One fragment that is being read, from front to back. Raises `FAULTS`."""

    def __init__(self, target: Target, index: int, opened: OpenFragment, stall_s: float) -> None:
        self.target, self.index, self.opened = target, index, opened
        self._stall_s = stall_s
        self._pieces: AsyncGenerator[bytes, None] | None = None
        self._at = -1
        self._waiting: list[bytes] = []

    async def read(self, start: int, size: int) -> bytes:
        """Of the fragment's bytes."""
        if (data := self.opened.data) is not None:
            return data[start : start + size]
        if self._pieces is None or self._at != start:
            await self.stop()
            stream = self.opened.stream(start, self.opened.facts.size)
            self._pieces = cast(AsyncGenerator[bytes, None], stream)
            self._at = start
        got = sum(len(piece) for piece in self._waiting)
        while got < size:
            async with asyncio.timeout(self._stall_s):
                piece = await anext(self._pieces, None)
            if piece is None:
                raise EOFError(f"the fragment ends at {start + got}")
            self._waiting.append(piece)
            got += len(piece)
        joined = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
        self._at += size
        self._waiting = [joined[size:]] if len(joined) > size else []
        return joined[:size]

    async def stop(self) -> None:
        pieces, self._pieces = self._pieces, None
        self._waiting = []
        if pieces is not None:
            await pieces.aclose()

    async def close(self) -> None:
        with suppress(*FAULTS):
            await self.stop()
            await self.opened.close()


class StripedObject:
    """See `OpenObject`. `opened`: fragments by index that are open already; `known`: all that are known of so far."""

    def __init__(
        self,
        calls: Calls,
        code: Code,
        opened: Mapping[int, tuple[Target, OpenFragment]],
        known: Known,
        open_: Open,
        look_again: LookAgain,
        on_bad: OnBadFragment,
    ) -> None:
        self._calls, self._code, self._open, self._on_bad = calls, code, open_, on_bad
        self._look_again: LookAgain | None = look_again
        self._sources = {
            index: Source(target, index, found, calls.patience.stall_s)
            for index, (target, found) in opened.items()
        }
        self._known = known
        self._tried = {(index, target.key) for index, (target, _) in opened.items()}
        self._failed: set[tuple[int, str]] = set()
        """At the segment that is being read."""
        self._group = group_of(next(iter(opened.values()))[1])
        latest = max((found for _, found in opened.values()), key=lambda found: found.facts.timestamp)
        self.facts = whole(latest.facts)
        self.written = whole(latest.written)
        self.revision: Revision | None = latest.revision
        self.data: bytes | None = None
        assert latest.written.geometry is not None
        self._geometry: Geometry = latest.written.geometry

    async def load_if_small(self) -> None:
        """`data`, of an object of few bytes. Raises `NoQuorum`."""
        if self._geometry.size <= SMALL:
            self.data = await self._segment(0) if self._geometry.size else b""
            await self.close()

    async def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Raises `NoQuorum` when too few fragments are left."""
        if self.data is not None:
            yield self.data[start:end]
            return
        size = self._geometry.segment_bytes
        while start < end:
            number = start // size
            segment = await self._segment(number)
            piece = segment[start - number * size : end - number * size]
            yield piece
            start += len(piece)

    async def _segment(self, number: int) -> bytes:
        geometry = self._geometry
        size = min(geometry.segment_bytes, geometry.size - number * geometry.segment_bytes)
        start, length = number * self._code.piece_bytes(geometry.segment_bytes), self._code.piece_bytes(size)
        pieces: dict[int, bytes] = {}
        self._failed.clear()
        while len(pieces) < geometry.data:
            await self._open_more()
            missing = [source for index, source in self._sources.items() if index not in pieces]
            got = await asyncio.gather(
                *(source.read(start, length) for source in missing), return_exceptions=True
            )
            for source, piece in zip(missing, got, strict=True):
                if isinstance(piece, bytes):
                    if (damage := self._code.damage(piece, source.index)) is None:
                        pieces[source.index] = piece
                        continue
                    self._on_bad(source.target, source.index, damage)
                elif isinstance(piece, FAULTS):
                    self._calls.standings.failed(source.target.key, piece)
                else:
                    raise piece
                self._drop(source)
        if length > SMALL:
            return await asyncio.to_thread(self._code.decode, list(pieces.values()))
        return self._code.decode(list(pieces.values()))

    async def _open_more(self) -> None:
        """Until there are as many sources as it takes. Raises `NoQuorum`."""
        while (lacking := self._geometry.data - len(self._sources)) > 0:
            spares = self._spares()
            if len(spares) < lacking and self._look_again is not None:
                self._known = await self._look_again()
                self._look_again = None
                spares = self._spares()
            if len(spares) < lacking:
                open_now = {(index, source.target.key) for index, source in self._sources.items()}
                self._tried = open_now | self._failed
                spares = self._spares()
            if len(spares) < lacking:
                raise NoQuorum(self.facts.path, len(self._sources), self._geometry.data)
            await asyncio.gather(*(self._open_one(index, target) for index, target in spares[:lacking]))

    def _spares(self) -> list[tuple[int, Target]]:
        """Fragments that are not open, each with a device where it was not tried yet."""
        found = []
        for index, targets in sorted(self._known.items()):
            untried = [target for target in targets if (index, target.key) not in self._tried]
            if untried and index not in self._sources:
                found.append((index, untried[0]))
        return found

    async def _open_one(self, index: int, target: Target) -> None:
        self._tried.add((index, target.key))
        self._failed.add((index, target.key))  # until it gives what is wanted
        try:
            async with asyncio.timeout(self._calls.patience.answer_s):
                found = await self._calls.timed(target, self._open(target, index))
        except FAULTS as error:
            if isinstance(error, Damaged):
                self._on_bad(target, index, error.reason)
            return
        if found is None:
            return
        if group_of(found) != self._group:
            self._calls.later(found.close())
            return
        self._sources[index] = Source(target, index, found, self._calls.patience.stall_s)

    def _drop(self, source: Source) -> None:
        self._failed.add((source.index, source.target.key))
        del self._sources[source.index]
        self._calls.later(source.close())

    async def close(self) -> None:
        sources, self._sources = self._sources, {}
        for source in sources.values():
            await source.close()
