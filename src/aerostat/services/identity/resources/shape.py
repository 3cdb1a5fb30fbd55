"""What identity's resources have in common on the wire: links to themselves, extra attributes, name conflicts.

Identity's resources may carry attributes of the client's own (`extra`), shown beside the known ones.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Table, func
from sqlalchemy.sql import ColumnElement

from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.resource import Conditions, Resource, View

from ..errors import AlreadyThere, RoleImmutable

OPTIONS = {"type": "object"}
DESCRIPTION = {"type": ["string", "null"]}
DOMAIN_ID = {"type": ["string", "null"]}


def links(below: str = "") -> Field:
    """`{"links": {"self": …}}`; `below` is what stands between the version and the plural, with its slash."""
    return Field(dict, compute=lambda row, req: {"self": f"{_collection(req, below)}/{row['id']}"})


def collection(req: Request, plural: str, rows: Iterable[Mapping[str, Any]], kind: str) -> dict[str, Any]:
    """A list of another kind's things, all on one page: `{"users": […], "links": …}`."""
    resource = req.service.resources[kind]
    own = {"self": req.url, "previous": None, "next": None}
    return {plural: [resource.view(req, row) for row in rows], "links": own}


def _collection(req: Request, below: str) -> str:
    kind = req.state.get("identity_kind", "")
    return f"{req.base_url}{req.service.prefix}/v3/{below}{kind}"


async def insert_named(req: Request, kind: str, table: Table, values: dict[str, Any]) -> Row:
    """Insert; a name that is taken becomes upstream's conflict."""
    try:
        row = await req.db.insert(table, **values)
    except Duplicate as error:
        raise _taken(kind, values) from error
    changed(req)
    return row


async def update_named(req: Request, kind: str, table: Table, row: Row, changes: dict[str, Any]) -> Row:
    """Update, keeping extra attributes that the change does not name."""
    if is_immutable(row) and (changes.get("options") or {}).get("immutable") is not False:
        raise RoleImmutable(kind=kind, id=row["id"])
    extra = changes.pop("extra", None)
    if extra:
        changes["extra"] = {
            key: value for key, value in {**row["extra"], **extra}.items() if value is not None
        }
    if changes.get("options") is not None and "options" in row:
        merged = {**row["options"], **changes["options"]}
        changes["options"] = {key: value for key, value in merged.items() if value is not None}
    if changes:
        try:
            await req.db.update(table, {"id": row["id"]}, **changes)
        except Duplicate as error:
            raise _taken(kind, {**row, **changes}) from error
        changed(req)
    return await req.db.get(table, id=row["id"])


def changed(req: Request) -> None:
    """Who may do what may have changed: look it up anew."""
    req.house.state["identity"].changed()


def is_immutable(row: Row) -> bool:
    return bool((row.get("options") or {}).get("immutable"))


def check_mutable(kind: str, row: Row) -> None:
    if is_immutable(row):
        raise RoleImmutable(kind=kind, id=row["id"])


def with_extra(view: View, row: Mapping[str, Any]) -> View:
    return {**(row.get("extra") or {}), **view}


def name_patterns(req: Request, table: Table) -> Conditions:
    """`name__contains=`, `name__startswith=` and the like, as the list filters of identity are written."""
    found: list[ColumnElement[bool]] = []
    for key, values in req.query.items():
        column_name, mark, how = key.partition("__")
        if not mark or column_name not in table.c:
            continue
        column, value = table.c[column_name], values[-1]
        if how == "equals":
            found.append(column == value)
        elif how == "iequals":
            found.append(func.lower(column) == value.lower())
        elif how.removeprefix("i") in ("contains", "startswith", "endswith"):
            found.append(getattr(column, how)(value, autoescape=True))
    return found


def _taken(kind: str, values: Mapping[str, Any]) -> AlreadyThere:
    domain = values.get("domain_id")
    where = f" at domain ID {domain}" if domain else ""
    return AlreadyThere(kind=kind, name=values.get("name", values.get("id")), where=where)


class Named(Resource):
    """Not used as a resource itself: the verbs that every named thing of identity shares."""

    kind = ""
    in_domain = False  # whether a domain's own manager may make one, there and nowhere else

    def target(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """As upstream's rules name it: `target.user.domain_id`."""
        return {**row, "target": {self.singular: row}}

    def check_new(self, req: Request, new: Mapping[str, Any], verb: str = "create") -> None:
        """Policy for what is about to be made, once it is known in which domain that is."""
        assert self.policy is not None
        req.check(self.policy.name(verb), self.target({**new, "domain_id": new.get("domain_id")}))

    def _allow(self, req: Request, verb: str, target: Mapping[str, Any] | None = None) -> None:
        if verb == "create" and self.in_domain:  # the verb calls `check_new` once it knows the domain
            return
        if target is None:  # of a list, the caller's own domain is asked for
            target = {**req.own_target, "target": {self.singular: req.own_target, **req.own_target}}
        super()._allow(req, verb, target)

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        assert self.table is not None
        if self.in_domain:
            self.check_new(req, new)
        return await insert_named(req, self.kind or self.singular, self.table, new)

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        assert self.table is not None
        return await update_named(req, self.kind or self.singular, self.table, row, changes)

    async def delete(self, req: Request, row: Row) -> None:
        check_mutable(self.kind or self.singular, row)
        await super().delete(req, row)
        changed(req)

    def filters(self, req: Request) -> Conditions:
        assert self.table is not None
        return [*super().filters(req), *name_patterns(req, self.table)]

    def view(self, req: Request, row: Mapping[str, Any], brief: bool = False) -> View:
        req.state["identity_kind"] = self.plural
        return with_extra(super().view(req, row, brief), row)
