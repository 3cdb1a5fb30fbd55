"""What every API resource is made of: fields, policy, verbs, actions, odd routes.

A subclass says what it is as data and overrides a verb only where rows alone cannot answer. The order in such a
file is always: what it is, fields, policy, verbs, actions, private helpers. See `docs/howto/add-a-resource.md`.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from sqlalchemy import Table
from sqlalchemy.sql import ColumnElement

from .context import SERVICE_ROLE
from .db import Row, RowNotFound
from .errors import ApiError, BadRequest, Forbidden, NotFound
from .fields import BodySchema, Field, fields_at, object_schema, read_values
from .http.paging import Order, Paging, read_page
from .http.request import Page, Request, Response
from .http.router import Endpoint
from .http.versions import Version, span
from .policy import Policy, Rule, Term

if TYPE_CHECKING:
    from .service import Service

Verb = Literal["list", "show", "create", "update", "delete"]
View = dict[str, Any]
Rows = list[Row]  # named, because a resource's `list` is a verb
Views = list[View]
Conditions = list[ColumnElement[bool]]

_STATUS: dict[str, int] = {"list": 200, "show": 200, "create": 201, "update": 200, "delete": 204}
_NOTHING: Any = object()


class Route:
    """A method of a resource that answers one path of its own. Made by `@route`."""

    def __init__(
        self,
        method: str,
        path: str,
        call: Callable[..., Awaitable[Any]],
        *,
        status: int = 200,
        since: str | None = None,
        until: str | None = None,
        policy: str | None = None,
        default: Term | None = None,
        public: bool = False,
        raw_body: bool = False,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.call = call
        self.status = status
        self.span = span(since, until)
        self.policy = policy
        self.default = default
        self.public = public
        self.raw_body = raw_body
        self.body = body


def route(method: str, path: str, **options: Any) -> Callable[[Callable[..., Awaitable[Any]]], Any]:
    """Answer `method path` with this method: `async def name(self, req, **path_parameters)`.

    `options` are those of `Route`. `policy` is checked against the caller's own project before the method runs (with
    `default` as the rule's default); leave it out when the method checks against a row. `body` is the JSON schema of
    the body, which is then in `req.body`; `raw_body` leaves the body unread for the method to stream. What is answered
    becomes the JSON body with `status`; a `Response` is taken as it is.
    """

    def mark(call: Callable[..., Awaitable[Any]]) -> Route:
        return Route(method, path, call, **options)

    return mark


class Action:
    """One action on a resource, called by `POST …/{id}/action` with its name as the only key of the body."""

    def __init__(
        self,
        name: str,
        call: Callable[[Request, Row, Any], Awaitable[Any]],
        *,
        policy: str,
        default: Term,
        body: Mapping[str, Any] | None = None,
        status: int = 202,
        since: str | None = None,
        until: str | None = None,
    ) -> None:
        self.name = name
        self.call = call
        self.policy = policy
        self.default = default
        self.body = body
        self.status = status
        self.span = span(since, until)


def action(name: str, **options: Any) -> Callable[[Callable[[Request, Row, Any], Awaitable[Any]]], Action]:
    """`@action("os-start", policy="os_compute_api:servers:start", default=…)` on `async def start(req, server, body)`.

    `body` is the JSON schema of what stands under the action's key; None takes null or an empty object.
    """

    def mark(call: Callable[[Request, Row, Any], Awaitable[Any]]) -> Action:
        return Action(name, call, **options)

    return mark


class Resource:
    """One kind of thing in one room's API. An instance is made once per door and keeps no state of requests."""

    path: ClassVar[str] = ""  # of one thing; the list is at the same path without the last segment
    below_bases: ClassVar[bool] = True  # False: the paths are the room's own, without its bases before them
    singular: ClassVar[str] = ""
    plural: ClassVar[str] = ""
    table: ClassVar[Table | None] = None
    policy: ClassVar[Policy | None] = None
    verbs: ClassVar[Sequence[Verb]] = ("list", "show", "create", "update", "delete")
    status: ClassVar[Mapping[str, int]] = {}
    since: ClassVar[Mapping[str, str]] = {}  # verb → first microversion
    until: ClassVar[Mapping[str, str]] = {}
    update_method: ClassVar[str | None] = None  # else the door's
    detail_path: ClassVar[str | None] = None  # a second list, with all fields
    project_column: ClassVar[str | None] = "project_id"  # tenant of a row; None for things without one
    id_column: ClassVar[str] = "id"
    order: ClassVar[tuple[Order, ...] | None] = None
    not_found: ClassVar[type[ApiError]] = NotFound
    actions: ClassVar[Sequence[Action]] = ()
    extra_body_keys: ClassVar[bool] = False
    policy_first: ClassVar[
        Sequence[Verb]
    ] = ()  # who may not do these is not told that something is not there
    extra_rules: ClassVar[Sequence[Rule]] = ()

    def __init_subclass__(cls) -> None:
        cls.fields = [value for value in vars(cls).values() if isinstance(value, Field)]
        cls.routes = [value for value in vars(cls).values() if isinstance(value, Route)]
        for field in cls.fields:
            if hasattr(Resource, field.name):  # a field called `status` is not the resource's own `status`
                delattr(cls, field.name)

    fields: ClassVar[list[Field]] = []
    routes: ClassVar[list[Route]] = []

    def __init__(self, service: "Service") -> None:
        self.service = service
        self._views: dict[tuple[Version, bool], list[tuple[str, Field]]] = {}
        self._bodies: dict[tuple[str, Version], tuple[BodySchema, list[Field]]] = {}
        self._schemas: dict[int, BodySchema] = {}
        self._check_columns()

    # Verbs, as rows answer them.

    async def list(self, req: Request) -> Page | Rows:
        conditions = [*self.visible(req), *self.filters(req)]
        assert self.table is not None
        return await read_page(
            req,
            self.paging_for(req),
            self.table,
            conditions,
            sortable=self.sortable(req),
            default_order=self.order,
            marker_column=self.id_column,
        )

    async def show(self, req: Request, row: Row) -> Row:
        return row

    async def create(self, req: Request, new: dict[str, Any]) -> Row:
        assert self.table is not None
        return await req.db.insert(self.table, **self.owned(req, new))

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        assert self.table is not None
        if changes:
            await req.db.update(self.table, {self.id_column: row[self.id_column]}, **changes)
        return await req.db.get(self.table, **{self.id_column: row[self.id_column]})

    async def delete(self, req: Request, row: Row) -> None:
        assert self.table is not None
        await req.db.delete(self.table, **{self.id_column: row[self.id_column]})

    # Hooks that a resource may answer differently.

    @property
    def paging(self) -> Paging:
        return self.service.paging

    def paging_for(self, req: Request) -> Paging:
        return self.paging

    async def find(self, req: Request, id: str) -> Row:
        """The row that a path names, as far as the caller may know of it. Raises the resource's `not_found`."""
        assert self.table is not None
        row = await req.db.find(self.table, **{self.id_column: id})
        if row is None or not self.can_see(req, row):
            raise self.missing(id)
        return row

    def missing(self, id: str) -> ApiError:
        return (
            self.not_found(id=id)
            if self.not_found is not NotFound
            else NotFound(f"{self.singular or 'resource'} {id} could not be found.")
        )

    def can_see(self, req: Request, row: Row) -> bool:
        """Whether the caller may know that this row is there. Others answer 404, never 403."""
        column = self.project_column
        return column is None or row[column] == req.context.project_id or req.context.is_admin

    def visible(self, req: Request) -> Conditions:
        """What a list is limited to, before filters: the caller's project."""
        if self.project_column is None:
            return []
        assert self.table is not None
        return [self.table.c[self.project_column] == req.context.project_id]

    def filters(self, req: Request) -> Conditions:
        """Conditions from the query arguments that name filterable fields; a repeated argument means any of them."""
        assert self.table is not None
        conditions: Conditions = []
        for field in fields_at(self.fields, req.version):
            if not field.filter or field.wire not in req.query:
                continue
            column = self.table.c[field.column]
            try:
                values = [field.convert(value) for value in req.query[field.wire]]
            except ValueError as error:
                raise BadRequest(f"Invalid input for query argument {field.wire}: {error}.") from None
            conditions.append(column == values[0] if len(values) == 1 else column.in_(values))
        return conditions

    def sortable(self, req: Request) -> dict[str, str]:
        assert self.table is not None
        return {
            field.wire: field.column
            for field in fields_at(self.fields, req.version)
            if field.stored and field.sort is not False
        }

    def owned(self, req: Request, new: dict[str, Any]) -> dict[str, Any]:
        """`new` with the caller's project, unless it names one."""
        if self.project_column is not None:
            new.setdefault(self.project_column, req.context.project_id)
        return new

    async def prepare(self, req: Request, rows: Rows) -> None:
        """Put into the rows what their fields need from elsewhere, for all of them at once."""

    def list_envelope(self, req: Request, views: Views, page: Page) -> View:
        return {self.plural: views, **self.paging.links(req, self.plural, page)}

    def envelope(self, req: Request, view: View) -> Any:
        return {self.singular: view} if self.singular else view

    def target(self, row: Row) -> Mapping[str, Any]:
        """What policy rules look at for an existing row."""
        return row

    # Views.

    def view(self, req: Request, row: Mapping[str, Any], brief: bool = False) -> View:
        """One row as the client sees it, in the request's version."""
        key = (req.version, brief)
        fields = self._views.get(key)
        if fields is None:
            present = fields_at(self.fields, req.version)
            fields = self._views[key] = [
                (field.wire, field) for field in present if field.show and (not brief or field.summary)
            ]
        shown: View = {}
        time_format = self.service.time_format
        for wire, field in fields:
            if field.policy is not None and not self._may_see(req, field.policy):
                continue
            value = row[field.column] if field.compute is None else field.compute(row, req)
            if value.__class__ is datetime:
                value = time_format(value)
            shown[wire] = value
        return shown

    async def render(self, req: Request, row: Row) -> Any:
        await self.prepare(req, [row])
        return self.envelope(req, self.view(req, row))

    def _may_see(self, req: Request, rule: str) -> bool:
        known = req.state.get(rule)
        if known is None:
            known = req.state[rule] = req.allows(rule)
        return bool(known)

    # The wall: what the kernel does around the verbs.

    def endpoints(self, base: str) -> Sequence[Endpoint]:
        """Every endpoint of this resource below `base`."""
        made = []
        if self.path:
            collection = base + self.path.rsplit("/", 1)[0]
            single = base + self.path
            update_method = self.update_method or self.service.update_method
            for verb, method, path, handler in (
                ("list", "GET", collection, self._list(brief=self.detail_path is not None)),
                ("create", "POST", collection, self._create),
                ("show", "GET", single, self._show),
                ("update", update_method, single, self._update),
                ("delete", "DELETE", single, self._delete),
            ):
                if verb in self.verbs:
                    versions = span(self.since.get(verb), self.until.get(verb))
                    made.append(Endpoint(method, path, handler, name=self._name(verb), versions=versions))
            if self.detail_path is not None:
                made.append(
                    Endpoint(
                        "GET", base + self.detail_path, self._list(brief=False), name=self._name("detail")
                    )
                )
            if self.actions:
                made.append(Endpoint("POST", f"{single}/action", self._act, name=self._name("action")))
        for one in self.routes:
            made.append(
                Endpoint(
                    one.method,
                    base + one.path,
                    self._routed(one),
                    name=f"{type(self).__name__}.{one.call.__name__}",
                    versions=one.span,
                    public=one.public,
                    raw_body=one.raw_body,
                )
            )
        return made

    def rules(self) -> Sequence[Rule]:
        """The policy rules this resource declares."""
        declared = [*self.extra_rules]
        if self.policy is not None:
            declared.extend(self.policy.rules(self.verbs))
        for one in self.actions:
            declared.append(Rule(name=one.policy, text=one.default.text))
        for odd in self.routes:
            if odd.policy is not None and odd.default is not None:
                declared.append(Rule(name=odd.policy, text=odd.default.text))
        return declared

    def _name(self, verb: str) -> str:
        return f"{self.singular or type(self).__name__}.{verb}"

    def _status(self, verb: str) -> int:
        return self.status.get(verb, _STATUS[verb])

    def _path_id(self, req: Request) -> str:
        return req.params[self.path.rsplit("/", 1)[1].strip("{}")]

    def _allow(self, req: Request, verb: str, target: Mapping[str, Any] | None = None) -> None:
        if self.policy is not None:
            req.check(self.policy.name(verb), target)

    async def _found(self, req: Request, verb: Verb) -> Row:
        try:
            return await self.find(req, self._path_id(req))
        except NotFound:
            if verb in self.policy_first:
                self._allow(req, verb, {"target": {}})
            raise

    def _list(self, *, brief: bool) -> Callable[[Request], Awaitable[Response]]:
        async def answer(req: Request) -> Response:
            self._allow(req, "list")
            req.state["brief"] = brief
            found = await self.list(req)
            page = found if isinstance(found, Page) else Page(found)
            await self.prepare(req, page.rows)
            views = [self.view(req, row, brief) for row in page.rows]
            return Response(self.list_envelope(req, views, page), self._status("list"))

        return answer

    async def _show(self, req: Request) -> Response:
        row = await self._found(req, "show")
        self._allow(req, "show", self.target(row))
        return Response(await self.render(req, await self.show(req, row)), self._status("show"))

    async def _create(self, req: Request) -> Response:
        new = await self._read(req, "create")
        self._allow(req, "create", {**req.own_target, **new})
        belongs = self.project_column is not None and self.project_column not in new
        if belongs and req.context.project_id is None and SERVICE_ROLE not in req.context.roles:
            raise Forbidden("What is made belongs to a project: sign in to one.")
        row = await self.create(req, new)
        data = await self.render(req, row)
        return Response(data, self._status("create"), resource_id=str(row.get(self.id_column, "")) or None)

    async def _update(self, req: Request) -> Response:
        row = await self._found(req, "update")
        self._allow(req, "update", self.target(row))
        changes = await self._read(req, "update")
        req.resource_id = str(row[self.id_column])
        return Response(await self.render(req, await self.update(req, row, changes)), self._status("update"))

    async def _delete(self, req: Request) -> Response:
        row = await self._found(req, "delete")
        self._allow(req, "delete", self.target(row))
        req.resource_id = str(row[self.id_column])
        await self.delete(req, row)
        return Response(None, self._status("delete"))

    async def _act(self, req: Request) -> Response:
        body = await req.json()
        if not isinstance(body, dict) or len(body) != 1:
            raise BadRequest("An action's body is an object with exactly one key, the action's name.")
        ((name, argument),) = body.items()
        one = next((one for one in self.actions if one.name == name and req.version in one.span), None)
        if one is None:
            raise BadRequest(f"There is no such action: {name}")
        row = await self.find(req, self._path_id(req))
        req.check(one.policy, self.target(row))
        req.resource_id = str(row[self.id_column])
        if one.body is not None:
            self._schema(one.body).check({name: argument} if _wraps(one.body, name) else argument)
        elif argument not in (None, {}, ""):
            raise BadRequest(f"Action {name} takes no arguments.")
        answer = await one.call(req, row, argument)
        return answer if isinstance(answer, Response) else Response(answer, one.status)

    def _routed(self, one: Route) -> Callable[[Request], Awaitable[Response]]:
        # The base may have parameters too (`/v2.1/{own_project_id}`); who wants them names them.
        wanted = inspect.signature(one.call).parameters

        async def answer(req: Request) -> Response:
            if one.policy is not None:
                req.check(one.policy)
            if one.body is not None:
                self._schema(one.body).check(await req.json())
            elif not one.raw_body and req.method in ("POST", "PUT", "PATCH"):
                await req.json()
            params = {name: value for name, value in req.params.items() if name in wanted}
            found = await one.call(self, req, **params)
            return found if isinstance(found, Response) else Response(found, one.status)

        return answer

    async def _read(self, req: Request, verb: Literal["create", "update"]) -> dict[str, Any]:
        """The checked body as field values."""
        key = (verb, req.version)
        known = self._bodies.get(key)
        if known is None:
            present = fields_at(self.fields, req.version)
            schema = object_schema(
                present,
                verb,
                envelope=self.singular or None,
                lenient=self.service.lenient,
                extra=self.extra_body_keys,
            )
            known = self._bodies[key] = (BodySchema(schema, self.service.invalid), present)
        schema_, present = known
        body = await req.json()
        schema_.check(body)
        inner = body[self.singular] if self.singular else body
        values = read_values(present, verb, inner)
        if self.extra_body_keys:
            taken = {field.wire for field in present}
            values["extra"] = {key: value for key, value in inner.items() if key not in taken}
        return values

    def _schema(self, schema: Mapping[str, Any]) -> BodySchema:
        compiled = self._schemas.get(id(schema))
        if compiled is None:
            compiled = self._schemas[id(schema)] = BodySchema(schema, self.service.invalid)
        return compiled

    def _check_columns(self) -> None:
        """Each stored field finds its column, so that fields and tables cannot drift apart."""
        if self.table is None:
            return
        for field in self.fields:
            name = f"{type(self).__name__}.{field.name}"
            if field.stored and field.column not in self.table.c:
                raise TypeError(f"{name}: no column {field.column} in {self.table.name}")
            if field.filter and not field.stored:
                raise TypeError(f"{name}: lists are filtered by columns, and this field is none")


def _wraps(schema: Mapping[str, Any], name: str) -> bool:
    return name in schema.get("properties", {}) and schema.get("required") == [name]


async def get_or(error: ApiError, fetching: Awaitable[Row]) -> Row:
    """The row, or `error` when it is not there."""
    try:
        return await fetching
    except RowNotFound:
        raise error from None
