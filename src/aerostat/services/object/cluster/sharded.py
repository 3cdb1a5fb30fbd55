"""Containers as users see them: whole, however many shards hold their names. See `shards.py`."""

import asyncio
from collections.abc import Sequence

import msgspec

from ..stores.container_db import SHARDS
from ..stores.entries import Entry
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


class ShardedContainers:
    """As `Containers`, which it asks for each shard. What it knows of tables may be overtaken: then it is refused,
    and looks again.
    """

    def __init__(self, plain: Containers) -> None:
        self.plain = plain
        self._known: dict[tuple[str, str], Table] = {}
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
        table = self._learn(account, container, found)
        if found is None or table is None:
            return found
        hidden = account_of(account)
        asked = (self.plain.status(hidden, shard.name, newest) for shard in table.shards)
        parts = await asyncio.gather(*asked)
        if any(part is None for part in parts) and not newest:
            return await self.status(account, container, newest=True)
        status = msgspec.structs.replace(
            found[0],
            objects=sum(part[0].objects for part in parts if part is not None),
            bytes=sum(part[0].bytes for part in parts if part is not None),
        )
        return status, found[1]

    async def list(
        self, account: str, container: str, asked: Asked, hops: int = 0
    ) -> Sequence[Entry | Subdir] | None:
        """A page; None when the container is not there."""
        table = self._known.get((account, container))
        if table is None:
            if (page := await self.plain.list(account, container, asked)) is not None:
                return page
            if (table := await self._look(account, container)) is None:
                return None
        found: list[Entry | Subdir] = []
        for shard in table.asked(asked):
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
        if found is None or (self._learn(account, container, found) is None and not is_moved(found[1])):
            return False
        await self._hear(account, container, entries, 0)
        return True

    async def _hear(self, account: str, container: str, entries: Sequence[Entry], hops: int) -> None:
        plain = self.plain
        table = self._known.get((account, container))
        if table is None:
            told, is_refused = await plain.tell(account, container, entries)
            if not is_refused:
                await plain.note(account, container, entries, told)
                return
            found = await self._find(account, container)
            table = self._learn(account, container, found)
            if table is None:
                root = root_in(found[1]) if found is not None and is_moved(found[1]) else None
                if root is not None and hops < MOST_HOPS:
                    await self._look(*root)
                    await self._hear(*root, entries, hops + 1)
                else:
                    await plain.note(account, container, entries, told)
                return
        hidden = account_of(account)
        for shard, group in table.grouped(entries):
            told, is_refused = await plain.tell(hidden, shard.name, group)
            if plain.is_told(hidden, shard.name, told):
                continue
            if is_refused and hops < MOST_HOPS and await self._look(account, container) != table:
                await self._hear(account, container, group, hops + 1)
            else:  # for the root, which will know which shard it is by then
                await plain.note(account, container, group, [])
        plain.sums.changed(account, container)

    async def delete(self, account: str, container: str, at: Timestamp) -> bool | None:
        """Whether it is deleted: it is not when it has objects. None when it is not there."""
        table = self._known.get((account, container))
        found = await self.status(account, container, newest=True) if table is not None else None
        is_gone = False if found is not None and found[0].objects else None
        if is_gone is None:
            is_gone = await self.plain.delete(account, container, at)
        if is_gone is False and table is None and await self._look(account, container) is not None:
            return await self.delete(account, container, at)
        if is_gone and table is not None:
            self._known.pop((account, container), None)
            for shard in table.shards:
                await self.plain.say(account_of(account), shard.name, {SHARDS: (MOVED, at)})
        return is_gone

    async def _look(self, account: str, container: str) -> Table | None:
        return self._learn(account, container, await self._find(account, container))

    async def _find(self, account: str, container: str) -> Found | None:
        try:
            return await self.plain.status(account, container, newest=True)
        except NoQuorum:
            return None

    def _learn(self, account: str, container: str, found: Found | None) -> Table | None:
        table = table_in(found[1]) if found is not None else None
        if table is None:
            self._known.pop((account, container), None)
        else:
            self._known[account, container] = table
        return table
