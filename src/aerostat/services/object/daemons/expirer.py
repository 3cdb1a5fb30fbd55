"""Objects whose time has come are deleted, unless they have been given another one meanwhile.

The notes of `expiry.py` are gone through, hour by hour. Each belongs to one holder of its hour's container; what is
long overdue is anybody's, so that nothing waits for one that is away.
"""

import asyncio
from collections.abc import AsyncIterator

import structlog

from .. import expiry, timestamp
from ..cluster.errors import NoQuorum
from ..http.request import Request, path_of
from ..stores.entries import ContainerEntry, Entry
from ..stores.listing import Asked
from .pace import Pace
from .progress import Progress
from .shares import whose
from .station import Station

log = structlog.get_logger(__name__)

NAME = "expirer"
PAGE = 1000
EMPTIED_AFTER_S = 4 * expiry.SLOT_S
"""The container of an hour that is so long gone is deleted when it is empty."""
GONE = (204, 404, 409, 412)
"""Answers after which a note is of no use any more; 409: the object is newer than the wish that it be deleted."""


class Expirer:
    """Of one process."""

    name = NAME

    def __init__(self, station: Station) -> None:
        self._station = station
        self._pace = Pace(station.settings.expire_per_s)

    async def pass_once(self) -> bool:
        """All that is due. True: nothing is left of it, but what could not be done now."""
        for key, device in list(self._station.here.items())[:1]:
            progress = await asyncio.to_thread(Progress, device.root, NAME, key)
            progress.begin(self._station.clock(), 0)
            try:
                await self._all(progress)
            except* NoQuorum as errors:  # of a task group
                progress.fail(errors.exceptions[0])
            progress.end(self._station.clock())
            await progress.save(now=True)
        return True

    async def _all(self, progress: Progress) -> None:
        now_s = int(self._station.clock() - self._station.settings.expire_late_s)
        limit = asyncio.Semaphore(self._station.settings.expire_at_once)
        async for slot in self._slots(now_s):
            is_empty = True
            async with asyncio.TaskGroup() as tasks:
                async for note in self._notes(slot, now_s):
                    is_empty = False
                    if self._is_ours(slot, note.name, now_s):
                        await self._pace.spend()
                        await limit.acquire()
                        task = tasks.create_task(self._expire(slot, note, progress))
                        task.add_done_callback(lambda _: limit.release())
            if is_empty and int(slot) < now_s - EMPTIED_AFTER_S:
                at = timestamp.now()
                await self._station.cluster.containers.delete(expiry.ACCOUNT, slot, at)

    async def _slots(self, now_s: int) -> AsyncIterator[str]:
        asked = Asked(limit=PAGE, end_marker=f"{now_s + 1:010d}")
        while page := await self._station.cluster.accounts.list(expiry.ACCOUNT, asked):
            for entry in page:
                if isinstance(entry, ContainerEntry):
                    yield entry.name
            asked = Asked(limit=PAGE, marker=page[-1].name, end_marker=asked.end_marker)

    async def _notes(self, slot: str, now_s: int) -> AsyncIterator[Entry]:
        containers = self._station.cluster.containers
        asked = Asked(limit=PAGE, end_marker=f"{now_s + 1:010d}")
        while page := await containers.list(expiry.ACCOUNT, slot, asked):
            for entry in page:
                if isinstance(entry, Entry):
                    yield entry
            asked = Asked(limit=PAGE, marker=page[-1].name, end_marker=asked.end_marker)

    def _is_ours(self, slot: str, name: str, now_s: int) -> bool:
        layout = self._station.cluster.containers.layout
        place = layout.place(self._station.cluster.hasher.hash(expiry.ACCOUNT, slot))
        holders = [device.key for device in layout.ring.holders(place.part)]
        due_at = int(name.partition("-")[0])
        return whose(name, holders) in self._station.here or (
            now_s - due_at > self._station.settings.expire_others_s
        )

    async def _expire(self, slot: str, note: Entry, progress: Progress) -> None:
        due, _, path = note.name.partition("-")
        account, container, object_ = path.split("/", 2)
        request = Request("DELETE", path_of(account, container, object_))
        if note.content_type == expiry.ASKED:
            request.at = note.timestamp
        else:
            request.headers["x-if-delete-at"] = str(int(due))
        request.is_inner = request.is_owner = True
        assert self._station.core is not None
        response = await self._station.core(request)
        if response.status not in GONE:
            progress.count("failures")
            return
        progress.count("objects" if response.status == 204 else "stale")
        gone = Entry(name=note.name, timestamp=timestamp.now(), is_gone=True)
        try:
            await self._station.cluster.containers.hear(expiry.ACCOUNT, slot, [gone])
        except NoQuorum as error:
            progress.fail(error)
