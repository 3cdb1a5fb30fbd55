"""What every resource of the network API has beyond rows: bodies of one or many, attribute policies, `fields=`,
filters on any attribute, tags, revisions.

https://docs.openstack.org/api-ref/network/v2/#general-api-overview
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec
from sqlalchemy import and_, func, not_, or_, select
from sqlalchemy.sql import ColumnElement

from aerostat.kernel.db import Json, Row, Transaction
from aerostat.kernel.errors import PreconditionFailed
from aerostat.kernel.fields import MISSING, BodySchema, Field, object_schema, read_values
from aerostat.kernel.http import Page, Request, Response
from aerostat.kernel.policy import Rule, Term
from aerostat.kernel.resource import Conditions, Resource, Rows, View

from .errors import RevisionNumberConstraintFailed, refuse_body, refuse_value
from .quotas import QUOTAS
from .sight import sees_all

Use = Literal["create", "update"]
Reader = Callable[[Any], Any]
_NOT_FILTERS = frozenset({"fields", "limit", "marker", "sort_key", "sort_dir", "page_reverse"})
_TAG_FILTERS = frozenset({"tags", "tags-any", "not-tags", "not-tags-any"})
_encode = msgspec.json.Encoder().encode


class _Standard:
    """Attributes that all resources with a name of their own share."""

    id = Field(str)
    project_id = Field(str, create="optional")
    tenant_id = Field(str, column="project_id", create="optional")
    description = Field(str, create="optional", update="optional", length=(0, 255), default="")
    tags = Field(list, create="optional", default=list)
    revision_number = Field(int)
    created_at = Field(str)
    updated_at = Field(str)


class NetworkResource(Resource):
    """Subclasses say what a body's attributes must look like (`readers`), who may set or see which of them
    (`attribute_rules`), and what stands beside the row (`make`, `change`, `remove`, each in a transaction).
    """

    readers: ClassVar[Mapping[str, Reader]] = {}
    attribute_rules: ClassVar[Mapping[str, Term]] = {}
    standard: ClassVar[Sequence[str]] = tuple(name for name in vars(_Standard) if not name.startswith("_"))
    quota: ClassVar[str | None] = None
    odd_filters: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.fields = cls.fields + [vars(_Standard)[name] for name in cls.standard]
        cls.by_wire = {field.wire: field for field in cls.fields}
        cls.wires = {field.name: field.wire for field in cls.fields}
        cls.path = cls.path or f"/{cls.plural}/{{id}}"

    by_wire: ClassVar[dict[str, Field]] = {}
    wires: ClassVar[dict[str, str]] = {}

    # What subclasses add to a row, each within one transaction.

    async def make(self, req: Request, tx: Transaction, new: dict[str, Any]) -> Row:
        assert self.table is not None
        return await tx.insert(self.table, **new)

    async def change(
        self, req: Request, tx: Transaction, row: Row, changes: dict[str, Any]
    ) -> dict[str, Any]:
        """The columns to set. The revision is counted up by the caller."""
        return changes

    async def remove(self, req: Request, tx: Transaction, row: Row) -> None:
        """Refuse, or take away what stands beside the row."""

    async def policy_target(self, req: Request, target: dict[str, Any]) -> Mapping[str, Any]:
        """What attribute rules look at, with attributes of the parent where they need them."""
        return target

    # Verbs. What one may not see is not there: lists leave it out, and the rest answers 404.

    async def list(self, req: Request) -> Page | Rows:
        assert self.policy is not None
        return await super().list(req) if req.allows(self.policy.name("list")) else Page([])

    def _allow(self, req: Request, verb: str, target: Mapping[str, Any] | None = None) -> None:
        if verb == "list":
            return
        if verb != "create" and target is not None:
            assert self.policy is not None
            if not req.allows(self.policy.name("show"), target):
                raise self.missing(target["id"])
        super()._allow(req, verb, target)

    async def find(self, req: Request, id: str) -> Row:
        assert self.table is not None
        found = await req.db.fetch(select(self.table).where(self.table.c.id == id, *self.visible(req)))
        if not found:
            raise self.missing(id)
        return found[0]

    def visible(self, req: Request) -> Conditions:
        if sees_all(req.context):
            return []
        assert self.table is not None
        return [self.table.c.project_id == req.context.project_id]

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        assert self.table is not None
        await self._check_attributes(req, "update", changes, {**row, **changes})
        async with req.db.transaction() as tx:
            row = await self._current(req, tx, row)
            columns = await self.change(req, tx, row, changes)
            await tx.update(self.table, {"id": row.id}, **columns, revision_number=row.revision_number + 1)
            return await tx.get(self.table, id=row.id)

    async def delete(self, req: Request, row: Row) -> None:
        assert self.table is not None
        async with req.db.transaction() as tx:
            row = await self._current(req, tx, row)
            await self.remove(req, tx, row)
            await tx.delete(self.table, id=row.id)

    async def _create(self, req: Request) -> Response:
        """One thing, or several in one transaction: all or none."""
        body = await req.json()
        many = isinstance(body, dict) and self.plural in body
        if many and not (isinstance(body[self.plural], list) and body[self.plural]):
            raise refuse_body(f"Invalid value for {self.plural}: a list of at least one is expected")
        wanted = [self._enveloped(one) for one in body[self.plural]] if many else [body]
        news = [self._read_body(req, "create", one) for one in wanted]
        for new in news:
            target = {**req.own_target, **new, "tenant_id": new.get("project_id")}
            self._allow(req, "create", target)
            await self._check_attributes(req, "create", new, target)
        async with req.db.transaction() as tx:
            if self.quota is not None:
                for project_id in dict.fromkeys(new["project_id"] for new in news):
                    count = sum(new["project_id"] == project_id for new in news)
                    await QUOTAS.check(tx, project_id, {self.quota: count})
            rows = [await self.make(req, tx, new) for new in news]
        if not many:
            return Response(await self.render(req, rows[0]), 201, resource_id=rows[0].id)
        await self.prepare(req, rows)
        return Response({self.plural: [self.view(req, row) for row in rows]}, 201)

    def _enveloped(self, one: Any) -> Any:
        """A thing among several may stand in an envelope of its own."""
        return one if isinstance(one, dict) and self.singular in one else {self.singular: one}

    def filled(self, project_id: str, **values: Any) -> dict[str, Any]:
        """What `make` takes, for things that the room makes itself: `values` over the defaults of a body."""
        return {**read_values(self.fields, "create", {}), "project_id": project_id, **values}

    # Bodies.

    async def _update(self, req: Request) -> Response:
        # A body that makes no sense is told so before anything is looked for.
        req.state["changes"] = self._read_body(req, "update", await req.json())
        return await super()._update(req)

    async def _read(self, req: Request, verb: Use) -> dict[str, Any]:
        return dict(req.state["changes"])

    def _read_body(self, req: Request, verb: Use, body: Any) -> dict[str, Any]:
        """A body as column values. Raises upstream's words for what does not belong there."""
        if not isinstance(body, dict) or not isinstance(body.get(self.singular), dict):
            raise refuse_body(f"Unable to find '{self.singular}' in request body")
        inner = body[self.singular]
        unknown = [name for name in inner if name not in self.by_wire]
        if unknown:
            raise refuse_body(f"Unrecognized attribute(s) '{', '.join(sorted(unknown))}'")
        for name in inner:
            field = self.by_wire[name]
            if verb == "create" and field.create is None:
                raise refuse_body(f"Attribute '{name}' not allowed in POST")
            if verb == "update" and field.update is None:
                raise refuse_body(f"Cannot update read-only attribute {name}")
        if verb == "create":
            for field in self.fields:
                if field.create == "required" and field.wire not in inner:
                    raise refuse_body(
                        f"Failed to parse request. Required attribute '{field.wire}' not specified"
                    )
        self._body_schema(verb).check({self.singular: inner})
        values = read_values(self.fields, verb, inner)
        for name, read in self.readers.items():
            wire = self.wires[name]
            if wire in inner:
                try:
                    values[name] = read(values[name])
                except ValueError as error:
                    raise refuse_value(wire, str(error)) from None
        if verb == "create":
            values["project_id"] = self._project(req, inner)
            values.pop("tenant_id", None)
        return values

    def _body_schema(self, verb: Use) -> BodySchema:
        key = (verb, self.service.versions.default)
        known = self._bodies.get(key)
        if known is None:
            schema = object_schema(self.fields, verb, envelope=self.singular, lenient=True)
            known = self._bodies[key] = (BodySchema(schema, self.service.invalid), self.fields)
        return known[0]

    def _project(self, req: Request, inner: Mapping[str, Any]) -> str:
        named = {inner[key] for key in ("project_id", "tenant_id") if key in inner}
        if len(named) > 1:
            raise refuse_body("'project_id' and 'tenant_id' do not match")
        project_id = next(iter(named), req.context.project_id)
        if not isinstance(project_id, str):
            raise refuse_body("Running without keystone AuthN requires that tenant_id is specified")
        if project_id != req.context.project_id and not sees_all(req.context):
            raise refuse_body(
                "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires "
                "admin privileges"
            )
        return project_id

    # Policy of attributes.

    def rules(self) -> Sequence[Rule]:
        declared = [Rule(name=name, text=term.text) for name, term in self.attribute_rules.items()]
        return [*super().rules(), *declared]

    async def _check_attributes(
        self, req: Request, verb: Use, values: Mapping[str, Any], target: dict[str, Any]
    ) -> None:
        """Ask the rule of each attribute that was set to something else than its default."""
        guarded = []
        for field in self.fields:
            name = f"{verb}_{self.singular}:{field.wire}"
            if field.name not in values or name not in self.attribute_rules:
                continue
            default = field.default() if callable(field.default) else field.default
            if verb == "update" or default is MISSING or values[field.name] != default:
                guarded.append(name)
        if guarded:
            full = await self.policy_target(req, target)
            for name in guarded:
                req.check(name, full)

    # Lists.

    def filters(self, req: Request) -> Conditions:
        """Conditions from every argument that names an attribute; several values mean any of them."""
        assert self.table is not None
        conditions: Conditions = []
        unknown = []
        for name, values in req.query.items():
            field = self.by_wire.get(name)
            if name in _NOT_FILTERS:
                continue
            if name in _TAG_FILTERS and "tags" in self.table.c:
                conditions.append(self._tagged(name, values))
            elif name in self.odd_filters:
                continue
            elif field is not None and field.column in self.table.c:
                conditions.append(self._equals(field, values))
            else:
                unknown.append(name)
        if unknown:
            raise refuse_body(f"{sorted(unknown)} is invalid attribute for filtering")
        return conditions

    def _equals(self, field: Field, values: Sequence[str]) -> ColumnElement[bool]:
        assert self.table is not None
        column = self.table.c[field.column]
        try:
            wanted = [
                None if text in ("", "None", "null") and column.nullable else _typed(field, text)
                for text in values
            ]
        except ValueError as error:
            raise refuse_value(field.wire, str(error)) from None
        if isinstance(column.type, Json):
            return or_(*(column == one for one in wanted))
        known = [one for one in wanted if one is not None]
        same = column == known[0] if len(known) == 1 else column.in_(known)
        return same if len(known) == len(wanted) else or_(column.is_(None), same)

    def _tagged(self, name: str, values: Sequence[str]) -> ColumnElement[bool]:
        """`tags` all of them, `tags-any` one of them, and the opposites."""
        assert self.table is not None
        wanted = [tag for value in values for tag in value.split(",")]
        column = self.table.c.tags
        # A tag as it stands in the stored list: cutting it out changes the text, on every database, case and all.
        having = [func.replace(column, _encode(tag).decode(), "") != column for tag in wanted]
        matched = or_(*having) if name.endswith("-any") else and_(*having)
        return not_(matched) if name.startswith("not-") else matched

    # Views.

    def view(self, req: Request, row: Mapping[str, Any], brief: bool = False) -> View:
        shown = super().view(req, row, brief)
        asked = req.query.get("fields")
        if not asked:
            return shown
        names = {name for value in asked for name in value.split(",")}
        return {name: value for name, value in shown.items() if name in names} or shown

    # Revisions.

    async def _current(self, req: Request, tx: Transaction, row: Row) -> Row:
        """The row as it is in this transaction. Raises if it is gone, or not the revision that If-Match names."""
        assert self.table is not None
        current = await tx.find(self.table, id=row.id)
        if current is None:
            raise self.missing(row.id)
        condition = req.headers.get("if-match")
        if condition is not None:
            key, _, number = condition.strip().strip('"').partition("=")
            if key != "revision_number" or not number.isdigit():
                raise PreconditionFailed(f"Unsupported If-Match condition: {condition}")
            if int(number) != current.revision_number:
                raise RevisionNumberConstraintFailed(expected=number, current=current.revision_number)
        return current


def _typed(field: Field, text: str) -> Any:
    if field.type is bool:
        return field.convert(text)
    if field.type is int:
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"'{text}' is not an integer") from None
    return text
