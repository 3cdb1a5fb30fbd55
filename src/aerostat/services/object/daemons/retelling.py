"""What was written shortly before a process died or a machine stopped is told to its listings again.

An object that is there and not listed is found this way; see `presence.py`, and `stores/database.py` for why rows may
be lost. A proxy of another machine may die between a write and the word of it, and nobody here is told: so every
`retell_s` the first holder tells again what was written since it did so last. Telling twice does no harm. Of containers
whose only holder stopped while their objects are on machines that did not, no rows can be told again: a ring of
containers wants two replicas where there are two machines.
"""

import asyncio
import os
from pathlib import Path

import structlog

from ..cluster.errors import NoQuorum
from ..cluster.striped_reading import whole
from ..stores.device import LocalDevice
from ..stores.entries import Entry
from ..stores.held import policy_of
from ..stores.object_file import Damaged, Facts
from ..stores.protocol import DeviceAway, Place
from ..stores.told import told
from .pace import Pace
from .presence import KILLED_S, died
from .progress import Progress
from .station import Station
from .walking import Step, Walk

log = structlog.get_logger(__name__)

NAME = "retelling"
SINCE = "since"
"""Somebody has died: what was written since then is told again."""
ALL_AT, ALL_SINCE = "all_at", "all_since"
"""When the last round began that tells what the first holder has to tell, and since when it is that."""


class Retelling:
    """Goes round the objects of devices at which somebody died."""

    name = NAME

    def __init__(self, station: Station) -> None:
        self._station = station
        self._pace = Pace(station.settings.retell_per_s)
        self._walk = Walk(
            station,
            NAME,
            lambda store: store.startswith(("objects", "fragments")),
            self._work,
            ended=self._ended,
        )

    async def pass_once(self) -> bool:
        """True when nothing is left to be told again."""
        if not [key for key in list(self._station.here) if await self._is_due(key)]:
            return True
        return await self._walk.pass_once()

    async def _is_due(self, key: str) -> bool:
        """Look who died, and write down since when there is something to be told."""
        root = self._station.here[key].root
        try:
            await self._station.here[key].status()
            since, files = await asyncio.to_thread(died, root)
        except (DeviceAway, OSError):
            return False
        progress = await self._walk.progress(key)
        notes = progress.report.notes
        is_all_due = self._is_all_due(notes)
        if files:
            earlier = notes.get(SINCE, since)
            log.warning("somebody_died", device=key, processes=len(files), since=min(since, earlier))
            notes[SINCE] = min(since, earlier)
        if files or is_all_due:
            progress.report.position = ""
            await progress.save(now=True)
        for path in files:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        return SINCE in notes or ALL_SINCE in notes

    def _is_all_due(self, notes: dict[str, float]) -> bool:
        """Whether a round begins in which the first holders tell what they have; if so it is written down."""
        now_s, every_s = self._station.clock(), self._station.settings.retell_s
        last_s = notes.setdefault(ALL_AT, now_s)
        if not every_s or ALL_SINCE in notes or now_s - last_s < every_s:
            return False
        notes[ALL_SINCE], notes[ALL_AT] = last_s - KILLED_S, now_s
        return True

    async def _ended(self, _key: str, _device: LocalDevice, progress: Progress) -> None:
        progress.report.notes.pop(SINCE, None)
        progress.report.notes.pop(ALL_SINCE, None)

    def _since(self, step: Step) -> float | None:
        """From when on what is in a partition is to be told."""
        notes = step.progress.report.notes
        since = notes.get(SINCE)
        if ALL_SINCE not in notes:
            return since
        try:
            first = next(iter(self._station.layout(step.store).holders(step.part)), None)
        except KeyError:
            return since  # of a policy that is gone
        if first is None or first.key != step.key:
            return since
        return notes[ALL_SINCE] if since is None else min(since, notes[ALL_SINCE])

    async def _work(self, step: Step) -> None:
        since = self._since(step)
        if since is None:
            return
        folder = step.device.root / step.store / str(step.part)
        words: dict[tuple[str, str], list[Entry]] = {}
        for hashed in await asyncio.to_thread(changed_since, folder, since):
            await self._pace.spend()
            facts = await _facts(step, Place(step.part, hashed))
            if facts is not None:
                _, account, container, name = facts.path.split("/", 3)
                words.setdefault((account, container), []).append(told(name, facts))
        for (account, container), entries in words.items():
            containers = self._station.cluster.containers
            try:
                found = await containers.status(account, container)
                if found is None or found[0].policy != policy_of(step.store):
                    step.progress.count("without container", len(entries))
                    continue
                await containers.hear(account, container, entries)
            except NoQuorum as error:
                step.progress.fail(error)
            else:
                step.progress.count("objects", len(entries))


async def _facts(step: Step, place: Place) -> Facts | None:
    policy = policy_of(step.store)
    try:
        if step.store.startswith("fragments"):
            fragment = await step.device.find_fragment(policy, place)
            if fragment is None:
                return None
            await fragment.close()
            return whole(fragment.facts) if fragment.is_durable else None
        found = await step.device.find(policy, place)
    except Damaged:
        return None  # it has been put aside
    if found is not None:
        await found.close()
        return found.facts
    return None


def changed_since(folder: Path, since_s: float) -> list[str]:
    """Hashes with a file that was written since then. Blocks."""
    found: dict[str, None] = {}
    for suffix in _scanned(folder):
        if suffix.stat().st_mtime < since_s:
            continue
        for file in _scanned(Path(suffix.path)):
            if file.stat().st_mtime >= since_s:
                found[file.name.partition(".")[0]] = None
    return list(found)


def _scanned(folder: Path) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
