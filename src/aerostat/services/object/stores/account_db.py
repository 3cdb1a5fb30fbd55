"""An account: the names of its containers in order with what they last said of their sums."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ..timestamp import Timestamp, now
from .database import Database, Tally, between, checksum
from .entries import AccountStatus, ContainerEntry, PolicySum
from .held import RowsSince, Said
from .listing import Asked, Span, Subdir, page

__all__ = ["AccountDb", "AccountStatus", "ContainerEntry", "PolicySum"]

_ROW = "name, put_at, deleted_at, objects, bytes, policy, said_at"
_SUM = """
    INSERT INTO sums VALUES (:policy, :containers, :objects, :bytes) ON CONFLICT (policy) DO UPDATE SET
    containers = containers + excluded.containers, objects = objects + excluded.objects, bytes = bytes + excluded.bytes
"""


class AccountDb(Database):
    """See `Database`. Deleted containers keep their rows until they are forgotten; listings pass them by."""

    schema = """
    CREATE TABLE containers (
        name TEXT PRIMARY KEY, put_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL, objects INTEGER NOT NULL,
        bytes INTEGER NOT NULL, policy INTEGER NOT NULL, said_at INTEGER NOT NULL, change INTEGER NOT NULL,
        is_gone INTEGER AS (deleted_at >= put_at) STORED
    ) WITHOUT ROWID;
    CREATE INDEX live ON containers (name) WHERE is_gone = 0;
    CREATE INDEX changes ON containers (change);
    CREATE TABLE sums (
        policy INTEGER PRIMARY KEY, containers INTEGER NOT NULL, objects INTEGER NOT NULL, bytes INTEGER NOT NULL
    ) WITHOUT ROWID;
    """

    def account(self) -> AccountStatus:
        with self.reading():
            status = self.status()
            sums = tuple(PolicySum(**dict(row)) for row in self.rows("SELECT * FROM sums ORDER BY policy"))
        names = ("path", "created_at", "put_at", "deleted_at", "changed_at")
        return AccountStatus(**{name: status[name] for name in names}, policies=sums)

    def look(self) -> tuple[AccountStatus, Said] | None:
        """None when it is deleted."""
        with self.reading():
            status = self.account()
            return None if status.is_deleted else (status, self.metadata())

    @property
    def is_deleted(self) -> bool:
        status = self.status()
        return bool(status["deleted_at"] > status["put_at"])

    def _hear(self, db: sqlite3.Connection, words: Iterable[ContainerEntry], tally: Tally) -> None:
        """Which of two is later is told by their times; of their sums the later word counts, unless it is of an
        earlier life of the container.
        """
        for entry in words:
            if not entry.said_at:
                entry = msgspec.structs.replace(entry, said_at=now())
            found = db.execute(f"SELECT {_ROW} FROM containers WHERE name = ?", (entry.name,)).fetchone()
            before = _entry(found) if found is not None else None
            after = _newest(before, entry)
            if after == before:
                continue
            values = (*msgspec.structs.astuple(after), tally.next_change())
            db.execute(f"REPLACE INTO containers ({_ROW}, change) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
            for one, sign in ((before, -1), (after, 1)):
                if one is not None and not one.is_gone:
                    tally.count(sign, checksum(*msgspec.structs.astuple(one)[:-1]), one.bytes)
                    _add(db, one, sign)

    def list(self, asked: Asked) -> list[ContainerEntry | Subdir]:
        """A page of the containers that are there."""

        def fetch(span: Span, reverse: bool, limit: int) -> Sequence[ContainerEntry]:
            rest, values = between(span, reverse, "is_gone = 0")
            sql = f"SELECT {_ROW} FROM containers {rest} LIMIT ?"
            return [_entry(row) for row in self.rows(sql, (*values, limit))]

        return page(asked, fetch)

    def delete(self, at: Timestamp) -> bool | None:
        """The account is deleted, whatever it holds, unless it was made later; answers whether it is. None: it was
        before.
        """
        with self.writing(durable=True) as db:
            put_at, deleted_at = db.execute("SELECT put_at, deleted_at FROM status").fetchone()
            is_deleted = deleted_at > put_at
            if not is_deleted and at <= put_at:
                return False
            if at > deleted_at:
                self._mark_deleted(db, at)
            return None if is_deleted else True

    def since(self, change: int, limit: int) -> RowsSince:
        sql = f"SELECT {_ROW}, change FROM containers WHERE change > ? ORDER BY change LIMIT ?"
        with self.reading():
            file_id = self.status()["file_id"]
            rows = self.rows(sql, (change, limit))
        entries = [_entry(row) for row in rows]
        return RowsSince(file_id=file_id, change=rows[-1]["change"] if rows else change, containers=entries)

    def forget_gone(self, before: Timestamp) -> int:
        with self.writing() as db:
            sql = "DELETE FROM containers WHERE is_gone = 1 AND deleted_at < ?"
            return db.execute(sql, (before,)).rowcount


def _add(db: sqlite3.Connection, one: ContainerEntry, sign: int) -> None:
    amounts = {"containers": sign, "objects": sign * one.objects, "bytes": sign * one.bytes}
    db.execute(_SUM, {"policy": one.policy, **amounts})


def _entry(row: Any) -> ContainerEntry:
    return ContainerEntry(
        name=row[0],
        put_at=row[1],
        deleted_at=row[2],
        objects=row[3],
        bytes=row[4],
        policy=row[5],
        said_at=row[6],
    )


def _newest(before: ContainerEntry | None, entry: ContainerEntry) -> ContainerEntry:
    if before is None:
        return entry
    said = max(before, entry, key=lambda one: (one.put_at, one.said_at, one.objects, one.bytes, one.policy))
    return msgspec.structs.replace(
        said, put_at=max(before.put_at, entry.put_at), deleted_at=max(before.deleted_at, entry.deleted_at)
    )
