"""The fake network as a file, for a cloud of several processes on one machine.

Engines write the topology into it and hosts what they plug, each as it would into OVN; it outlives them all. What a
process did not do itself it notices within `LOOK_EVERY_S`.
"""

import asyncio
import sqlite3
from collections.abc import ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from pathlib import Path

import msgspec

from aerostat.kernel.sqlite_file import write_ahead

from ..host.protocol import KIND_OF, Key, PortUp, Thing, key_of
from .fake import FakeWorld

LOOK_EVERY_S = 0.5
BUSY_LIMIT_S = 10.0

_TYPE_OF: dict[str, type] = {kind: type for type, kind in KIND_OF.items()}


class SharedFakeWorld(FakeWorld):
    """`FakeWorld` with its things and plugged ports in the file at `path`."""

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, timeout=BUSY_LIMIT_S, isolation_level=None)
        write_ahead(self._file, BUSY_LIMIT_S)
        self._file.execute("PRAGMA synchronous=OFF")
        self._file.execute("CREATE TABLE IF NOT EXISTS things (kind, id, body, PRIMARY KEY (kind, id))")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS plugged (host, port_id, tap, PRIMARY KEY (host, port_id))"
        )
        self._shared_things = _Things(self._file)
        self._begun = False  # the empty world that every fake begins with is not meant
        super().__init__()
        self._begun = True
        self.plugged = _Plugged(self._file)
        self._seen_version = -1

    @property
    def things(self) -> MutableMapping[Key, Thing]:
        return self._shared_things

    @things.setter
    def things(self, wanted: Mapping[Key, Thing]) -> None:
        if self._begun:
            self._shared_things.replace(wanted)

    def watch(self, callback: PortUp) -> None:
        super().watch(callback)
        asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        (version,) = self._file.execute("PRAGMA data_version").fetchone()
        if version != self._seen_version:
            self._seen_version = version
            self.settle()
        asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)


class _Things(MutableMapping[Key, Thing]):
    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file

    def __getitem__(self, key: Key) -> Thing:
        row = self._file.execute(
            "SELECT body FROM things WHERE kind=? AND id=?", (key.kind, key.id)
        ).fetchone()
        if row is None:
            raise KeyError(key)
        return _thing(key.kind, row[0])

    def __setitem__(self, key: Key, thing: Thing) -> None:
        self._file.execute("INSERT OR REPLACE INTO things VALUES (?, ?, ?)", _row(key, thing))

    def __delitem__(self, key: Key) -> None:
        if not self._file.execute("DELETE FROM things WHERE kind=? AND id=?", (key.kind, key.id)).rowcount:
            raise KeyError(key)

    def __iter__(self) -> Iterator[Key]:
        for kind, id in self._file.execute("SELECT kind, id FROM things").fetchall():
            yield Key(kind, id)

    def __len__(self) -> int:
        return int(self._file.execute("SELECT count(*) FROM things").fetchone()[0])

    def items(self) -> ItemsView[Key, Thing]:
        """At one moment: others write at the same time."""
        rows = self._file.execute("SELECT kind, id, body FROM things").fetchall()
        return {Key(kind, id): _thing(kind, body) for kind, id, body in rows}.items()

    def values(self) -> ValuesView[Thing]:
        return dict(self.items()).values()

    def replace(self, wanted: Mapping[Key, Thing]) -> None:
        """All at once, so that nobody sees half a world."""
        self._file.execute("BEGIN IMMEDIATE")
        try:
            self._file.execute("DELETE FROM things")
            self._file.executemany(
                "INSERT INTO things VALUES (?, ?, ?)", [_row(*item) for item in wanted.items()]
            )
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")


class _Plugged(Mapping[str, MutableMapping[str, str]]):
    """By host, taps by port; a host is there as soon as it is asked for."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file

    def __getitem__(self, host: str) -> MutableMapping[str, str]:
        return _PluggedOnHost(self._file, host)

    def __iter__(self) -> Iterator[str]:
        yield from [row[0] for row in self._file.execute("SELECT DISTINCT host FROM plugged").fetchall()]

    def __len__(self) -> int:
        return int(self._file.execute("SELECT count(DISTINCT host) FROM plugged").fetchone()[0])


class _PluggedOnHost(MutableMapping[str, str]):
    def __init__(self, file: sqlite3.Connection, host: str) -> None:
        self._file = file
        self._host = host

    def __getitem__(self, port_id: str) -> str:
        key = (self._host, port_id)
        row = self._file.execute("SELECT tap FROM plugged WHERE host=? AND port_id=?", key).fetchone()
        if row is None:
            raise KeyError(port_id)
        return str(row[0])

    def __setitem__(self, port_id: str, tap: str) -> None:
        self._file.execute("INSERT OR REPLACE INTO plugged VALUES (?, ?, ?)", (self._host, port_id, tap))

    def __delitem__(self, port_id: str) -> None:
        key = (self._host, port_id)
        if not self._file.execute("DELETE FROM plugged WHERE host=? AND port_id=?", key).rowcount:
            raise KeyError(port_id)

    def __iter__(self) -> Iterator[str]:
        rows = self._file.execute("SELECT port_id FROM plugged WHERE host=?", (self._host,)).fetchall()
        yield from [row[0] for row in rows]

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _row(key: Key, thing: Thing) -> tuple[str, str, bytes]:
    assert key == key_of(thing)
    return key.kind, key.id, msgspec.json.encode(thing)


def _thing(kind: str, body: bytes) -> Thing:
    thing: Thing = msgspec.json.decode(body, type=_TYPE_OF[kind])
    return thing
