"""What is written to several devices at once, in little memory.

Each device has a lane: pieces wait there while one is being written. Whoever fills a lane waits until there is room in
all; a lane that does not get on for a while is dropped, as one whose device fails. As long as a quorum of lanes is
left the write goes on. Nothing is ever cancelled in the middle: a dropped lane ends its piece, and is closed then.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from ..stores.object_file import Facts
from ..stores.protocol import ObjectWriting
from .calls import FAULTS, Calls
from .telling import Slot, Told, gather

LANE_BYTES = 2 << 20
"""A device may be so far behind."""
AT_ONCE = 256 << 10
"""Small pieces are gathered until they are so many bytes, and written together."""


class Lane:
    """The way to one device."""

    def __init__(self, slot: Slot, writing: ObjectWriting) -> None:
        self.slot = slot
        self._writing = writing
        self._waiting: deque[bytes] = deque()
        self._behind = 0
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        self.room = asyncio.Event()
        self.room.set()
        self.error: BaseException | None = None

    def feed(self, data: bytes) -> None:
        self._waiting.append(data)
        self._behind += len(data)
        if self._behind > LANE_BYTES:
            self.room.clear()
        if self._behind >= AT_ONCE and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        try:
            while self._waiting:
                piece = self._take()
                await self._writing.write(piece)
                self._behind -= len(piece)
                if self._behind <= LANE_BYTES:
                    self.room.set()
        except Exception as error:  # told to whoever writes or commits
            self.error = error
            self._waiting.clear()
            self.room.set()

    def _take(self) -> bytes:
        taken = [self._waiting.popleft()]
        size = len(taken[0])
        while self._waiting and size < AT_ONCE:
            size += len(self._waiting[0])
            taken.append(self._waiting.popleft())
        return taken[0] if len(taken) == 1 else b"".join(taken)

    async def commit(self, facts: Facts) -> bool | None:
        """Once all pieces are written; closes the lane. Raises what the device raises."""
        try:
            if self._task is not None:
                await self._task
            await self._flush()
            if self.error is not None:
                raise self.error
            await self._writing.commit(facts)
        finally:
            await self.close()
        return True

    async def close(self) -> None:
        """When the piece that is being written is written: what it is written to must not go away under it."""
        self._waiting.clear()
        if not self._is_closed:
            self._is_closed = True
            if self._task is not None:
                await self._task
            await self._writing.close()


class Lanes:
    """The ways to all devices. `begun`: told to `begin`, and enough."""

    def __init__(self, calls: Calls, begun: Told[ObjectWriting]) -> None:
        self._calls = calls
        self._wanted = begun.wanted
        self._told: Told[bool] = Told(begun.wanted)
        self._lanes = [Lane(slot, writing) for slot, writing in begun.answers]

    async def send(self, piece: Callable[[int], bytes]) -> None:
        """`piece`: what the lane of a number gets. Raises `NoQuorum`, `DeviceFull`."""
        for lane in self._lanes:
            lane.feed(piece(lane.slot.number))
        if not all(lane.room.is_set() for lane in self._lanes):
            await self._wait_for_room()
        for lane in [lane for lane in self._lanes if lane.error is not None]:
            assert lane.error is not None
            if not isinstance(lane.error, FAULTS):
                raise lane.error
            self._drop(lane, lane.error)

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(self._calls.patience.stall_s):
                for lane in self._lanes:
                    await lane.room.wait()
        except TimeoutError as error:
            for lane in [lane for lane in self._lanes if not lane.room.is_set()]:
                self._drop(lane, error)

    def _drop(self, lane: Lane, error: BaseException) -> None:
        """Go on without it. Raises `NoQuorum`, `DeviceFull`."""
        self._lanes.remove(lane)
        self._calls.standings.failed(lane.slot.target.key, error)
        self._calls.leave(lane.slot.target, asyncio.create_task(lane.close()))
        self._told.failed(error)
        if len(self._lanes) < self._wanted:
            self._told.check("write")

    async def commit(self, facts: Callable[[int], Facts]) -> Told[bool]:
        """`facts`: for the lane of a number. The caller checks whether it is enough."""
        calls, told = self._calls, self._told
        lanes, self._lanes = self._lanes, []
        running: dict[asyncio.Task[bool | None], Slot] = {
            calls.start(lane.slot.target, lane.commit(facts(lane.slot.number))): lane.slot for lane in lanes
        }
        await gather(calls, told, running)
        return told

    def close(self) -> None:
        """Aside, since a device that hangs may hold it up."""
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            self._calls.later(lane.close())


class ReplicatedWriting:
    """See `ObjectWriting`: the same bytes for all."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    async def write(self, data: bytes) -> None:
        """Raises `NoQuorum`, `DeviceFull`."""
        await self._lanes.send(lambda _: data)

    async def commit(self, facts: Facts) -> None:
        """Raises `Superseded`, `NoQuorum`, `DeviceFull`."""
        (await self._lanes.commit(lambda _: facts)).check("commit")

    async def close(self) -> None:
        self._lanes.close()
