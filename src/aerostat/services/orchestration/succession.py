"""Rows that follow one another under one name: what a new thing takes from the one that it replaces, and the way back.

A port is on one server at a time, so the new server cannot be made before the old one has let go. The old row notes
that it has lent something. When the update is rolled back, the old thing is used again, and first gets back what it
lent; its successors are deleted with everything else that the template before does not have.
"""

from collections.abc import Callable, Mapping

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.errors import Unavailable

from . import model
from .ledger import Ledger
from .thing import Thing

_LENT = "lent"  # in a replaced row's data: it has let go of something, or was about to


class Succession:
    """Works on the rows of one run."""

    def __init__(self, rows: Mapping[str, Row], ledger: Ledger, thing_of: Callable[[Row], Thing]) -> None:
        self._rows = rows
        self._ledger = ledger
        self._thing_of = thing_of

    async def take_back(self, tx: Transaction) -> None:
        """Where a row was replaced and is still there, it is the current one again."""
        for newer in [row for row in self._rows.values() if row.current and row.replaces in self._rows]:
            oldest = newer
            while oldest.replaces in self._rows:
                oldest = self._rows[oldest.replaces]
            if oldest.state.startswith("DELETE"):
                continue
            await tx.update(model.RESOURCES, {"id": newer.id}, current=False, replaces=None)
            await tx.update(model.RESOURCES, {"id": oldest.id}, current=True)
            newer.current, newer.replaces, oldest.current = False, None, True

    async def take_over(self, thing: Thing) -> None:
        """Before `thing` is made: have what it replaces let go. Raises `Unavailable` until it has."""
        old = self._rows.get(thing.row.replaces)
        if old is None or old.physical_id is None or old.kind != thing.row.kind:
            return
        try:
            await thing.kind.take_over(thing, old.physical_id)
        except Unavailable:
            if not old.data.get(_LENT):
                old.data[_LENT] = True
                await self._store_data(old)
            raise

    async def is_whole(self, thing: Thing) -> bool:
        """Whether the thing has all that it lent; False: ask again, what can be done is under way."""
        row = thing.row
        if not row.data.get(_LENT):
            return True
        if row.physical_id is not None and not await thing.kind.give_back(thing, await self._takers(thing)):
            return False
        del row.data[_LENT]
        await self._store_data(row)
        return True

    async def _takers(self, thing: Thing) -> set[str]:
        """Ids outside of what was made in the thing's place, even by a run that died before it could tell."""
        found = set()
        for row in self._rows.values():
            if row.current or row.name != thing.name or row.kind != thing.row.kind:
                continue
            taker = self._thing_of(row)
            if row.physical_id is None and row.state.startswith("CREATE"):
                made = await taker.kind.find_made(taker)
                if made is not None:
                    await taker.claim(made)
            if row.physical_id is not None:
                found.add(row.physical_id)
        return found

    async def _store_data(self, row: Row) -> None:
        await self._ledger.write(lambda tx: tx.update(model.RESOURCES, {"id": row.id}, data=row.data))
