"""An account: the names of its containers in order with what they last said of their sums."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..timestamp import Timestamp
from .database import Database, between
from .listing import Asked, Span, Subdir, page


class ContainerEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a container said of itself. It is there when it was put later than it was deleted."""

    name: str
    put_at: Timestamp
    deleted_at: Timestamp = 0
    objects: int = 0
    bytes: int = 0
    policy: int = 0


class PolicySum(msgspec.Struct, frozen=True, kw_only=True):
    policy: int
    containers: int
    objects: int
    bytes: int


class AccountStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The account itself; its sums by policy add up to its own."""

    path: str
    created_at: Timestamp
    put_at: Timestamp
    deleted_at: Timestamp
    changed_at: Timestamp
    policies: tuple[PolicySum, ...]

    @property
    def containers(self) -> int:
        return sum(one.containers for one in self.policies)

    @property
    def objects(self) -> int:
        return sum(one.objects for one in self.policies)

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.policies)

    @property
    def is_deleted(self) -> bool:
        """Deleted at all: its containers, which may be there still, are for the reaper."""
        return self.deleted_at > self.put_at


_ROW = "name, put_at, deleted_at, objects, bytes, policy"
_SUM = """
    INSERT INTO sums VALUES (:policy, :containers, :objects, :bytes) ON CONFLICT (policy) DO UPDATE SET
    containers = containers + excluded.containers, objects = objects + excluded.objects, bytes = bytes + excluded.bytes
"""


class AccountDb(Database):
    """See `Database`. Deleted containers keep their rows until they are forgotten; listings pass them by."""

    schema = """
    CREATE TABLE containers (
        name TEXT PRIMARY KEY, put_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL, objects INTEGER NOT NULL,
        bytes INTEGER NOT NULL, policy INTEGER NOT NULL, is_gone INTEGER AS (deleted_at >= put_at) STORED
    ) WITHOUT ROWID;
    CREATE INDEX live ON containers (name) WHERE is_gone = 0;
    CREATE TABLE sums (
        policy INTEGER PRIMARY KEY, containers INTEGER NOT NULL, objects INTEGER NOT NULL, bytes INTEGER NOT NULL
    ) WITHOUT ROWID;
    """

    @classmethod
    def make(cls, path: Path, unnamed: Path, *, name: str, at: Timestamp, **columns: Any) -> None:
        """`name`: `/account`."""
        super().make(path, unnamed, name=name, at=at, **columns)

    def account(self) -> AccountStatus:
        sums = tuple(PolicySum(**dict(row)) for row in self.rows("SELECT * FROM sums ORDER BY policy"))
        return AccountStatus(**dict(self.status()), policies=sums)

    def hear(self, entries: Iterable[ContainerEntry]) -> None:
        """Write down what containers said, all in one transaction.

        Which of two is later is told by their times; what they say of their sums is taken as it comes, unless it is of
        an earlier life of the container.
        """
        with self.writing() as db:
            for entry in entries:
                found = db.execute(f"SELECT {_ROW} FROM containers WHERE name = ?", (entry.name,)).fetchone()
                before = ContainerEntry(**dict(found)) if found is not None else None
                after = _newest(before, entry)
                if after == before:
                    continue
                db.execute(
                    f"REPLACE INTO containers ({_ROW}) VALUES (?, ?, ?, ?, ?, ?)",
                    (after.name, after.put_at, after.deleted_at, after.objects, after.bytes, after.policy),
                )
                for one, sign in ((before, -1), (after, 1)):
                    if one is not None and one.put_at > one.deleted_at:
                        amounts = {
                            "containers": sign,
                            "objects": sign * one.objects,
                            "bytes": sign * one.bytes,
                        }
                        db.execute(_SUM, {"policy": one.policy, **amounts})

    def list(self, asked: Asked) -> list[ContainerEntry | Subdir]:
        """A page of the containers that are there."""

        def fetch(span: Span, reverse: bool, limit: int) -> Sequence[ContainerEntry]:
            rest, values = between(span, reverse, "is_gone = 0")
            sql = f"SELECT {_ROW} FROM containers {rest} LIMIT ?"
            return [ContainerEntry(**dict(row)) for row in self.rows(sql, (*values, limit))]

        return page(asked, fetch)

    def delete(self, at: Timestamp) -> bool:
        """The account is deleted, whatever it holds; answers whether it was there."""
        with self.writing(durable=True) as db:
            put_at, deleted_at = db.execute("SELECT put_at, deleted_at FROM status").fetchone()
            if at <= max(put_at, deleted_at):
                return bool(put_at > deleted_at)
            db.execute("UPDATE status SET deleted_at = ?, changed_at = ?", (at, at))
            return bool(put_at > deleted_at)

    def forget_gone(self, before: Timestamp) -> int:
        """Containers deleted before that time need no keeping any more; answers how many they were."""
        with self.writing() as db:
            sql = "DELETE FROM containers WHERE is_gone = 1 AND deleted_at < ?"
            return db.execute(sql, (before,)).rowcount


def _newest(before: ContainerEntry | None, entry: ContainerEntry) -> ContainerEntry:
    if before is None:
        return entry
    is_of_now = entry.put_at >= before.put_at
    said = entry if is_of_now else before
    return ContainerEntry(
        name=entry.name,
        put_at=max(before.put_at, entry.put_at),
        deleted_at=max(before.deleted_at, entry.deleted_at),
        objects=said.objects,
        bytes=said.bytes,
        policy=said.policy,
    )
