"""The database file of one account or container: SQLite, written ahead, shared by threads and processes.

What is said of the thing itself (made, deleted, its metadata) is on the disk when it is answered. Rows of listings
are written without waiting for the disk: they follow from objects (of accounts: from containers) that are, and
whoever finds a device that was not put away cleanly tells them again.

Every change has a number, and every row the number of its last change: so a copy elsewhere asks for what is new to it.
Two copies are compared by a checksum of their rows, which is kept up to date row by row.
"""

import contextlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import starmap
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from aerostat.kernel.sqlite_file import write_ahead

from ..timestamp import Timestamp
from .held import DatabaseState, Rows, RowsSince, Said
from .listing import Span
from .tree import flush

T = TypeVar("T")

BUSY_S = 20.0
CACHE_KIB = 256
"""Of pages, for each file that is open: of the way down to a row. With 2 MiB, SQLite's own measure, nothing is faster,
and a container in forty shards takes 80 MiB.
"""

_STATUS = """
CREATE TABLE status (
    path TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    put_at INTEGER NOT NULL,
    deleted_at INTEGER NOT NULL DEFAULT 0,
    changed_at INTEGER NOT NULL,
    policy INTEGER NOT NULL DEFAULT 0,
    file_id TEXT NOT NULL,
    change INTEGER NOT NULL DEFAULT 0,
    rows INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    checksum INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE metadata (name TEXT PRIMARY KEY, value TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE heard (file_id TEXT PRIMARY KEY, change INTEGER NOT NULL) WITHOUT ROWID;
"""
_MERGE_SAID = """
INSERT INTO metadata VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = excluded.at
WHERE (excluded.at, excluded.value) > (metadata.at, metadata.value)
"""
_MERGE_HEARD = """
INSERT INTO heard VALUES (?, ?) ON CONFLICT (file_id) DO UPDATE SET change = max(change, excluded.change)
"""

_encode = msgspec.msgpack.Encoder().encode


class Retired(FileNotFoundError):
    """The file was removed while it was open here."""


class Tally:
    """What a transaction changes: the number of the last change, and the sums."""

    __slots__ = ("bytes", "change", "checksum", "rows")

    def __init__(self, change: int, checksum: int) -> None:
        self.change = change
        self.checksum = checksum
        self.rows = self.bytes = 0

    def next_change(self) -> int:
        self.change += 1
        return self.change

    def count(self, sign: int, checksum: int, size: int) -> None:
        """A row comes (1), or goes (-1)."""
        self.rows += sign
        self.bytes += sign * size
        self.checksum ^= checksum


