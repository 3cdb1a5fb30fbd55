"""Containers of very many objects are cut into shards, and shards that have shrunk are joined; see `cluster/shards.py`.

One device decides for a container: the first of its holders that answers. A cut goes: a plan, with the names of the
shards to be, is written into the metadata of what is cut; the shards are made; its rows are copied to them, page by
page, while it takes words as ever; then, in one word, the root's table names them and what was cut is closed. What was
heard between is copied at once. Whoever dies on the way leaves the plan, and the next goes on by it.

Every device that has a closed database moves what rows are left in it, tells them to whom they belong now, and takes
them away when they were told. So nothing is lost that one copy alone had heard. A shard that is in no table, be it of
a plan that was given up or of a root that was deleted, is closed, gives its rows back, and goes.
"""

import asyncio

import structlog

from .. import timestamp
from ..cluster.containers import Found
from ..cluster.errors import NoQuorum
from ..cluster.layout import Target
from ..cluster.shards import (
    MOVED,
    PLAN,
    ROOT,
    Shard,
    Table,
    account_of,
    is_moved,
    plan_in,
    root_in,
    table_in,
    written,
)
from ..stores.container_db import SHARDS
from ..stores.held import CONTAINERS, DatabaseState, Said
from ..stores.listing import Asked
from ..stores.protocol import DeviceAway, DeviceVerbs, Place
from ..timestamp import TICKS, Timestamp
from .pace import Pace
from .station import FAULTS, Station
from .sums import newest
from .walking import Step, Walk

log = structlog.get_logger(__name__)

NAME = "sharder"
PAGE = 1000
SMALL_SHARE = 8
"""Neighbours that have together less than that part of what makes a shard too large are joined."""
ORPHAN_S = 3600.0
"""A shard that is so old and in no table has been forgotten."""

Name = tuple[str, str]
"""Of a container: its account and its own."""


