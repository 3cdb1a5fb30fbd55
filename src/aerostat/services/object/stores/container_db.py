"""A container: the names of its objects in order, their sum, and what is said of the container.

Rows tell what was heard of objects, in any order and as often as it may come: of each name the newest word stays.
Deleted names are kept apart for a while, so that a late word does not bring them back, and so that listings never
walk over them.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from ..timestamp import Timestamp
from .database import Database, Tally, between, checksum
from .entries import ContainerStatus, Entry
from .held import RowsSince, Said
from .listing import Asked, Span, Subdir, page

__all__ = ["ContainerDb", "ContainerStatus", "Entry"]

SHARDS = "x-container-sysmeta-shards"
"""Metadata of a container whose rows are elsewhere; see `cluster/shards.py`."""

_LIVE = "name, timestamp, size, etag, content_type, type_at, meta_at"
_LISTED = "name, max(timestamp, type_at, meta_at), size, etag, content_type"


class ContainerDb(Database):
    """See `Database`."""

    schema = """
    CREATE TABLE live (
        name TEXT PRIMARY KEY, timestamp INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
        content_type TEXT NOT NULL, type_at INTEGER NOT NULL, meta_at INTEGER NOT NULL, change INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE gone (
        name TEXT PRIMARY KEY, timestamp INTEGER NOT NULL, change INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX live_changes ON live (change);
    CREATE INDEX gone_changes ON gone (change);
    """

    def container(self) -> ContainerStatus:
        status = dict(self.status())
        status["objects"] = status["rows"]
        return ContainerStatus(**{name: status[name] for name in ContainerStatus.__struct_fields__})

    def look(self) -> tuple[ContainerStatus, Said] | None:
        """None when it is deleted."""
        with self.reading():
            status = self.container()
            return None if status.is_deleted else (status, self.metadata())

    @property
    def is_deleted(self) -> bool:
        return self.container().is_deleted

    @property
    def is_closed(self) -> bool:
        """It takes no words, and answers no listings."""
        return bool(self.rows("SELECT 1 FROM metadata WHERE name = ? AND value != ''", (SHARDS,)))

    @property
    def is_open(self) -> bool:
        """It is there, and answers listings."""
        return not (self.is_deleted or self.is_closed)

    def _is_closed(self, db: sqlite3.Connection) -> bool:
        sql = "SELECT 1 FROM metadata WHERE name = ? AND value != ''"
        return db.execute(sql, (SHARDS,)).fetchone() is not None

    def drop_rows(self, after: int, upto: int) -> int:
        """Take away rows that have moved: those whose last change has a number behind `after`, up to `upto`; answers
        how many they were.
        """
        with self.writing() as db:
            status = db.execute("SELECT change, checksum FROM status").fetchone()
            tally = Tally(*status)
            span = (after, upto)
            for row in db.execute(f"SELECT {_LIVE} FROM live WHERE change > ? AND change <= ?", span):
                tally.count(-1, checksum(*row), row["size"])
            gone = db.execute("DELETE FROM gone WHERE change > ? AND change <= ?", span).rowcount
            db.execute("DELETE FROM live WHERE change > ? AND change <= ?", span)
            db.execute(
                "UPDATE status SET change = change + 1, checksum = ?, rows = rows + ?, bytes = bytes + ?",
                (tally.checksum, tally.rows, tally.bytes),
            )
            return gone - tally.rows

    def _hear(self, db: sqlite3.Connection, words: Iterable[Entry], tally: Tally) -> None:
        for entry in words:
            gone = db.execute("SELECT timestamp FROM gone WHERE name = ?", (entry.name,)).fetchone()
            if gone is not None and entry.timestamp <= gone[0]:
                continue
            row = db.execute(f"SELECT {_LIVE} FROM live WHERE name = ?", (entry.name,)).fetchone()
            before = tuple(row) if row is not None else None
            if entry.is_gone:
                values = (entry.name, entry.timestamp, tally.next_change())
                db.execute("REPLACE INTO gone VALUES (?, ?, ?)", values)
                if before is None or before[1] > entry.timestamp:
                    continue
                db.execute("DELETE FROM live WHERE name = ?", (entry.name,))
            else:
                after = _newest(before, entry)
                if after == before:
                    continue
                change = tally.next_change()
                db.execute(
                    f"REPLACE INTO live ({_LIVE}, change) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*after, change)
                )
                tally.count(1, checksum(*after), after[2])
            if before is not None:
                tally.count(-1, checksum(*before), before[2])

    def list(self, asked: Asked) -> list[Entry | Subdir]:
        """A page of names; their times are of the newest word, be it of a POST."""

        def fetch(span: Span, reverse: bool, limit: int) -> Sequence[Entry]:
            rest, values = between(span, reverse)
            return self.made(Entry, f"SELECT {_LISTED} FROM live {rest} LIMIT ?", (*values, limit))

        with self.reading():
            return page(asked, fetch)

    def delete(self, at: Timestamp) -> bool | None:
        """The container is gone, unless it has objects or was made later; answers whether it is. None: it was before,
        and is now as of the later time.
        """
        with self.writing(durable=True) as db:
            status = self.container()
            if not status.is_deleted and (status.objects or at <= status.put_at):
                return False
            if at > status.deleted_at:
                self._mark_deleted(db, at)
            return None if status.is_deleted else True

    def since(self, change: int, limit: int) -> RowsSince:
        sql = f"""
        SELECT * FROM (SELECT {_LIVE}, 0 AS is_gone, change FROM live WHERE change > :change
                       ORDER BY change LIMIT :limit)
        UNION ALL
        SELECT * FROM (SELECT name, timestamp, 0, '', '', 0, 0, 1, change FROM gone WHERE change > :change
                       ORDER BY change LIMIT :limit)
        ORDER BY change LIMIT :limit
        """
        with self.reading():
            file_id = self.status()["file_id"]
            rows = self.rows(sql, {"change": change, "limit": limit})
        entries = [Entry(*(*row[:7], bool(row["is_gone"]))) for row in rows]
        return RowsSince(file_id=file_id, change=rows[-1]["change"] if rows else change, objects=entries)

    def forget_gone(self, before: Timestamp) -> int:
        with self.writing() as db:
            return db.execute("DELETE FROM gone WHERE timestamp < ?", (before,)).rowcount


def _newest(before: tuple[Any, ...] | None, entry: Entry) -> tuple[Any, ...]:
    """Of what is written and what was heard, each part by its own time; in the order of `_LIVE`."""
    type_at, meta_at = entry.type_at or entry.timestamp, entry.meta_at or entry.timestamp
    heard = (entry.timestamp, entry.size, entry.etag)
    typed = (type_at, entry.content_type)
    if before is not None:
        heard = max(heard, before[1:4])
        typed = max(typed, (before[5], before[4]))
        meta_at = max(meta_at, before[6])
    return entry.name, *heard, typed[1], typed[0], meta_at
