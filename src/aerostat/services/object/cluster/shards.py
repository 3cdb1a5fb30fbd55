"""How a container of very many objects is cut: which names are in which shard. Pure.

A shard is a container of its own in a hidden account, with names from a bound on to before the next shard's. What the
shards are stands in the metadata of the root, the container that users see: it is there, replicated and compared by
its time, like everything else that is said of a container. A database whose metadata has such an entry is *closed*: it
takes no words of objects any more and answers no listings, so that whoever believes it to be whole comes to ask. An
entry without a table says that the rows went elsewhere: the root knows where.

Words are never lost on the way: who is refused asks the root and tells the shard, what was heard by a copy that was
not closed yet is moved by the sharder of its device, and telling something twice does no harm.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import msgspec

from ..stores.container_db import SHARDS
from ..stores.entries import Entry
from ..stores.held import Said
from ..stores.listing import Asked, names_of

ROOT = "x-container-sysmeta-shard-of"
"""Of a shard: `/account/container` of its root."""
PLAN = "x-container-sysmeta-shard-plan"
"""Of what is being cut: the shards that will be."""
MOVED = "moved"


class Shard(msgspec.Struct, frozen=True):
    """Names from `lower` on, to the next shard's. `name`: of its container."""

    lower: str
    name: str


class Table(msgspec.Struct, frozen=True):
    """All shards of a root, in order; the first one's `lower` is empty."""

    shards: tuple[Shard, ...]

    def of(self, name: str) -> Shard:
        """Where an object's name belongs."""
        return self.shards[bisect_right(self.shards, name, key=lambda shard: shard.lower) - 1]

    def grouped(self, entries: Iterable[Entry]) -> list[tuple[Shard, list[Entry]]]:
        groups: dict[str, tuple[Shard, list[Entry]]] = {}
        for entry in entries:
            shard = self.of(entry.name)
            groups.setdefault(shard.name, (shard, []))[1].append(entry)
        return list(groups.values())

    def asked(self, asked: Asked) -> list[Shard]:
        """Those that may have something of a page, in its order."""
        span = names_of(asked)
        if span is None:
            return []
        found = []
        for shard, following in zip(self.shards, (*self.shards[1:], None), strict=True):
            is_before = following is not None and span.first is not None and following.lower <= span.first
            is_behind = span.end is not None and shard.lower >= span.end
            if not (is_before or is_behind):
                found.append(shard)
        return found[::-1] if asked.reverse else found

    def is_below(self, shard: Shard, prefix: str) -> bool:
        """All names that a shard may have begin with it."""
        number = self.shards.index(shard) + 1
        behind = self.shards[number].lower if number < len(self.shards) else ""
        return shard.lower.startswith(prefix) and behind.startswith(prefix)

    def replaced(self, old: str, new: Sequence[Shard]) -> "Table":
        """One shard cut into others, or (`new` is empty) left to the one before it."""
        shards: list[Shard] = []
        for shard in self.shards:
            shards += new if shard.name == old else [shard]
        return Table(tuple(shards))

    def has(self, name: str) -> bool:
        return any(shard.name == name for shard in self.shards)


def account_of(account: str) -> str:
    """The hidden account of the shards."""
    return f".shards_{account}"


def table_in(said: Said) -> Table | None:
    """None: the container is whole, or its rows went elsewhere."""
    return _read(said, SHARDS)


def plan_in(said: Said) -> Table | None:
    return _read(said, PLAN)


def is_moved(said: Said) -> bool:
    return said.get(SHARDS, ("", 0))[0] == MOVED


def root_in(said: Said) -> tuple[str, str] | None:
    """Account and container of the root of a shard; None where it is none."""
    path = said.get(ROOT, ("", 0))[0]
    if not path:
        return None
    _, account, container = path.split("/", 2)
    return account, container


def written(table: Table) -> str:
    return msgspec.json.encode(table).decode()


def _read(said: Said, key: str) -> Table | None:
    value = said.get(key, ("", 0))[0]
    return msgspec.json.decode(value, type=Table) if value.startswith("{") else None
