"""Unified limits: what a resource of a service is limited to, for every room in one place.

A registered limit is the default for all projects; a limit is one project's or one domain's own.
https://docs.openstack.org/api-ref/identity/v3/#unified-limits
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table, false, or_, select

from aerostat.kernel.db import Duplicate, Row, Transaction
from aerostat.kernel.errors import BadRequest, Conflict
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request, Response
from aerostat.kernel.policy import Term, anyone
from aerostat.kernel.resource import Conditions, View, route

from .. import limits, model
from ..config import IdentityConfig
from ..errors import (
    InvalidLimit,
    LimitNotFound,
    NoRegisteredLimit,
    RegisteredLimitInUse,
    RegisteredLimitNotFound,
)
from ..rules import ANY_SCOPE, CLOUD_SCOPES, SYSTEM_READER, policy_of, rules
from .shape import Named, links

_ID = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-]+$"}
_OWNER = {"type": ["string", "null"], "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-]+$"}
_REGION = {"type": ["string", "null"], "maxLength": 255}
_NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"\S"}
_NUMBER = {"type": "integer", "minimum": -1, "maximum": 0x7FFFFFFF}
_TEXT = {"type": ["string", "null"]}


def _body(plural: str, properties: dict[str, Any], required: list[str], **more: Any) -> dict[str, Any]:
    one = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    several = {"type": "array", "items": one | more, "minItems": 1}
    return {
        "type": "object",
        "properties": {plural: several},
        "required": [plural],
        "additionalProperties": False,
    }


_WHAT = {"service_id": _ID, "region_id": _REGION, "resource_name": _NAME, "description": _TEXT}
_REGISTER = _body(
    "registered_limits", {**_WHAT, "default_limit": _NUMBER}, ["service_id", "resource_name", "default_limit"]
)
_CREATE = _body(
    "limits",
    {**_WHAT, "resource_limit": _NUMBER, "project_id": _OWNER, "domain_id": _OWNER},
    ["service_id", "resource_name", "resource_limit"],
    oneOf=[{"required": ["project_id"]}, {"required": ["domain_id"]}],
)


class RegisteredLimit(Named):
    path = "/v3/registered_limits/{registered_limit_id}"
    singular, plural = "registered_limit", "registered_limits"
    table = model.REGISTERED_LIMITS
    project_column = None
    not_found = RegisteredLimitNotFound
    verbs = ("list", "show", "update", "delete")
    policy = policy_of(
        "registered_limit",
        "registered_limits",
        list=anyone,
        show=anyone,
        verb_scopes={"list": ANY_SCOPE, "show": ANY_SCOPE},
    )
    extra_rules = rules({"create_registered_limits": "rule:admin_required"}, CLOUD_SCOPES)

    id = Field(str)
    service_id = Field(str, update="optional", schema=_ID, filter=True)
    region_id = Field(str, update="optional", schema=_REGION, filter=True)
    resource_name = Field(str, update="optional", schema=_NAME, filter=True)
    default_limit = Field(int, update="optional", schema=_NUMBER)
    description = Field(str, update="optional", schema=_TEXT)
    links = links()

    @route("POST", "/v3/registered_limits", body=_REGISTER)
    async def register(self, req: Request) -> Response:
        req.check("identity:create_registered_limits")
        made = []
        async with req.db.transaction() as tx:
            for new in req.body["registered_limits"]:
                await _check_there(tx, new)
                made.append(await _insert(tx, "registered_limit", model.REGISTERED_LIMITS, _stored(new)))
        return Response({"registered_limits": [self.view(req, row) for row in made]}, 201)

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        async with req.db.transaction() as tx:
            if await tx.count(model.LIMITS, registered_limit_id=row.id):
                raise RegisteredLimitInUse(id=row.id)
            await _check_there(tx, changes)
            try:
                if changes:
                    await tx.update(model.REGISTERED_LIMITS, {"id": row.id}, **_stored(changes))
            except Duplicate as error:
                raise _taken("registered_limit") from error
        return await req.db.get(model.REGISTERED_LIMITS, id=row.id)

    async def delete(self, req: Request, row: Row) -> None:
        async with req.db.transaction() as tx:
            if await tx.count(model.LIMITS, registered_limit_id=row.id):
                raise RegisteredLimitInUse(id=row.id)
            await tx.delete(model.REGISTERED_LIMITS, id=row.id)

    def view(self, req: Request, row: Mapping[str, Any], brief: bool = False) -> View:
        return _shown(super().view(req, row, brief))


class Limit(Named):
    path = "/v3/limits/{limit_id}"
    singular, plural = "limit", "limits"
    table = model.LIMITS
    project_column = None
    not_found = LimitNotFound
    verbs = ("list", "show", "update", "delete")
    policy = policy_of(
        "limit",
        "limits",
        list=anyone,
        show=Term(
            f"{SYSTEM_READER} or (domain_id:%(target.limit.domain.id)s or "
            "domain_id:%(target.limit.project.domain_id)s) or "
            "(project_id:%(target.limit.project_id)s and not None:%(target.limit.project_id)s)",
            0,
        ),
        verb_scopes={"list": ANY_SCOPE, "show": ANY_SCOPE},
    )
    extra_rules = rules({"create_limits": "rule:admin_required"}, CLOUD_SCOPES) + rules(
        {"get_limit_model": ""}, ANY_SCOPE
    )

    id = Field(str)
    service_id = Field(str, filter=True)
    region_id = Field(str, filter=True)
    resource_name = Field(str, filter=True)
    project_id = Field(str, filter=True)
    domain_id = Field(str, filter=True)
    resource_limit = Field(int, update="optional", schema=_NUMBER)
    description = Field(str, update="optional", schema=_TEXT)
    links = links()

    @route("GET", "/v3/limits/model", policy="identity:get_limit_model")
    async def enforcement(self, req: Request) -> dict[str, Any]:
        enforced = _model(req)
        return {"model": {"name": enforced.name, "description": enforced.description}}

    @route("POST", "/v3/limits", body=_CREATE)
    async def create_several(self, req: Request) -> Response:
        req.check("identity:create_limits")
        made = []
        async with req.db.transaction() as tx:
            await tx.lock("identity_limits")
            asked = [await _checked(tx, one) for one in req.body["limits"]]
            for new in asked:
                await _check_model(tx, _model(req), new, asked)
                what = {key: new[key] for key in ("service_id", "region_id", "resource_name")}
                registered = await tx.find(model.REGISTERED_LIMITS, **what)
                if registered is None:
                    raise NoRegisteredLimit()
                new["registered_limit_id"] = registered.id
                made.append(await _insert(tx, "limit", model.LIMITS, new))
        return Response({"limits": [self.view(req, row) for row in made]}, 201)

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        async with req.db.transaction() as tx:
            await tx.lock("identity_limits")
            await _check_model(tx, _model(req), {**row, **changes}, [])
            if changes:
                await tx.update(model.LIMITS, {"id": row.id}, **changes)
        return await req.db.get(model.LIMITS, id=row.id)

    async def find(self, req: Request, id: str) -> Row:
        """With what the rules look at: the domain, or the project and its domain."""
        row = await super().find(req, id)
        for column, name in (("project_id", "project"), ("domain_id", "domain")):
            if row[column] is not None:
                row[name] = await req.db.find(model.PROJECTS, id=row[column]) or {}
        return row

    def visible(self, req: Request) -> Conditions:
        """All for the cloud's own people and services; else those of one's domain, or of one's project."""
        context, table = req.context, model.LIMITS
        if context.is_admin or context.system_scope or "service" in context.roles:
            return []
        if context.domain_id:
            return [
                or_(
                    table.c.domain_id == context.domain_id,
                    table.c.project_id.in_(_projects(context.domain_id)),
                )
            ]
        return [table.c.project_id == context.project_id if context.project_id else false()]

    def view(self, req: Request, row: Mapping[str, Any], brief: bool = False) -> View:
        return _shown(super().view(req, row, brief))


