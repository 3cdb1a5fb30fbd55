"""Server groups: servers that shall stand on one host, or on different ones.

Wire: /os-server-groups, https://docs.openstack.org/api-ref/compute/#server-groups-os-server-groups
"""

from typing import Any

from sqlalchemy import select

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.fields import BodySchema
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import model
from ..errors import QuotaExceeded, ServerGroupNotFound, ServerGroupQuotaExceeded
from ..quotas import QUOTAS
from .arguments import at_least, check_query
from .schemas import NAME, closed
from .terms import ADMIN, MEMBER, READER, rules

_RULE = "os_compute_api:os-server-groups:"
_HARD = ["anti-affinity", "affinity"]
_SOFT = ["soft-anti-affinity", "soft-affinity"]
_WORDING = "Invalid input for field/attribute %(path)s. Value: %(value)s. %(reason)s"


def _listed(policies: list[str]) -> BodySchema:
    """Until 2.63 a list of exactly one policy."""
    one = {"type": "array", "items": {"enum": policies}, "minItems": 1, "maxItems": 1}
    return BodySchema(
        closed({"server_group": closed({"name": NAME, "policies": one}, "name", "policies")}, "server_group"),
        _WORDING,
    )


_FIRST, _SOFTER = _listed(_HARD), _listed(_HARD + _SOFT)
_SINGLE = BodySchema(
    closed(
        {
            "server_group": closed(
                {
                    "name": NAME,
                    "policy": {"enum": _HARD + _SOFT},
                    "rules": closed(
                        {
                            "max_server_per_host": {
                                "type": ["integer", "string"],
                                "pattern": "^[0-9]*$",
                                "minimum": 1,
                                "minLength": 1,
                            }
                        }
                    ),
                },
                "name",
                "policy",
            )
        },
        "server_group",
    ),
    _WORDING,
)


class ServerGroup(Resource):
    extra_rules = rules(
        (_RULE + "index", READER),
        (_RULE + "index:all_projects", ADMIN),
        (_RULE + "show", READER),
        (_RULE + "create", MEMBER),
        (_RULE + "delete", MEMBER),
    )

    @route("GET", "/os-server-groups", policy=_RULE + "index")
    async def index(self, req: Request) -> dict[str, Any]:
        check_query(req, {"all_projects", "limit", "offset"})
        where: dict[str, Any] | None = {"project_id": req.context.project_id}
        if "all_projects" in req.query and req.context.is_admin:
            req.check(_RULE + "index:all_projects")
            where = None
        rows = await req.db.all(model.SERVER_GROUPS, where, order="created_at")
        first, limit = _number(req, "offset", 0), _number(req, "limit", 1000)
        rows = rows[first : first + limit]
        members = await _members(req, rows)
        return {"server_groups": [_view(req, row, members[row.id]) for row in rows]}

    @route("GET", "/os-server-groups/{group_id}")
    async def show_one(self, req: Request, group_id: str) -> dict[str, Any]:
        row = await self._find(req, group_id, "show")
        return {"server_group": _view(req, row, (await _members(req, [row]))[row.id])}

    @route("POST", "/os-server-groups", policy=_RULE + "create")
    async def make(self, req: Request) -> dict[str, Any]:
        schema = _SINGLE if at_least(req, 64) else _SOFTER if at_least(req, 15) else _FIRST
        schema.check(req.body)
        asked = req.body["server_group"]
        policy = asked["policy"] if at_least(req, 64) else asked["policies"][0]
        limits = {name: int(value) for name, value in asked.get("rules", {}).items()}
        if limits and policy != "anti-affinity":
            raise BadRequest("Only anti-affinity policy supports rules.")
        if any(value < 1 for value in limits.values()):
            raise BadRequest("max_server_per_host must be at least 1.")
        async with req.db.transaction() as tx:
            try:
                await QUOTAS.check(tx, req.context.project_id or "", {"server_groups": 1})
            except QuotaExceeded:
                raise ServerGroupQuotaExceeded from None
            row = await tx.insert(
                model.SERVER_GROUPS,
                project_id=req.context.project_id,
                user_id=req.context.user_id,
                name=asked["name"],
                policy=policy,
                rules=limits,
            )
        req.resource_id = row.id
        return {"server_group": _view(req, row, [])}

    @route("DELETE", "/os-server-groups/{group_id}")
    async def remove(self, req: Request, group_id: str) -> Response:
        """Its members stay where they are, and belong to no group any more."""
        row = await self._find(req, group_id, "delete")
        async with req.db.transaction() as tx:
            await tx.delete(model.SERVER_GROUPS, id=row.id)
            await tx.update(model.SERVERS, {"server_group_id": row.id}, server_group_id=None)
        return Response(None, 204)

    async def _find(self, req: Request, group_id: str, verb: str) -> Row:
        row = await req.db.find(model.SERVER_GROUPS, id=group_id)
        if row is None or (row.project_id != req.context.project_id and not req.context.is_admin):
            raise ServerGroupNotFound(id=group_id)
        req.check(_RULE + verb, row)
        req.resource_id = row.id
        return row


async def _members(req: Request, groups: list[Row]) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {group.id: [] for group in groups}
    servers = model.SERVERS.c
    rows = await req.db.fetch(
        select(servers.id, servers.server_group_id)
        .where(servers.server_group_id.in_(list(members)), servers.state != "deleted")
        .order_by(servers.created_at)
    )
    for row in rows:
        members[row.server_group_id].append(row.id)
    return members


def _number(req: Request, name: str, default: int) -> int:
    text = req.argument(name)
    if text is None:
        return default
    if not text.isdigit():
        raise BadRequest(f"Invalid input for query parameters {name}. Value: {text}.")
    return int(text)


def _view(req: Request, row: Row, members: list[str]) -> dict[str, Any]:
    view: dict[str, Any] = {"id": row.id, "name": row.name, "members": members}
    if at_least(req, 64):
        view |= {"policy": row.policy, "rules": row.rules}
    else:
        view |= {"policies": [row.policy], "metadata": {}}
    if at_least(req, 13):
        view |= {"project_id": row.project_id, "user_id": row.user_id}
    return view