class Database:
    """An open file. Every method blocks, and may be called from any thread."""

    schema = ""
    """What kinds add to the tables that all have."""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError when there is no such file, sqlite3.DatabaseError when it is damaged."""
        self.inode = os.stat(path).st_ino
        self.path = path
        self._lock = threading.RLock()
        self._db = _connect(path)

    @classmethod
    def make(
        cls,
        path: Path,
        unnamed: str,
        *,
        name: str,
        at: Timestamp,
        policy: int = 0,
        said: Said | None = None,
        **columns: Any,
    ) -> bool:
        """A new file, whole with all that is said of it before it has its name; one that is there stays. Answers
        whether it is new. The caller has the folder, and its lock. `name`: `/account` or `/account/container`.
        """
        if path.exists():
            return False
        part = Path(unnamed)
        try:
            with contextlib.closing(_connect(part)) as db:
                db.executescript(f"BEGIN; {_STATUS} {cls.schema} COMMIT;")
                values = {
                    "path": name,
                    "created_at": at,
                    "put_at": at,
                    "changed_at": at,
                    "policy": policy,
                    "file_id": secrets.token_hex(8),
                    **columns,
                }
                marks = ", ".join(f":{column}" for column in values)
                db.execute(f"INSERT INTO status ({', '.join(values)}) VALUES ({marks})", values)
                db.executemany(_MERGE_SAID, [(key, value, at) for key, (value, at) in (said or {}).items()])
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            flush(part)
            for leftover in _beside(path):
                leftover.unlink(missing_ok=True)
            os.rename(part, path)
            flush(path.parent)
        finally:
            for leftover in (part, *_beside(part)):
                leftover.unlink(missing_ok=True)
        return True

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction alone in this file. `durable`: on the disk when it ends. Raises `Retired`."""
        with self._lock:
            if durable:
                self._db.execute("PRAGMA synchronous = FULL")
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    if not self._db.execute("SELECT file_id FROM status").fetchone()[0]:
                        raise Retired(self.path)
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:  # a full disk may have ended it already
                        self._db.execute("ROLLBACK")
                    raise
            finally:
                if durable:
                    self._db.execute("PRAGMA synchronous = NORMAL")

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """What is read meanwhile is of one moment."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")

    def rows(self, sql: str, values: Mapping[str, Any] | tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def made(self, kind: Callable[..., T], sql: str, values: tuple[Any, ...]) -> list[T]:
        """Of each row's columns a `kind`. A page has ten thousand: no row is kept beside what is made of it."""
        with self._lock:
            cursor = self._db.cursor()
            cursor.row_factory = None
            return list(starmap(kind, cursor.execute(sql, values)))

    # What is said of the thing itself

    def status(self) -> sqlite3.Row:
        return self.rows("SELECT * FROM status")[0]

    @property
    def is_deleted(self) -> bool:
        """Whether it is as if it were not there. Each kind says when that is."""
        raise NotImplementedError

    def put_again(self, at: Timestamp, policy: int = 0, said: Said | None = None) -> bool:
        """It was asked for again; answers whether it had been deleted, and is new now, then with that policy."""
        with self.writing(durable=True) as db:
            put_at, deleted_at = db.execute("SELECT put_at, deleted_at FROM status").fetchone()
            is_new = bool(deleted_at > put_at and at > deleted_at)
            if is_new:
                db.execute("UPDATE status SET changed_at = ?, policy = ?", (at, policy))
            if at > put_at:
                db.execute("UPDATE status SET put_at = ?, change = change + 1", (at,))
            _merge_said(db, said or {})
            return is_new

    def _mark_deleted(self, db: sqlite3.Connection, at: Timestamp) -> None:
        db.execute("UPDATE status SET deleted_at = ?, changed_at = ?, change = change + 1", (at, at))
        _forget_said(db, at)

    def metadata(self) -> dict[str, tuple[str, Timestamp]]:
        """By name, in lower case; removed ones too, with an empty value, so that their removal is known elsewhere."""
        return {row["name"]: (row["value"], row["at"]) for row in self.rows("SELECT * FROM metadata")}

    def say(self, said: Said) -> bool:
        """Each name by itself: the newest value stays. False when it is deleted."""
        if self.is_deleted:
            return False
        with self.writing(durable=True) as db:
            _merge_said(db, said)
        return True

    # Rows

    def hear(self, words: Iterable[Any]) -> bool:
        """Write down what was heard, all in one transaction; False when it takes no words any more."""
        with self.writing() as db:
            if self._is_closed(db):
                return False
            self._tally(db, words)
            return True

    def _is_closed(self, db: sqlite3.Connection) -> bool:
        return False

    def _hear(self, db: sqlite3.Connection, words: Iterable[Any], tally: Tally) -> None:
        """Write words into the rows of the kind, each that is news as `tally.next_change()`, and count them."""
        raise NotImplementedError

    def _tally(self, db: sqlite3.Connection, words: Iterable[Any]) -> None:
        change, checksum = db.execute("SELECT change, checksum FROM status").fetchone()
        tally = Tally(change, checksum)
        self._hear(db, words, tally)
        if tally.change != change:
            db.execute(
                "UPDATE status SET change = ?, checksum = ?, rows = rows + ?, bytes = bytes + ?",
                (tally.change, tally.checksum, tally.rows, tally.bytes),
            )

    def since(self, change: int, limit: int) -> RowsSince:
        """Rows that changed after that change, in the order of changes."""
        raise NotImplementedError

    def forget_gone(self, before: Timestamp) -> int:
        """Names that were deleted before that time need no keeping any more; answers how many they were."""
        raise NotImplementedError

    # Copies

    def state(self) -> DatabaseState:
        with self.reading():
            status, heard = dict(self.status()), self.rows("SELECT file_id, change FROM heard")
            said = self.metadata()
        return DatabaseState(
            hashed=self.path.stem,
            said=said,
            heard={row["file_id"]: row["change"] for row in heard},
            **{name: value for name, value in status.items() if name in DatabaseState.__struct_fields__},
        )

    def merge(self, other: DatabaseState, rows: Rows, heard: int) -> DatabaseState:
        """Take over what another file of the same thing says; the order in which such come does not matter."""
        with self.writing(durable=True) as db:
            status = self.status()
            mine = Life(
                status["created_at"],
                status["put_at"],
                status["deleted_at"],
                status["changed_at"],
                status["policy"],
            )
            theirs = Life(other.created_at, other.put_at, other.deleted_at, other.changed_at, other.policy)
            if (both := _merged(mine, theirs)) != mine:
                db.execute(
                    "UPDATE status SET created_at = ?, put_at = ?, deleted_at = ?, changed_at = ?, policy = ?,"
                    " change = change + 1",
                    both,
                )
            _merge_said(db, other.said)
            _forget_said(db, both.deleted_at)
            self._tally(db, rows)
            db.execute(_MERGE_HEARD, (other.file_id, heard))
        return self.state()

    def retire(self, file_id: str, change: int) -> bool:
        """Nobody may write any more, here or in another process, so that the file can be removed; False, and nothing
        is done, when it is another or was changed since then.
        """
        with self.writing(durable=True) as db:
            status = self.status()
            if (status["file_id"], status["change"]) != (file_id, change):
                return False
            db.execute("UPDATE status SET file_id = ''")
        with self._lock:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return True