def _model(req: Request) -> limits.Model:
    return limits.MODELS[req.house.config.section(IdentityConfig).enforcement_model]


def _projects(domain_id: str) -> Any:
    return select(model.PROJECTS.c.id).where(model.PROJECTS.c.domain_id == domain_id)


def _stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """A limit of every region is kept with an empty one."""
    stored = dict(values)
    if "region_id" in stored:
        stored["region_id"] = stored["region_id"] or ""
    return stored


def _shown(view: View) -> View:
    return {**view, "region_id": view["region_id"] or None}


async def _check_there(tx: Transaction, values: Mapping[str, Any]) -> None:
    """Raises `BadRequest` for a service or region that is not there."""
    for key, table in (("service_id", model.SERVICES), ("region_id", model.REGIONS)):
        if values.get(key) and await tx.find(table, id=values[key]) is None:
            raise BadRequest(f"Expecting to find valid {key} in the limit: {values[key]} is not there.")


async def _checked(tx: Transaction, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a limit that is asked for. A domain named as a project is a domain. Raises `BadRequest`."""
    await _check_there(tx, asked)
    owner_id = asked.get("project_id") or asked.get("domain_id")
    owner = await tx.find(model.PROJECTS, id=owner_id) if owner_id else None
    if owner is None or (asked.get("domain_id") and not owner.is_domain):
        raise BadRequest("Expecting to find a valid project_id or domain_id in the limit.")
    return {
        **{key: asked.get(key) for key in ("service_id", "resource_name", "resource_limit", "description")},
        "region_id": asked.get("region_id") or "",
        "project_id": None if owner.is_domain else owner.id,
        "domain_id": owner.id if owner.is_domain else None,
    }


async def _check_model(
    tx: Transaction, enforced: limits.Model, limit: Mapping[str, Any], together: list[dict[str, Any]]
) -> None:
    """Raises `InvalidLimit` when the limit does not fit those of its domain or of the projects in it.

    `together` are limits that are made with it, and count before those that are stored.
    """
    if not enforced.shares:
        return
    what = {key: limit[key] for key in ("service_id", "region_id", "resource_name")}
    rows = [one for one in together if {key: one[key] for key in what} == what]
    rows += await tx.all(model.LIMITS, what)
    above: int | None = None
    below: list[int] = []
    if limit["project_id"]:
        domain_id = (await tx.get(model.PROJECTS, id=limit["project_id"])).domain_id
        registered = await tx.find(model.REGISTERED_LIMITS, **what)
        own = (row["resource_limit"] for row in rows if row["domain_id"] == domain_id)
        above = next(own, registered.default_limit if registered is not None else None)
    else:
        inside = {row.id for row in await tx.all(model.PROJECTS, {"domain_id": limit["domain_id"]})}
        own_limits: dict[str, int] = {}
        for row in rows:
            if row["project_id"] in inside:
                own_limits.setdefault(row["project_id"], row["resource_limit"])
        below = list(own_limits.values())
    if not limits.fits(limit["resource_limit"], above=above, below=below):
        owner = (
            f"{'project' if limit['project_id'] else 'domain'} {limit['project_id'] or limit['domain_id']}"
        )
        raise InvalidLimit(
            reason=f"{limit['resource_limit']} of {limit['resource_name']} for {owner} does not fit the limits "
            "of its domain and of the projects in it"
        )


async def _insert(tx: Transaction, kind: str, table: Table, values: dict[str, Any]) -> Row:
    try:
        return await tx.insert(table, **values)
    except Duplicate as error:
        raise _taken(kind) from error


def _taken(kind: str) -> Conflict:
    return Conflict(f"Conflict occurred attempting to store {kind} - Duplicate entry.")
