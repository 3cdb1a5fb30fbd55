"""A container: the names of its objects in order, their sum, and what is said of the container.

Rows tell what was heard of objects, in any order and as often as it may come: of each name the newest word stays.
Deleted names are kept apart for a while, so that a late word does not bring them back, and so that listings never
walk over them.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..timestamp import Timestamp
from .database import Database, between
from .listing import Asked, Span, Subdir, page


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was heard of one object. The type and the metadata may be of a later time than the bytes: of a POST."""

    name: str
    timestamp: Timestamp
    size: int = 0
    etag: str = ""
    content_type: str = ""
    type_at: Timestamp = 0
    meta_at: Timestamp = 0
    is_gone: bool = False


class ContainerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The container itself. Sums are of the names in this file."""

    path: str
    policy: int
    created_at: Timestamp
    put_at: Timestamp
    deleted_at: Timestamp
    changed_at: Timestamp
    objects: int
    bytes: int

    @property
    def is_deleted(self) -> bool:
        return self.deleted_at > self.put_at and self.objects == 0


_LIVE = "name, timestamp, size, etag, content_type, type_at, meta_at"


class ContainerDb(Database):
    """See `Database`."""

    schema = """
    CREATE TABLE live (
        name TEXT PRIMARY KEY, timestamp INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
        content_type TEXT NOT NULL, type_at INTEGER NOT NULL, meta_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE gone (name TEXT PRIMARY KEY, timestamp INTEGER NOT NULL) WITHOUT ROWID;
    ALTER TABLE status ADD COLUMN policy INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE status ADD COLUMN objects INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE status ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
    """

    @classmethod
    def make(cls, path: Path, unnamed: Path, *, name: str, at: Timestamp, **columns: Any) -> None:
        """`name`: `/account/container`; `policy`: index of its storage policy."""
        super().make(path, unnamed, name=name, at=at, **columns)

    def container(self) -> ContainerStatus:
        return ContainerStatus(**dict(self.status()))

    def hear(self, entries: Iterable[Entry]) -> None:
        """Write down what was heard, all in one transaction."""
        with self.writing() as db:
            objects = size = 0
            for entry in entries:
                row = db.execute(f"SELECT {_LIVE} FROM live WHERE name = ?", (entry.name,)).fetchone()
                gone = db.execute("SELECT timestamp FROM gone WHERE name = ?", (entry.name,)).fetchone()
                gone_at = gone[0] if gone is not None else -1
                if entry.is_gone:
                    if entry.timestamp <= gone_at:
                        continue
                    db.execute("REPLACE INTO gone VALUES (?, ?)", (entry.name, entry.timestamp))
                    if row is not None and row["timestamp"] <= entry.timestamp:
                        db.execute("DELETE FROM live WHERE name = ?", (entry.name,))
                        objects -= 1
                        size -= row["size"]
                    continue
                if entry.timestamp <= gone_at:
                    continue
                values = _newest(row, entry)
                if row is not None and values == tuple(row):
                    continue
                db.execute(f"REPLACE INTO live ({_LIVE}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)
                objects += row is None
                size += values[2] - (row["size"] if row is not None else 0)
            if objects or size:
                db.execute("UPDATE status SET objects = objects + ?, bytes = bytes + ?", (objects, size))

    def list(self, asked: Asked) -> list[Entry | Subdir]:
        """A page of names; their times are of the newest word, be it of a POST."""

        def fetch(span: Span, reverse: bool, limit: int) -> Sequence[Entry]:
            rest, values = between(span, reverse)
            rows = self.rows(f"SELECT {_LIVE} FROM live {rest} LIMIT ?", (*values, limit))
            return [
                Entry(
                    name=row[0],
                    timestamp=row[1],
                    size=row[2],
                    etag=row[3],
                    content_type=row[4],
                    type_at=row[5],
                    meta_at=row[6],
                )
                for row in rows
            ]

        return page(asked, fetch)

    def delete(self, at: Timestamp) -> bool:
        """The container is gone, unless it has objects; answers whether it is."""
        with self.writing(durable=True) as db:
            objects, put_at, deleted_at = db.execute(
                "SELECT objects, put_at, deleted_at FROM status"
            ).fetchone()
            if objects:
                return False
            if at > max(put_at, deleted_at):
                db.execute("UPDATE status SET deleted_at = ?, changed_at = ?", (at, at))
            return True

    def forget_gone(self, before: Timestamp) -> int:
        """Names that were deleted before that time need no keeping any more; answers how many they were."""
        with self.writing() as db:
            return db.execute("DELETE FROM gone WHERE timestamp < ?", (before,)).rowcount


def _newest(row: Any, entry: Entry) -> tuple[Any, ...]:
    """Of what is written and what was heard, each part by its own time."""
    type_at, meta_at = entry.type_at or entry.timestamp, entry.meta_at or entry.timestamp
    heard = (entry.timestamp, entry.size, entry.etag)
    typed = (type_at, entry.content_type)
    if row is not None:
        heard = max(heard, (row["timestamp"], row["size"], row["etag"]))
        typed = max(typed, (row["type_at"], row["content_type"]))
        meta_at = max(meta_at, row["meta_at"])
    at, size, etag = heard
    return entry.name, at, size, etag, typed[1], typed[0], meta_at