class Life(NamedTuple):
    created_at: Timestamp
    put_at: Timestamp
    deleted_at: Timestamp
    changed_at: Timestamp
    policy: int


def _merged(one: Life, other: Life) -> Life:
    """What two copies know together; the same for both of them.

    Where a container was made twice at once, with two policies, the earlier stays.
    """
    created_at = min(one.created_at, other.created_at)
    put_at, deleted_at = max(one.put_at, other.put_at), max(one.deleted_at, other.deleted_at)
    if deleted_at > put_at:
        last = max(one, other, key=lambda life: (life.deleted_at, life.put_at, -life.policy))
        return Life(created_at, put_at, deleted_at, deleted_at, last.policy)
    began = [life for life in (one, other) if life.changed_at > deleted_at and life.put_at > life.deleted_at]
    if began:
        first = min(began, key=lambda life: (life.changed_at, life.policy))
        return Life(created_at, put_at, deleted_at, first.changed_at, first.policy)
    last = max(one, other, key=lambda life: (life.put_at, -life.policy))
    return Life(created_at, put_at, deleted_at, put_at, last.policy)


def checksum(*values: str | int) -> int:
    """Of a row: signed, 64 bits. Those of many are put together by exclusive or, in any order."""
    return int.from_bytes(blake2b(_encode(values), digest_size=8).digest(), "little", signed=True)


def between(span: Span, reverse: bool, *also: str) -> tuple[str, list[str]]:
    """A span of names as SQL, with its values; `also`: conditions beside it."""
    clauses, values = [*also], []
    if span.first is not None:
        clauses.append(f"name {'>=' if span.is_first_in else '>'} ?")
        values.append(span.first)
    if span.end is not None:
        clauses.append("name < ?")
        values.append(span.end)
    where = f"WHERE {' AND '.join(clauses)} " if clauses else ""
    return f"{where}ORDER BY name{' DESC' if reverse else ''}", values


def files_of(path: Path) -> list[Path]:
    """The file itself last: without the others it is whole once it was checkpointed; they are nothing without it."""
    return [*_beside(path), path]


def _beside(path: Path) -> list[Path]:
    return [Path(f"{path}-wal"), Path(f"{path}-shm")]


def _merge_said(db: sqlite3.Connection, said: Said) -> None:
    if (
        said
        and db.executemany(_MERGE_SAID, [(name, value, at) for name, (value, at) in said.items()]).rowcount
    ):
        db.execute("UPDATE status SET change = change + 1")


def _forget_said(db: sqlite3.Connection, at: Timestamp) -> None:
    """What was said of it before it was deleted does not come back when it is made again."""
    db.execute("UPDATE metadata SET value = '', at = ? WHERE at < ? AND value != ''", (at, at))


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.row_factory = sqlite3.Row
        write_ahead(db, BUSY_S)
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    except BaseException:
        db.close()
        raise
    return db