class Sharder:
    """Goes round the containers of its devices."""

    name = NAME

    def __init__(self, station: Station) -> None:
        self._station = station
        self._rows = Pace(station.settings.shard_rows_per_s)
        self._quiet: dict[tuple[str, int], int] = {}
        """Partitions in which nothing was to be done when they were touched last."""
        self._walk = Walk(station, NAME, lambda store: store == CONTAINERS, self._work)

    async def pass_once(self) -> bool:
        """Some partitions of each device; True when all are at the end of a round."""
        return await self._walk.pass_once()

    async def _work(self, step: Step) -> None:
        folder = step.device.root / CONTAINERS / str(step.part)
        touched = await asyncio.to_thread(newest, folder)
        if self._quiet.get((step.key, step.part)) == touched:
            return
        is_quiet = True
        for state in await step.device.databases(CONTAINERS, step.part):
            try:
                is_quiet &= await self._container(step, state)
            except NoQuorum as error:
                step.progress.fail(error)
                is_quiet = False
        if is_quiet:
            self._quiet[step.key, step.part] = touched

    async def _container(self, step: Step, state: DatabaseState) -> bool:
        """True when nothing is to be done about it, as long as it is not touched."""
        _, account, container = state.path.split("/", 2)
        name = (account, container)
        root = root_in(state.said)
        is_closed = bool(state.said.get(SHARDS, ("", 0))[0])
        if state.put_at < state.deleted_at and not is_closed:
            return True
        if root is not None and not await self._check_shard(step, state, name, root):
            return False
        if is_closed and state.change:
            await self._move_rows(step, state, root or name)
        if root is not None:
            return not is_moved(state.said)
        limit = self._station.settings.shard_rows
        table = table_in(state.said)
        if not limit or (table is None and state.rows <= limit and plan_in(state.said) is None):
            return not is_closed
        if await self._is_decider(step):
            await self._decide(step, name, table)
        return False

    async def _is_decider(self, step: Step) -> bool:
        """The first of the holders that answers."""
        for target in self._station.layout(CONTAINERS).holders(step.part):
            if target.key == step.key:
                return True
            try:
                await self._station.ask(target.device.status())
            except FAULTS:
                continue
            return False
        return False

    async def _decide(self, step: Step, name: Name, table: Table | None) -> None:
        limit, containers = self._station.settings.shard_rows, self._station.cluster.containers
        if table is None:
            found = await containers.plain.status(*name, newest=True)
            if found is not None and table_in(found[1]) is None:
                await self._cut(step, name, name, found)
            return
        hidden = account_of(name[0])
        counts: list[int] = []
        for shard in table.shards:
            found = await containers.plain.status(hidden, shard.name, newest=True)
            counts.append(found[0].objects if found is not None else limit // 2)
            if found is not None and (found[0].objects > limit or plan_in(found[1]) is not None):
                await self._cut(step, name, (hidden, shard.name), found)
                return
        for number in range(len(counts) - 1, 0, -1):
            if counts[number - 1] + counts[number] < limit // SMALL_SHARE:
                await self._join(step, name, table.shards[number - 1], table.shards[number])
                return

    # Cutting

    async def _cut(self, step: Step, root: Name, source: Name, found: Found) -> None:
        device, place = await self._holder(source)
        status, said = found
        plan = plan_in(said)
        at = timestamp.now()
        lower = "" if source == root else await self._lower(root, source)
        if lower is None:
            return  # the table that told of it was overtaken
        if plan is None:
            plan = await self._plan(device, place, root, lower, at)
            if len(plan.shards) < 2:
                return
            await self._say(source, {PLAN: (written(plan), at)})
            log.info("container_is_cut", root=root, source=source[1], shards=len(plan.shards))
        hidden = account_of(root[0])
        await self._station.cluster.accounts.make(hidden, at, {})
        for shard in plan.shards:
            about = {ROOT: (f"/{root[0]}/{root[1]}", at)}
            await self._station.cluster.containers.make(hidden, shard.name, at, status.policy, about)
        copied = await self._copy(step, device, place, plan, hidden, 0)
        now = timestamp.now()
        if source == root:
            await self._say(root, {SHARDS: (written(plan), now), PLAN: ("", now)})
        else:
            before = await self._table(root)
            if before is None or not before.has(source[1]):
                return  # the root has been deleted, or another has decided: the sharder of what was made sees to it
            await self._say(root, {SHARDS: (written(before.replaced(source[1], plan.shards)), now)})
            await self._say(source, {SHARDS: (MOVED, now), PLAN: ("", now)})
        await self._copy(step, device, place, plan, hidden, copied)
        step.progress.count("cuts")

    async def _plan(self, device: DeviceVerbs, place: Place, root: Name, lower: str, at: Timestamp) -> Table:
        """Shards of half the size that makes one too large."""
        size = max(1, self._station.settings.shard_rows // 2)
        bounds, count, marker = [lower], 0, ""
        while page := await self._station.ask(device.list_container(place, Asked(marker=marker))):
            for entry in page:
                if count and count % size == 0:
                    bounds.append(entry.name)
                count += 1
            marker = page[-1].name
        if len(bounds) > 2 and count % size and count % size < size // 2:
            bounds.pop()
        label = f"{root[1]}-{timestamp.write(at)}"
        return Table(tuple(Shard(bound, f"{label}-{number}") for number, bound in enumerate(bounds)))

    async def _copy(
        self, step: Step, device: DeviceVerbs, place: Place, plan: Table, hidden: str, change: int
    ) -> int:
        """Tell the shards all rows that changed after `change`; answers up to where. Whom they miss hears when what was
        cut is emptied.
        """
        while page := await self._station.ask(device.rows_since(CONTAINERS, place, change, PAGE)):
            if not page.objects:
                break
            await self._rows.spend(len(page.objects))
            for shard, entries in plan.grouped(page.objects):
                heard = await self._station.cluster.containers.plain.tell(hidden, shard.name, entries)
                if not heard.told:
                    raise NoQuorum("a shard in the making", 0, 1)
            step.progress.count("rows copied", len(page.objects))
            change = page.change
        return change

    # Joining

    async def _join(self, step: Step, root: Name, one: Shard, other: Shard) -> None:
        """The names of the second are the first's from now on."""
        hidden = account_of(root[0])
        device, place = await self._holder((hidden, other.name))
        alone = Table((Shard("", one.name),))
        copied = await self._copy(step, device, place, alone, hidden, 0)
        before = await self._table(root)
        if before is None or not (before.has(one.name) and before.has(other.name)):
            return
        now = timestamp.now()
        await self._say(root, {SHARDS: (written(before.replaced(other.name, ())), now)})
        await self._say((hidden, other.name), {SHARDS: (MOVED, now)})
        await self._copy(step, device, place, alone, hidden, copied)
        step.progress.count("joins")

    # Shards that are in no table, and what is left in what was closed

    async def _check_shard(self, step: Step, state: DatabaseState, name: Name, root: Name) -> bool:
        """Whether it is as its root's table says; else something is done about it."""
        found = await self._station.cluster.containers.plain.status(*root, newest=True)
        table = table_in(found[1]) if found is not None else None
        is_listed = table is not None and table.has(name[1])
        now = timestamp.now()
        if is_listed and is_moved(state.said):
            await self._say(name, {SHARDS: ("", now)})
            step.progress.count("reopened")
            return False
        if is_listed:
            return True
        age_s = self._station.clock() - state.put_at / TICKS
        if not is_moved(state.said):
            # a table that is younger than the shard was written when it was cut, or by who gave its plan up
            is_overtaken = found is not None and table is not None and found[1][SHARDS][1] > state.put_at
            if is_overtaken or age_s > ORPHAN_S:
                await self._say(name, {SHARDS: (MOVED, now)})
            return False
        if state.put_at < state.deleted_at:
            return True
        if state.rows == 0:
            path = state.said[ROOT][0]
            await self._say(name, {SHARDS: (MOVED, now + 1), ROOT: (path, now + 1)})  # outlasts the deletion
            if await self._station.cluster.containers.plain.delete(*name, now):
                step.progress.count("shards removed")
                return False
        return True

    async def _move_rows(self, step: Step, state: DatabaseState, root: Name) -> None:
        place, change = Place(step.part, state.hashed), 0
        while page := await step.device.rows_since(CONTAINERS, place, change, PAGE):
            if not page.objects:
                return
            await self._rows.spend(len(page.objects))
            if not await self._station.cluster.containers.reroute(*root, page.objects):
                await self._station.cluster.containers.hear(*root, page.objects)
            await step.device.drop_rows(place, change, page.change)
            step.progress.count("rows moved", len(page.objects))
            change = page.change

    # What is asked of the cluster

    async def _holder(self, name: Name) -> tuple[DeviceVerbs, Place]:
        """A device that has a container: of this process if there is one. Raises `DeviceAway`."""
        layout = self._station.layout(CONTAINERS)
        place = layout.place(self._station.cluster.hasher.hash(*name))
        best: tuple[int, Target] | None = None
        for target in layout.holders(place.part):
            try:
                state = await self._station.ask(target.device.database(CONTAINERS, place))
            except FAULTS:
                continue
            if state is not None and (best is None or state.rows > best[0]):
                best = state.rows, target
        if best is None:
            raise DeviceAway(f"nobody has {name}")
        return best[1].device, place

    async def _lower(self, root: Name, source: Name) -> str | None:
        """The bound from which on a shard has its names; None when it is none of the root's."""
        table = await self._table(root)
        shards = table.shards if table is not None else ()
        return next((shard.lower for shard in shards if shard.name == source[1]), None)

    async def _table(self, root: Name) -> Table | None:
        found = await self._station.cluster.containers.plain.status(*root, newest=True)
        return table_in(found[1]) if found is not None else None

    async def _say(self, name: Name, said: Said) -> None:
        await self._station.cluster.containers.say(*name, said)
