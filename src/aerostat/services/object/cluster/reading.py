"""An object that is read from one device, and from another where that one breaks off."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from ..stores.object_file import Facts, Revision
from ..stores.protocol import OpenObject, Place
from .calls import FAULTS, Calls
from .layout import Layout, Target


class ReplicatedObject:
    """See `OpenObject`."""

    def __init__(
        self, calls: Calls, layout: Layout, policy: int, place: Place, source: Target, found: OpenObject
    ) -> None:
        self._calls, self._layout, self._policy, self._place = calls, layout, policy, place
        self._found = found
        self._tried = [source]

    @property
    def facts(self) -> Facts:
        return self._found.facts

    @property
    def written(self) -> Facts:
        return self._found.written

    @property
    def revision(self) -> Revision | None:
        return self._found.revision

    @property
    def data(self) -> bytes | None:
        return self._found.data

    async def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Raises what the last device raised, when no other has the same object. One whose copy is damaged somewhere
        may have what the others have not: who failed elsewhere is asked again.
        """
        stuck_at = -1
        while start < end:
            try:
                async with aclosing(
                    _in_time(self._found, start, end, self._calls.patience.stall_s)
                ) as pieces:
                    async for piece in pieces:
                        start += len(piece)
                        yield piece
                if start < end:
                    raise EOFError(f"the object ends at {start}, before {end}")
            except FAULTS as error:
                self._calls.standings.failed(self._tried[-1].key, error)
                if start != stuck_at:
                    self._tried, stuck_at = self._tried[-1:], start
                if not await self._go_on_elsewhere():
                    raise

    async def _go_on_elsewhere(self) -> bool:
        """Open the same object on a device that was not tried yet; answers whether there is one."""
        part = self._place.part
        tried = {target.key for target in self._tried}
        others = [
            *self._calls.standings.for_reading(self._layout.holders(part)),
            *self._layout.handoffs(part),
        ]
        for target in others:
            if target.key in tried:
                continue
            self._tried.append(target)
            try:
                async with asyncio.timeout(self._calls.patience.answer_s):
                    found = await self._calls.timed(target, target.device.find(self._policy, self._place))
            except FAULTS:
                continue
            if found is None:
                continue
            if not _is_same(found.written, self.written):
                await found.close()
                continue
            self._calls.later(self._found.close())
            self._found = found
            return True
        return False

    async def close(self) -> None:
        await self._found.close()


async def _in_time(found: OpenObject, start: int, end: int, stall_s: float) -> AsyncGenerator[bytes, None]:
    """Pieces, each of which comes soon. Raises TimeoutError, which is an OSError."""
    async with aclosing(cast(AsyncGenerator[bytes, None], found.stream(start, end))) as pieces:
        while True:
            async with asyncio.timeout(stall_s):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece


def _is_same(one: Facts, other: Facts) -> bool:
    return not one.is_gone and (one.timestamp, one.etag, one.size) == (
        other.timestamp,
        other.etag,
        other.size,
    )
