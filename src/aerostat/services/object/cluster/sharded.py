"""Containers as users see them: whole, however many shards hold their names. See `shards.py`."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ..stores.container_db import SHARDS
from ..stores.entries import ContainerStatus, Entry
from ..stores.listing import Asked, Subdir
from ..stores.protocol import Said
from ..timestamp import Timestamp
from .containers import Containers, Found
from .errors import NoQuorum
from .layout import Layout
from .shards import MOVED, Table, account_of, is_moved, root_in, table_in
from .sums import Sums

MOST_HOPS = 4
"""From a table that was overtaken to the one that holds."""
SUMS_S = 5.0
"""So long what a shard holds is remembered where others change it; what was changed here is seen at once."""


class _Sum(NamedTuple):
    """What a shard holds, as it said when it was asked; None until it has answered."""

    asked_s: float
    status: ContainerStatus | None = None


class _Known:
    """What was learnt of a container that is cut. `sums`: by the name of the shard."""

    __slots__ = ("sums", "table")

    def __init__(self, table: Table) -> None:
        self.table = table
        self.sums: dict[str, _Sum] = {}

    def fresh(self) -> dict[str, ContainerStatus]:
        """What is known of shards and not too old, by their names."""
        oldest_s = time.monotonic() - SUMS_S
        return {
            name: known.status
            for name, known in self.sums.items()
            if known.status is not None and known.asked_s > oldest_s
        }


class ShardedContainers:
    """As `Containers`, which it asks for each shard. What it knows of tables may be overtaken: then it is refused,
    and looks again.
    """

    def __init__(self, plain: Containers) -> None:
        self.plain = plain
        self._known: dict[tuple[str, str], _Known] = {}
        plain.whole_status = self.status

    @property
    def layout(self) -> Layout:
        return self.plain.layout

    @property
    def sums(self) -> Sums:
        return self.plain.sums

    async def make(self, account: str, container: str, at: Timestamp, policy: int, said: Said) -> bool:
        """It is there, with that metadata beside what it has, and its account knows; answers whether it is new."""
        return await self.plain.make(account, container, at, policy, said)

    async def gone_at(self, account: str, container: str) -> Timestamp:
        """When it was deleted last, as far as that is remembered; 0: never."""
        return await self.plain.gone_at(account, container)

    async def say(self, account: str, container: str, said: Said) -> bool:
        """Metadata beside what it has; False when it is not there."""
        return await self.plain.say(account, container, said)

    async def status(self, account: str, container: str, newest: bool = False) -> Found | None:
        """None when it is not there, or deleted. `newest`: of all its devices. Sums are of all its shards."""
        found = await self.plain.status(account, container, newest)
        known = self._learn(account, container, found)
        if found is None or known is None:
            return found
        parts = known.fresh() if not newest else {}
        asked = [shard.name for shard in known.table.shards if shard.name not in parts]
        answers = await asyncio.gather(*(self._sum(account, known, shard, newest) for shard in asked))
        if None in answers and not newest:
            return await self.status(account, container, newest=True)
        sums = [*parts.values(), *(answer for answer in answers if answer is not None)]
        status = msgspec.structs.replace(
            found[0], objects=sum(part.objects for part in sums), bytes=sum(part.bytes for part in sums)
        )
        return status, found[1]

    async def _sum(self, account: str, known: _Known, shard: str, newest: bool) -> ContainerStatus | None:
        """Of one shard; it is remembered."""
        asked = known.sums[shard] = _Sum(time.monotonic())
        found = await self.plain.status(account_of(account), shard, newest)
        if found is None:
            return None
        if known.sums.get(shard) is asked:  # else it was told something meanwhile
            known.sums[shard] = asked._replace(status=found[0])
        return found[0]

    async def list(
        self, account: str, container: str, asked: Asked, hops: int = 0
    ) -> Sequence[Entry | Subdir] | None:
        """A page; None when the container is not there."""
        known = self._known.get((account, container))
        if known is None:
            if (page := await self.plain.list(account, container, asked)) is not None:
                return page
            if (known := await self._look(account, container)) is None:
                return None
        found: list[Entry | Subdir] = []
        for shard in known.table.asked(asked):
            if found and isinstance(found[-1], Subdir) and known.table.is_below(shard, found[-1].name):
                continue
            limit = asked.limit - len(found) + (1 if found else 0)
            part = msgspec.structs.replace(asked, limit=limit)
            page = await self.plain.list(account_of(account), shard.name, part)
            if page is None:
                if hops >= MOST_HOPS:
                    raise NoQuorum(f"a shard of /{account}/{container}", 0, 1)
                await self._look(account, container)
                return await self.list(account, container, asked, hops + 1)
            is_begun = bool(found and page and isinstance(page[0], Subdir) and page[0] == found[-1])
            found += page[1:] if is_begun else page
            if len(found) >= asked.limit:
                return found[: asked.limit]
        return found

    async def hear(self, account: str, container: str, entries: Sequence[Entry]) -> None:
        """What became of objects; devices that cannot be told will be. Raises `NoQuorum` when not even that is sure."""
        await self._hear(account, container, entries, 0)

    async def reroute(self, account: str, container: str, entries: Sequence[Entry]) -> bool:
        """Tell what a container refuses to whom it belongs by now; False when it should not have refused."""
        found = await self.plain.status(account, container, newest=True)
        known = self._learn(account, container, found)
        if found is None or (known is None and not is_moved(found[1])):
            return False
        await self._hear(account, container, entries, 0)
        return True

    async def _hear(self, account: str, container: str, entries: Sequence[Entry], hops: int) -> None:
        plain = self.plain
        known = self._known.get((account, container))
        if known is None:
            told, is_refused = await plain.tell(account, container, entries)
            if not is_refused:
                await plain.note(account, container, entries, told)
                return
            found = await self._find(account, container)
            known = self._learn(account, container, found)
            if known is None:
                root = root_in(found[1]) if found is not None and is_moved(found[1]) else None
                if root is not None and hops < MOST_HOPS:
                    await self._look(*root)
                    await self._hear(*root, entries, hops + 1)
                else:
                    await plain.note(account, container, entries, told)
                return
        hidden = account_of(account)
        for shard, group in known.table.grouped(entries):
            told, is_refused = await plain.tell(hidden, shard.name, group)
            known.sums.pop(shard.name, None)
            if plain.is_told(hidden, shard.name, told):
                continue
            if is_refused and hops < MOST_HOPS and await self._look(account, container) is not known:
                await self._hear(account, container, group, hops + 1)
            else:  # for the root, which will know which shard it is by then
                await plain.note(account, container, group, [])
        plain.sums.changed(account, container)

    async def delete(self, account: str, container: str, at: Timestamp) -> bool | None:
        """Whether it is deleted: it is not when it has objects. None when it is not there."""
        known = self._known.get((account, container))
        found = await self.status(account, container, newest=True) if known is not None else None
        is_gone = False if found is not None and found[0].objects else None
        if is_gone is None:
            is_gone = await self.plain.delete(account, container, at)
        if is_gone is False and known is None and await self._look(account, container) is not None:
            return await self.delete(account, container, at)
        if is_gone and known is not None:
            self._known.pop((account, container), None)
            for shard in known.table.shards:
                await self.plain.say(account_of(account), shard.name, {SHARDS: (MOVED, at)})
        return is_gone

    async def _look(self, account: str, container: str) -> _Known | None:
        return self._learn(account, container, await self._find(account, container))

    async def _find(self, account: str, container: str) -> Found | None:
        try:
            return await self.plain.status(account, container, newest=True)
        except NoQuorum:
            return None

    def _learn(self, account: str, container: str, found: Found | None) -> _Known | None:
        """The same as before, while the table is the same."""
        table = table_in(found[1]) if found is not None else None
        if table is None:
            self._known.pop((account, container), None)
            return None
        known = self._known.get((account, container))
        if known is None or known.table != table:
            known = self._known[account, container] = _Known(table)
        return known
