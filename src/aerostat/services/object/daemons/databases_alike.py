"""Databases of containers and accounts: every holder has all rows and all that was said, and nobody else has one.

A holder tells each other what changed here since it told it last; how far that is the other has written down with the
rows. Who is no holder tells all of them, and takes its file away when all of them have everything.
"""

from ..cluster.layout import Target
from ..stores.held import DatabaseState
from ..stores.protocol import Place
from .differences import is_forgettable, plan_database
from .pace import Pace
from .station import FAULTS, Station
from .walking import Step

ROWS_AT_ONCE = 1000
ROWS_PER_S = 20_000.0


class DatabasesAlike:
    """The replicator's half for stores of databases."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._rows = Pace(ROWS_PER_S)

    async def work(self, step: Step) -> None:
        """One partition. What others cannot be told now they are told in the next round."""
        layout = self._station.layout(step.store)
        holders = layout.holders(step.part)
        others = [target for target in holders if target.key != step.key]
        is_holder = len(others) < len(holders)
        if is_holder and not others and not step.progress.report.is_thorough:
            return
        mine = await step.device.databases(step.store, step.part)
        reached = 0
        told = {state.hashed for state in mine}
        needed: set[str] = set()
        for target in others:
            try:
                there = await self._station.ask(target.device.databases(step.store, step.part))
                theirs = {state.hashed: state for state in there}
                for state in mine:
                    other = theirs.get(state.hashed)
                    if other is not None and not is_forgettable(other, self._reclaim):
                        needed.add(state.hashed)
                    if not await self._tell(step, target, state, other):
                        told.discard(state.hashed)
                reached += 1
            except FAULTS as error:
                step.progress.fail(error)
        if len(holders) < layout.holder_count(step.part) or reached < len(others):
            return
        for state in mine:
            is_moved = not is_holder and others and state.hashed in told
            if is_moved or (is_forgettable(state, self._reclaim) and state.hashed not in needed):
                await self._remove(step, state)
            elif step.progress.report.is_thorough:
                place = Place(step.part, state.hashed)
                gone = await step.device.forget_gone(step.store, place, self._reclaim)
                step.progress.count("rows forgotten", gone)

    async def _tell(
        self, step: Step, target: Target, state: DatabaseState, other: DatabaseState | None
    ) -> bool:
        """Whether the other has all that is here."""
        since = plan_database(state, other, self._reclaim)
        if since is None:
            return True
        place = Place(step.part, state.hashed)
        while (new := await step.device.rows_since(step.store, place, since, ROWS_AT_ONCE)) is not None:
            if new.file_id != state.file_id:
                return False
            await self._rows.spend(len(new.rows))
            heard = new.change if new.rows else max(since, state.change)
            merging = target.device.merge_database(step.store, place, state, new.rows, heard)
            await self._station.ask(merging)
            step.progress.count("rows", len(new.rows))
            if len(new.rows) < ROWS_AT_ONCE:
                step.progress.count("databases")
                return True
            since = new.change
        return False

    async def _remove(self, step: Step, state: DatabaseState) -> None:
        place = Place(step.part, state.hashed)
        removed = await step.device.remove_database(step.store, place, state.file_id, state.change)
        step.progress.count("databases removed", removed)

    @property
    def _reclaim(self) -> int:
        return self._station.moment(self._station.reclaim_age_s)
