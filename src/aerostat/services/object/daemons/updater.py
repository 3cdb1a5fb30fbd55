"""Words for listings that could not be told at once are told now; see `stores/pending.py`.

The oldest notes go first; a hearer that cannot be told is left alone for a while, twice as long each time. Notes to one
hearer are told together. A note is dropped when all holders have heard it.
"""

import asyncio
import contextlib
import heapq
from collections.abc import Sequence

import msgspec
import structlog

from ..cluster.errors import NoQuorum
from ..cluster.layout import Layout, Target
from ..stores.held import ACCOUNTS, CONTAINERS
from ..stores.pending import Note, Pending
from ..stores.protocol import DeviceAway, Place
from .pace import Pace
from .progress import Progress
from .station import FAULTS, Station

log = structlog.get_logger(__name__)

NAME = "updater"
AT_ONCE = 5000
"""Notes that one pass looks at."""
TOGETHER = 500
"""Notes to one hearer that are told in one go."""
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 600.0
TORN_AFTER_S = 3600.0


class Updater:
    """Of the notes on its devices."""

    name = NAME

    def __init__(self, station: Station) -> None:
        self._station = station
        self._pace = Pace(station.settings.notes_per_s)
        self._waits: dict[str, tuple[float, float]] = {}
        """By hearer: until when it is left alone, and for how long that is."""

    async def pass_once(self) -> bool:
        """True when no notes are left that could be told now."""
        done = [await self._device(key) for key in list(self._station.here)]
        now_s = self._station.clock()
        self._waits = {key: wait for key, wait in self._waits.items() if wait[0] + wait[1] > now_s}
        return all(done)

    async def _device(self, key: str) -> bool:
        device = self._station.here[key]
        try:
            await device.status()
        except (DeviceAway, OSError):
            return True
        pending = Pending(device.root)
        progress = await asyncio.to_thread(Progress, device.root, NAME, key)
        progress.begin(self._station.clock(), 0)
        names = await asyncio.to_thread(lambda: heapq.nsmallest(AT_ONCE, pending.names(), key=_age))
        progress.report.notes["waiting"] = len(names)
        ready = [name for name in names if not self._is_waiting(_hearer(name))]
        for hearer, group in _grouped(ready):
            for start in range(0, len(group), TOGETHER):
                if not await self._tell(hearer, group[start : start + TOGETHER], pending, progress):
                    self._wait(hearer)
                    break
        progress.end(self._station.clock())
        await progress.save()
        return len(names) < AT_ONCE or not ready

    async def _tell(self, hearer: str, names: Sequence[str], pending: Pending, progress: Progress) -> bool:
        """Notes to one; False when not all holders heard them."""
        notes = await asyncio.to_thread(lambda: [(name, pending.read(name)) for name in names])
        whole = [(name, note) for name, note in notes if note is not None]
        for name, note in notes:
            if note is None and _age(name)[0] < self._station.moment(TORN_AFTER_S):
                await asyncio.to_thread(pending.drop, name)
                progress.count("torn")
        layout = self._layout(whole[0][1]) if whole else None
        if layout is None:
            return True
        await self._pace.spend(len(whole))
        place = layout.place(hearer)
        told: list[set[str]] = [set(note.told) for _, note in whole]
        for target in layout.holders(place.part):
            due = [index for index, keys in enumerate(told) if target.key not in keys]
            if due and await self._hear(target, place, [whole[index][1] for index in due], progress):
                for index in due:
                    told[index].add(target.key)
        holders = {device.key for device in layout.ring.holders(place.part)}
        is_done = True
        for (name, note), keys in zip(whole, told, strict=True):
            if keys >= holders or note.at < self._station.moment(self._station.reclaim_age_s):
                await asyncio.to_thread(pending.drop, name)
                progress.count("notes")
                continue
            if await self._reroute(note, progress):
                await asyncio.to_thread(pending.drop, name)
                is_done = False  # who is away there may have left a new one
                continue
            is_done = False
            if keys != set(note.told):
                changed = msgspec.structs.replace(note, told=sorted(keys))
                with contextlib.suppress(OSError):  # it is told again, and that does no harm
                    await asyncio.to_thread(pending.change, name, changed)
        self._sums_changed(whole[0][1])
        return is_done

    async def _hear(self, target: Target, place: Place, notes: Sequence[Note], progress: Progress) -> bool:
        try:
            if notes[0].container is not None:
                entries = [entry for note in notes for entry in note.objects]
                return await self._station.ask(target.device.hear_objects(place, entries))
            words = [entry for note in notes for entry in note.containers]
            return await self._station.ask(target.device.hear_containers(place, words))
        except FAULTS as error:
            progress.fail(error)
            return False

    async def _reroute(self, note: Note, progress: Progress) -> bool:
        """Whether it was for a container whose rows are elsewhere by now, and is told there."""
        if note.container is None:
            return False
        try:
            containers = self._station.cluster.containers
            return await containers.reroute(note.account, note.container, note.objects)
        except NoQuorum as error:
            progress.fail(error)
            return False

    def _layout(self, note: Note) -> Layout:
        return self._station.layout(ACCOUNTS if note.container is None else CONTAINERS)

    def _sums_changed(self, note: Note) -> None:
        if note.container is not None:
            self._station.cluster.containers.sums.changed(note.account, note.container)

    # Hearers that are left alone

    def _is_waiting(self, hearer: str) -> bool:
        wait = self._waits.get(hearer)
        return wait is not None and self._station.clock() < wait[0]

    def _wait(self, hearer: str) -> None:
        _, before_s = self._waits.get(hearer, (0.0, FIRST_WAIT_S / 2))
        wait_s = min(2 * before_s, LONGEST_WAIT_S)
        self._waits[hearer] = (self._station.clock() + wait_s, wait_s)


def _hearer(name: str) -> str:
    return name.partition("/")[2].partition("-")[0]


def _age(name: str) -> tuple[int, str]:
    """When it was written down."""
    at = name.partition("/")[2].split("-")[1:2]
    return (int(at[0]) if at and at[0].isdecimal() else 0), name


def _grouped(names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """By hearer, the one with the oldest note first."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_hearer(name), []).append(name)
    return list(groups.items())
