"""Objects of which a piece is damaged here are made whole, from the sound pieces of all copies. (Fragments are the
reconstructor's.)

Disks that rot do so in several places. When every copy of an object has a damaged piece, each another one, none of
them can be sent to the others; together they still hold all of it. Only what no copy has makes an end of one: then it
is put aside, when everybody who may have it was heard.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from hashlib import md5
from typing import Any

import structlog

from ..stores.device import LocalDevice
from ..stores.held import objects_of
from ..stores.object_file import Damaged, Facts
from ..stores.opened import Superseded
from ..stores.protocol import DeviceVerbs, OpenObject, Place
from ..stores.sums import PIECE
from .copying import SourceDamaged, check
from .pace import Pace
from .progress import Progress
from .station import FAULTS, Station

FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 86_400.0
"""Between attempts at one object, while others are away who may have what is missing."""

log = structlog.get_logger(__name__)


class Mending:
    """See the module."""

    def __init__(self, station: Station, pace: Pace) -> None:
        self._station = station
        self._pace = pace
        self._pauses = Pauses(station)

    async def work(self, key: str, device: LocalDevice, progress: Progress) -> None:
        """All that is wounded on a device."""
        wounded = await device.wounded()
        for policy, place in wounded:
            if self._pauses.is_due((key, policy, place)):
                try:
                    await self._one(key, device, policy, place, progress)
                except FAULTS as error:
                    progress.fail(error)
        self._pauses.keep(key, {(key, policy, place) for policy, place in wounded})

    async def _one(
        self, key: str, device: LocalDevice, policy: int, place: Place, progress: Progress
    ) -> None:
        mine = await device.find(policy, place)
        if mine is None:
            return
        facts = mine.written
        await mine.close()
        others, is_sure = await self._others(key, policy, place, facts)
        copies = [Copy(self._station, one, policy, place, facts) for one in [device, *others]]
        try:
            await self._write(device, policy, place, facts, copies)
            progress.count("mended")
        except SourceDamaged as damage:
            if is_sure and not any(copy.was_away for copy in copies):
                await device.give_up_wounded(policy, place, f"no copy has all of it: {damage}")
                progress.count("quarantined")
            else:
                self._pauses.wait((key, policy, place))
        finally:
            for copy in copies:
                await copy.close()

    async def _others(
        self, key: str, policy: int, place: Place, facts: Facts
    ) -> tuple[list[DeviceVerbs], bool]:
        """Devices that have the same, and whether all that may have it were heard."""
        try:
            layout = self._station.layout(objects_of(policy))
        except KeyError:  # of a policy that is not known here
            return [], False
        holders = layout.holders(place.part)
        others, is_sure = [], len(holders) == layout.holder_count(place.part)
        for target in [*holders, *layout.handoffs(place.part)]:
            if target.key == key:
                continue
            try:
                found = await self._station.ask(target.device.find(policy, place))
            except Damaged:
                continue  # nothing of it can be read; put aside by now
            except FAULTS:
                is_sure = False
                continue
            if found is not None:
                if found.written == facts:
                    others.append(target.device)
                await found.close()
        return others, is_sure

    async def _write(
        self, device: LocalDevice, policy: int, place: Place, facts: Facts, copies: "Sequence[Copy]"
    ) -> None:
        """Raises `SourceDamaged`."""
        digest = md5(usedforsecurity=False)
        writing = await device.begin(policy, place, facts.size)
        try:
            async for piece in self._pieces(facts.size, copies):
                digest.update(piece)
                await writing.write(piece)
            check(facts, digest.hexdigest(), facts.size)
            with contextlib.suppress(Superseded):  # somebody has sent a whole one, or a newer
                await writing.commit(facts)
        finally:
            await writing.close()

    async def _pieces(self, size: int, copies: "Sequence[Copy]") -> AsyncIterator[bytes]:
        for start in range(0, size, PIECE):
            end = min(start + PIECE, size)
            await self._pace.spend(end - start)
            for copy in copies:
                if (piece := await copy.read(start, end)) is not None:
                    yield piece
                    break
            else:
                raise SourceDamaged(f"its bytes from {start} on")


class Pauses:
    """Between attempts at one thing of a device; each is twice as long as the one before. Things begin with the key of
    their device.
    """

    def __init__(self, station: Station) -> None:
        self._station = station
        self._known: dict[tuple[Any, ...], tuple[float, float]] = {}
        """Until when, and how long."""

    def is_due(self, thing: tuple[Any, ...]) -> bool:
        return self._station.clock() >= self._known.get(thing, (0.0, 0.0))[0]

    def wait(self, thing: tuple[Any, ...]) -> None:
        pause_s = min(2 * self._known.get(thing, (0.0, 0.0))[1], LONGEST_PAUSE_S) or FIRST_PAUSE_S
        self._known[thing] = self._station.clock() + pause_s, pause_s
        log.warning("object cannot be mended yet", of=[str(part) for part in thing], again_in_s=pause_s)

    def keep(self, key: str, things: set[tuple[Any, ...]]) -> None:
        """Forget all others of the device."""
        self._known = {one: about for one, about in self._known.items() if one[0] != key or one in things}


class Copy:
    """What one device has of an object. `was_away`: it could not be asked for all that was wanted of it."""

    def __init__(
        self, station: Station, device: DeviceVerbs, policy: int, place: Place, facts: Facts
    ) -> None:
        self._station = station
        self._device, self._policy, self._place, self._facts = device, policy, place, facts
        self._found: OpenObject | None = None
        self.was_away = False

    async def read(self, start: int, end: int) -> bytes | None:
        """A piece, whole; None when it is damaged here, or cannot be had."""
        try:
            async with asyncio.timeout(self._station.settings.answer_s):
                if self._found is None:
                    self._found = await self._device.find(self._policy, self._place)
                if self._found is None or self._found.written != self._facts:
                    return None
                piece = b"".join([part async for part in self._found.stream(start, end)])
                if len(piece) == end - start:
                    return piece
        except (Damaged, EOFError):
            pass
        except FAULTS:
            self.was_away = True
        await self.close()  # who broke off in the middle goes on with nothing
        return None

    async def close(self) -> None:
        found, self._found = self._found, None
        if found is not None:
            await found.close()
