"""Deleted accounts are emptied: all their objects, then their containers. The replicator forgets what is left of them.

https://docs.openstack.org/swift/latest/overview_reaper.html

A container belongs to one holder of its account, and long after the deletion to anybody. An account that is made anew
meanwhile is let be from then on.
"""

import structlog

from .. import timestamp
from ..cluster.errors import DeviceFull, NoQuorum
from ..stores.entries import ContainerEntry, Entry
from ..stores.held import ACCOUNTS, DatabaseState
from ..stores.listing import Asked
from ..stores.opened import Superseded
from ..stores.protocol import Place
from ..timestamp import TICKS, Timestamp
from .pace import Pace
from .shares import whose
from .station import Station
from .walking import Step, Walk

log = structlog.get_logger(__name__)

NAME = "reaper"
PAGE = 1000
OTHERS_AFTER_S = 3600.0


class Reaper:
    """Goes round the accounts of its devices."""

    name = NAME

    def __init__(self, station: Station) -> None:
        self._station = station
        self._pace = Pace(station.settings.reap_per_s)
        self._walk = Walk(station, NAME, lambda store: store == ACCOUNTS, self._work)

    async def pass_once(self) -> bool:
        return await self._walk.pass_once()

    async def _work(self, step: Step) -> None:
        before = self._station.moment(self._station.settings.reap_after_s)
        for state in await step.device.databases(ACCOUNTS, step.part):
            if state.put_at < state.deleted_at <= before and state.rows:
                await self._account(step, state)

    async def _account(self, step: Step, state: DatabaseState) -> None:
        place = Place(step.part, state.hashed)
        holders = [device.key for device in self._station.layout(ACCOUNTS).ring.holders(step.part)]
        is_overdue = self._station.clock() - state.deleted_at / TICKS > OTHERS_AFTER_S
        change = 0
        while (page := await step.device.rows_since(ACCOUNTS, place, change, PAGE)) is not None and page.rows:
            change = page.change
            for entry in page.containers:
                if entry.is_gone or not (is_overdue or whose(entry.name, holders) == step.key):
                    continue
                now = await step.device.database(ACCOUNTS, place)
                if now is None or now.put_at >= now.deleted_at:
                    return
                try:
                    await self._container(step, state.path.removeprefix("/"), entry)
                except (NoQuorum, DeviceFull) as error:
                    step.progress.fail(error)

    async def _container(self, step: Step, account: str, entry: ContainerEntry) -> None:
        containers = self._station.cluster.containers
        asked = Asked(limit=PAGE)
        found = await containers.status(account, entry.name)
        while found is not None and (page := await containers.list(account, entry.name, asked)):
            for one in page:
                if isinstance(one, Entry):
                    await self._object(step, account, entry.name, one, found[0].policy)
            asked = Asked(limit=PAGE, marker=page[-1].name)
        await self._pace.spend()
        if found is None or await containers.delete(account, entry.name, timestamp.now()) is None:
            gone = ContainerEntry(name=entry.name, put_at=entry.put_at, deleted_at=timestamp.now())
            await self._station.cluster.accounts.hear(account, [gone])
        step.progress.count("containers")

    async def _object(self, step: Step, account: str, container: str, entry: Entry, policy: int) -> None:
        await self._pace.spend()
        at = await self._delete(account, container, entry.name, policy)
        gone = Entry(name=entry.name, timestamp=at, is_gone=True)
        await self._station.cluster.containers.hear(account, container, [gone])
        step.progress.count("objects")

    async def _delete(self, account: str, container: str, name: str, policy: int) -> Timestamp:
        """Answers when it was deleted: by us, or by another reaper at the same time. Raises `NoQuorum`."""
        objects, at = self._station.cluster.objects(policy), timestamp.now()
        while True:
            try:
                await objects.delete(account, container, name, at)
                return at
            except Superseded as newer:
                found = await objects.find(account, container, name, newest=True)
                if found is None:
                    return newer.timestamp
                await found.close()
                if found.facts.is_gone:
                    return found.facts.timestamp
                at = max(newer.timestamp, found.facts.timestamp) + 1
