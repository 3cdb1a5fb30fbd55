"""What identity's resources have in common on the wire: links to themselves, extra attributes, name conflicts.

Identity's resources may carry attributes of the client's own (`extra`), shown beside the known ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
from sqlalchemy import String, Table, func
from sqlalchemy.sql import ColumnElement

from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request, Response
from aerostat.kernel.http.paging import Paging
from aerostat.kernel.http.request import Page
from aerostat.kernel.resource import Conditions, Resource, Verb, View, Views

from ..config import IdentityConfig
from ..errors import AlreadyThere, RoleImmutable

OPTIONS = {"type": "object"}
IMMUTABLE = {
    "type": "object",
    "properties": {"immutable": {"type": ["boolean", "null"]}},
    "additionalProperties": False,
}
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
    extra = changes.pop("extra", None)
    if is_immutable(row) and (extra or not _only_makes_mutable(changes)):
        raise RoleImmutable(kind=kind, id=row["id"])
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


def _only_makes_mutable(changes: Mapping[str, Any]) -> bool:
    """What is immutable is made mutable first, and then changed."""
    options = changes.get("options") or {}
    return set(changes) == {"options"} and not options.get("immutable", True)


def check_mutable(kind: str, row: Row) -> None:
    if is_immutable(row):
        raise RoleImmutable(kind=kind, id=row["id"])


def with_extra(view: View, row: Mapping[str, Any]) -> View:
    return {**(row.get("extra") or {}), **view}


def domain_in_sight(req: Request) -> str | None:
    """The only domain whose things the caller sees in lists; None: those of all.

    A token of a domain sees that one, whatever its roles.
    """
    context = req.context
    if context.domain_id is not None:
        return context.domain_id
    if context.is_admin or context.system_scope:
        return None
    return context.project_domain_id or context.user_domain_id or ""


def name_patterns(req: Request, table: Table) -> Conditions:
    """`name__contains=`, `name__startswith=` and the like, as the list filters of identity are written.

    With an `i` before it case does not count. Written without LIKE, for which case counts on some databases only.
    """
    found: list[ColumnElement[bool]] = []
    for key, values in req.query.items():
        column_name, mark, how = key.partition("__")
        if not mark or column_name not in table.c or not isinstance(table.c[column_name].type, String):
            continue
        column: ColumnElement[Any] = table.c[column_name]
        value = values[-1]
        if how.startswith("i"):
            column, value, how = func.lower(column), value.lower(), how[1:]
        if how == "equals":
            found.append(column == value)
        elif how == "startswith":
            found.append(func.substr(column, 1, len(value)) == value)
        elif how == "endswith":
            found.append(func.substr(column, func.length(column) - len(value) + 1) == value)
        elif how == "contains" and value:
            found.append(func.replace(column, value, "") != column)
    return found


def query_moment(name: str, text: str) -> datetime:
    """A time in a query argument, as UTC without a zone. Raises `BadRequest`."""
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo is not None else at
    except (ValueError, OverflowError):
        raise BadRequest(f"Invalid input for query argument {name}: {text}.") from None


def _taken(kind: str, values: Mapping[str, Any]) -> AlreadyThere:
    domain = values.get("domain_id")
    where = f" at domain ID {domain}" if domain else ""
    return AlreadyThere(kind=kind, name=values.get("name", values.get("id")), where=where)


class Named(Resource):
    """Not used as a resource itself: the verbs that every named thing of identity shares."""

    kind = ""
    policy_first: ClassVar[Sequence[Verb]] = ("show", "update", "delete")
    in_domain = False  # whether a domain's own manager may make one, there and nowhere else

    def target(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """As upstream's rules name it: `target.user.domain_id`."""
        return {**row, "target": {self.singular: row}}

    def list_target(self, req: Request) -> dict[str, Any]:
        """What the rule of the list looks at: of a list, the caller's own domain is asked for."""
        return {self.singular: req.own_target, **req.own_target}

    def check_new(self, req: Request, new: Mapping[str, Any], verb: str = "create") -> None:
        """Policy for what is about to be made, once it is known in which domain that is."""
        assert self.policy is not None
        req.check(self.policy.name(verb), self.target({**new, "domain_id": new.get("domain_id")}))

    def _allow(self, req: Request, verb: str, target: Mapping[str, Any] | None = None) -> None:
        if verb == "create" and self.in_domain:  # the verb calls `check_new` once it knows the domain
            return
        if target is None:
            target = {**req.own_target, "target": self.list_target(req)}
        super()._allow(req, verb, target)

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        assert self.table is not None
        if self.in_domain:
            self.check_new(req, new)
        return await insert_named(req, self.kind or self.singular, self.table, new)

    async def create_as(self, req: Request, id: str) -> Response:
        """Create under an id of the client's choice, as PUT does."""
        self._allow(req, "create")
        new = await self._read(req, "create")
        if not 1 <= len(id) <= 64:
            raise BadRequest(f"Invalid input for field 'id': {id} is longer than 64 characters.")
        row = await self.create(req, {**new, "id": id})
        return Response(await self.render(req, row), 201, resource_id=id)

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

    def paging_for(self, req: Request) -> Paging:
        most = req.house.config.section(IdentityConfig).list_limit
        if not most:
            return self.paging
        return msgspec.structs.replace(self.paging, default_limit=most, max_limit=most)

    def list_envelope(self, req: Request, views: Views, page: Page) -> View:
        """A list that is cut off says so, besides the link to the next page."""
        envelope = super().list_envelope(req, views, page)
        return {**envelope, "truncated": True} if page.next_marker else envelope

    def view(self, req: Request, row: Mapping[str, Any], brief: bool = False) -> View:
        req.state["identity_kind"] = self.plural
        return with_extra(super().view(req, row, brief), row)
