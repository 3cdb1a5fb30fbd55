"""Rows as values: what we want in a database, compared with what is there, as OVSDB operations.

A wanted row has a key of ours, kept in its `external_ids`, and an owner: the thing it was made for. Most of
OVN's rows live in a set column of a parent (a switch's ports) and vanish with it; some are only linked (a
port in a port group). Both are kept as single insertions and deletions in that column, never by writing the
whole column: a port added to a group of a thousand is one small operation.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias
from uuid import UUID

from aerostat.kernel.errors import DriverError

OWNER, KEY, PARENT, LINKS = "aerostat:owner", "aerostat:key", "aerostat:parent", "aerostat:links"

Operation: TypeAlias = dict[str, Any]


class Place(NamedTuple):
    """A set column of a row of ours, in which other rows are held or linked."""

    table: str
    key: str
    column: str

    def __str__(self) -> str:
        return "/".join(self)


class Ref(NamedTuple):
    """A column's value that is another row of ours; nothing while that row is not there."""

    table: str
    key: str


Value: TypeAlias = str | int | bool | frozenset[str] | frozenset[int] | frozenset[bool] | dict[str, str] | Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row as it should be. Optional and set columns are frozensets, maps are dicts."""

    table: str
    key: str
    owner: str
    columns: Mapping[str, Value]
    parent: Place | None = None
    links: frozenset[Place] = field(default_factory=frozenset)

    def external_ids(self) -> dict[str, str]:
        ids = {OWNER: self.owner, KEY: self.key}
        if self.parent:
            ids[PARENT] = str(self.parent)
        if self.links:
            ids[LINKS] = json.dumps(sorted(self.links))
        return ids


class ActualRow(Protocol):
    """A row as it is. Optional, set and reference columns read as frozensets, maps as dicts."""

    uuid: UUID

    def read(self, column: str) -> Any: ...

    def holds(self, column: str, uuid: UUID) -> bool:
        """Whether a set column of references has this one."""
        ...


class Actual(Protocol):
    """What is there, as far as it is ours."""

    def find(self, table: str, key: str) -> ActualRow | None: ...

    def rows_of(self, owner: str) -> Iterable[tuple[str, str]]:
        """(table, key) of each row with this owner."""
        ...


class Plan:
    """Operations that make owners' rows as wanted. Pure: reads `actual`, writes nothing."""

    def __init__(self, actual: Actual) -> None:
        self._actual = actual
        self._wanted: dict[tuple[str, str], Row] = {}
        self._names: dict[tuple[str, str], str] = {}
        # Apart, for a mutation finds only rows that were inserted before it in the transaction.
        self._inserts: list[Operation] = []
        self._rest: list[Operation] = []

    @property
    def operations(self) -> list[Operation]:
        return self._inserts + self._rest

    def run(self, wanted: Mapping[str, Iterable[Row]]) -> list[str]:
        """Plan for these owners (no rows: remove the owner); answers which of them were not as they should
        be.
        """
        by_owner = {owner: list(rows) for owner, rows in wanted.items()}
        self._wanted = {(row.table, row.key): row for rows in by_owner.values() for row in rows}
        # Whatever will be inserted gets its name first, since rows refer to each other in any order.
        for number, place in enumerate(self._wanted):
            if self._must_insert(self._wanted[place]):
                self._names[place] = f"row{number}"
        return [owner for owner, rows in by_owner.items() if self._plan_owner(owner, rows)]

    def _plan_owner(self, owner: str, rows: list[Row]) -> bool:
        before = len(self._inserts) + len(self._rest)
        for table, key in list(self._actual.rows_of(owner)):
            if (table, key) not in self._wanted:
                self._delete(table, key)
        for row in rows:
            if (row.table, row.key) in self._names:
                self._delete(row.table, row.key)
                self._insert(row)
            else:
                self._update(row)
        return len(self._inserts) + len(self._rest) > before

    def _must_insert(self, row: Row) -> bool:
        actual = self._actual.find(row.table, row.key)
        if actual is None:
            return True
        # A row cannot move to another parent; a parent that is itself replaced takes its children with it.
        moved = actual.read("external_ids").get(PARENT) != (str(row.parent) if row.parent else None)
        parent = self._wanted.get((row.parent.table, row.parent.key)) if row.parent else None
        return moved or (parent is not None and self._must_insert(parent))

    def _insert(self, row: Row) -> None:
        name = self._names[row.table, row.key]
        columns = {column: self._encode(value) for column, value in row.columns.items()}
        columns["external_ids"] = _encode_plain(row.external_ids())
        self._inserts.append({"op": "insert", "table": row.table, "uuid-name": name, "row": columns})
        for place in (*([row.parent] if row.parent else ()), *sorted(row.links)):
            self._mutate(place, "insert", ["named-uuid", name], row)

    def _update(self, row: Row) -> None:
        actual = self._actual.find(row.table, row.key)
        assert actual is not None
        changed = {
            column: self._encode(value)
            for column, value in row.columns.items()
            if actual.read(column) != self._comparable(value)
        }
        ids = actual.read("external_ids")
        if ids != row.external_ids():
            changed["external_ids"] = _encode_plain(row.external_ids())
        if changed:
            where = [["_uuid", "==", ["uuid", str(actual.uuid)]]]
            self._rest.append({"op": "update", "table": row.table, "where": where, "row": changed})
        reference = ["uuid", str(actual.uuid)]
        recorded = frozenset(Place(*place) for place in json.loads(ids.get(LINKS, "[]")))
        for place in sorted(recorded - row.links):
            if self._actual.find(place.table, place.key) is not None:
                self._mutate(place, "delete", reference, row)
        for place in sorted(row.links):
            holder = self._actual.find(place.table, place.key)
            if holder is None or not holder.holds(place.column, actual.uuid):
                self._mutate(place, "insert", reference, row)

    def _delete(self, table: str, key: str) -> None:
        actual = self._actual.find(table, key)
        if actual is None:
            return
        where = [["_uuid", "==", ["uuid", str(actual.uuid)]]]
        parent = actual.read("external_ids").get(PARENT)
        if parent is None:
            self._rest.append({"op": "delete", "table": table, "where": where})
            return
        place = Place(*parent.split("/"))
        holder = self._actual.find(place.table, place.key)
        if holder is not None:
            self._rest.append(_mutation(place, "delete", ["uuid", str(holder.uuid)], where[0][2]))

    def _mutate(self, place: Place, mutator: str, reference: list[str], row: Row) -> None:
        target = self._resolve(place.table, place.key)
        if target is None:
            raise DriverError(
                f"{row.owner} needs {place.table} {place.key}, which is not there",
                detail=f"row {row.table} {row.key} goes into {place}",
                retry=True,
            )
        self._rest.append(_mutation(place, mutator, target, reference))

    def _resolve(self, table: str, key: str) -> list[str] | None:
        if (table, key) in self._names:
            return ["named-uuid", self._names[table, key]]
        actual = self._actual.find(table, key)
        return ["uuid", str(actual.uuid)] if actual else None

    def _encode(self, value: Value) -> Any:
        if isinstance(value, Ref):
            target = self._resolve(value.table, value.key)
            return ["set", [target] if target else []]
        return _encode_plain(value)

    def _comparable(self, value: Value) -> Any:
        """As `ActualRow.read` would give it; a row still to be inserted is equal to nothing that is there."""
        if isinstance(value, Ref):
            target = self._resolve(value.table, value.key)
            return frozenset([target[1]] if target else [])
        return value


def _mutation(place: Place, mutator: str, holder: list[str], reference: Any) -> Operation:
    return {
        "op": "mutate",
        "table": place.table,
        "where": [["_uuid", "==", holder]],
        "mutations": [[place.column, mutator, ["set", [reference]]]],
    }


def _encode_plain(value: Any) -> Any:
    """A value in OVSDB's JSON (RFC 7047, 5.1)."""
    if isinstance(value, frozenset):
        return ["set", sorted(value)]
    if isinstance(value, dict):
        return ["map", sorted(value.items())]
    return value
