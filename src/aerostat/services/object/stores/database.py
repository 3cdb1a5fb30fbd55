"""The database file of one account or container: SQLite, written ahead, shared by threads and processes.

What is said of the thing itself (made, deleted, its metadata) is on the disk when it is answered. Rows of listings
are written without waiting for the disk: they follow from objects (of accounts: from containers) that are, and
whoever finds a device that was not put away cleanly tells them again.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..timestamp import Timestamp
from .listing import Span

BUSY_S = 20.0
ROWS_AT_ONCE = 500

_STATUS = """
CREATE TABLE status (
    path TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    put_at INTEGER NOT NULL,
    deleted_at INTEGER NOT NULL DEFAULT 0,
    changed_at INTEGER NOT NULL
);
CREATE TABLE metadata (name TEXT PRIMARY KEY, value TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
"""


class Database:
    """An open file. `schema`: what kinds add to the tables that all have. Every method blocks, and may be called from
    any thread.
    """

    schema = ""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError when there is no such file, sqlite3.DatabaseError when it is damaged."""
        if not path.exists():
            raise FileNotFoundError(path)
        self.path = path
        self._lock = threading.RLock()
        self._db = _connect(path)

    @classmethod
    def make(cls, path: Path, unnamed: Path, *, name: str, at: Timestamp, **columns: Any) -> None:
        """A new file, whole before it has its name; one that is there stays. `columns` are of the kind's own status."""
        part = unnamed / f"{os.getpid()}-{threading.get_ident()}-{path.name}"
        try:
            with contextlib.closing(_connect(part)) as db:
                db.executescript(f"BEGIN; {_STATUS} {cls.schema} COMMIT;")
                values = {"path": name, "created_at": at, "put_at": at, "changed_at": at, **columns}
                marks = ", ".join(f":{column}" for column in values)
                db.execute(f"INSERT INTO status ({', '.join(values)}) VALUES ({marks})", values)
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            _flush(part)
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.link(part, path)
            for folder in (path.parent, *list(path.parents)[1:3]):
                _flush(folder)
        finally:
            for leftover in (part, Path(f"{part}-wal"), Path(f"{part}-shm")):
                leftover.unlink(missing_ok=True)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction alone in this file. `durable`: on the disk when it ends."""
        with self._lock:
            if durable:
                self._db.execute("PRAGMA synchronous = FULL")
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
            finally:
                if durable:
                    self._db.execute("PRAGMA synchronous = NORMAL")

    def rows(self, sql: str, values: Mapping[str, Any] | tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # What is said of the thing itself

    def status(self) -> sqlite3.Row:
        return self.rows("SELECT * FROM status")[0]

    def put_again(self, at: Timestamp) -> bool:
        """It was asked for again; answers whether it had been deleted, and is new now."""
        with self.writing(durable=True) as db:
            put_at, deleted_at = db.execute("SELECT put_at, deleted_at FROM status").fetchone()
            was_gone = deleted_at > put_at
            if at > put_at:
                changed = at if was_gone and at > deleted_at else None
                db.execute(
                    "UPDATE status SET put_at = ?, changed_at = coalesce(?, changed_at)", (at, changed)
                )
            return bool(was_gone and at > deleted_at)

    def metadata(self) -> dict[str, tuple[str, Timestamp]]:
        """By name, in lower case; removed ones too, with an empty value, so that their removal is known elsewhere."""
        return {row["name"]: (row["value"], row["at"]) for row in self.rows("SELECT * FROM metadata")}

    def set_metadata(self, changes: Mapping[str, str], at: Timestamp) -> None:
        """Each name by itself: the newest value stays. An empty one removes it."""
        self.merge_metadata((name, value, at) for name, value in changes.items())

    def merge_metadata(self, found: Iterable[tuple[str, str, Timestamp]]) -> None:
        with self.writing(durable=True) as db:
            db.executemany(
                "INSERT INTO metadata VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE"
                " SET value = excluded.value, at = excluded.at WHERE excluded.at > metadata.at",
                list(found),
            )


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


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def _flush(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
