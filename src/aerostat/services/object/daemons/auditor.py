"""Looks at what lies on the disks, whether it still is what was written: damaged files are put aside.

What was put aside is then missed, and replicator or reconstructor bring it back from elsewhere. Most rounds look at
what is known of each file; now and then one reads all bytes, at a rate that leaves the disk to others.
"""

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path

from ..ring import Hasher
from ..stores.device import LocalDevice, LocalObject
from ..stores.held import ACCOUNTS, CONTAINERS, Held, policy_of
from ..stores.object_file import Damaged, Facts
from ..stores.protocol import Place
from .copying import SourceDamaged, checked
from .pace import Pace
from .progress import Progress
from .station import Station
from .walking import Step, Walk

NAME = "auditor"


class Auditor:
    """Goes round all that its devices have."""

    name = NAME

    def __init__(self, station: Station) -> None:
        settings = station.settings
        self._station = station
        self._bytes = Pace(settings.audit_bytes_per_s)
        self._files = Pace(settings.audit_files_per_s)
        self._walk = Walk(
            station,
            NAME,
            lambda _: True,
            self._work,
            thorough_s=settings.audit_full_s,
            ended=self._clear_leftovers,
        )

    async def pass_once(self) -> bool:
        return await self._walk.pass_once()

    async def _work(self, step: Step) -> None:
        if step.store in (CONTAINERS, ACCOUNTS):
            await self._databases(step)
        elif step.store.startswith("fragments"):
            await self._fragments(step)
        else:
            await self._objects(step)

    # Objects

    async def _objects(self, step: Step) -> None:
        objects = step.device.objects(policy_of(step.store))
        for hashed in await asyncio.to_thread(lambda: list(objects.hashes(step.part))):
            await self._files.spend()
            place = Place(step.part, hashed)
            try:
                found = await step.device.find(policy_of(step.store), place)
            except Damaged:
                step.progress.count("quarantined")  # the device has put it aside itself
                continue
            if found is not None:
                await self._look(step, found, place)

    async def _fragments(self, step: Step) -> None:
        policy = policy_of(step.store)
        names: dict[str, list[Held]] = {}
        for held in await step.device.held(step.store, step.part):
            names.setdefault(held.hashed, []).append(held)
        for hashed, versions in names.items():
            place = Place(step.part, hashed)
            for version in versions:
                await self._files.spend()
                if version.is_gone or version.fragment is None:
                    continue
                wanted = version.timestamp, version.fragment
                found = await step.device.find_fragment(policy, place, wanted)
                if found is None:
                    step.progress.count("quarantined")  # the device has put it aside itself
                    continue
                await self._look(step, found, place)

    async def _look(self, step: Step, found: LocalObject, place: Place) -> None:
        """Closes it, and puts it aside when it is not whole."""
        try:
            await self._check(step, found, place)
        except SourceDamaged as damage:
            await found.put_aside(str(damage))
            step.progress.count("quarantined")
        finally:
            await found.close()

    async def _check(self, step: Step, found: LocalObject, place: Place) -> None:
        """Raises `SourceDamaged`."""
        facts = found.written
        if not is_named_right(facts, place.hashed, self._station.cluster.hasher):
            raise SourceDamaged(f"it is of {facts.path[:200]!r}, which has another hash")
        step.progress.count("files")
        if step.progress.report.is_thorough and not facts.is_gone:
            async for piece in checked(found, facts, self._bytes):
                step.progress.count("bytes", len(piece))

    # Databases

    async def _databases(self, step: Step) -> None:
        folder = step.device.root / step.store / str(step.part)
        for path in await asyncio.to_thread(lambda: sorted(folder.glob("*/*.db"))):
            await self._files.spend()
            step.progress.count("databases")
            why = await asyncio.to_thread(check_database, path, whole=step.progress.report.is_thorough)
            if why is not None and await step.device.quarantine(step.store, Place(step.part, path.stem), why):
                step.progress.count("quarantined")

    async def _clear_leftovers(self, _key: str, device: LocalDevice, progress: Progress) -> None:
        removed = await device.clear_unnamed(self._station.settings.leftover_s)
        progress.count("leftovers", removed)


def is_named_right(facts: Facts, hashed: str, hasher: Hasher) -> bool:
    """Whether a file lies where its name belongs."""
    parts = facts.path.split("/", 3)
    return len(parts) == 4 and parts[0] == "" and hasher.hash(*parts[1:]) == hashed


def check_database(path: Path, *, whole: bool) -> str | None:
    """What is wrong with it, if anything. `whole`: its sums are counted, too. Blocks."""
    if not os.path.exists(path):
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=5.0)) as db:
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                return str(found)
            if db.execute("SELECT path FROM status").fetchone() is None:
                return "it has no status"
            return _miscounted(db) if whole else None
    except sqlite3.OperationalError as error:
        is_ours = "no such table" in str(error) or "no such column" in str(error)
        return str(error) if is_ours else None  # busy, or gone meanwhile
    except sqlite3.DatabaseError as error:
        return str(error)


def _miscounted(db: sqlite3.Connection) -> str | None:
    """Whether the sums that a container keeps are those of its rows, at one moment."""
    db.execute("BEGIN")
    try:
        if (
            db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'live'").fetchone()
            is None
        ):
            return None
        kept = db.execute("SELECT rows, bytes FROM status").fetchone()
        sums = db.execute("SELECT count(*), coalesce(sum(size), 0) FROM live").fetchone()
        return None if sums == kept else f"it says it has {kept} rows and bytes, and has {sums}"
    finally:
        db.execute("ROLLBACK")
