"""Aggregates: sets of hosts with metadata, by which zones are made and flavors find their hosts.

Wire: /os-aggregates, https://docs.openstack.org/api-ref/compute/#host-aggregates-os-aggregates
"""

import secrets
from typing import Any

from aerostat.kernel import ids
from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.errors import BadRequest, Conflict
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, action, route
from aerostat.kernel.service import iso_micro

from .. import imaging, model
from ..errors import AggregateNotFound, HostNotFound
from ..host.orders import EnsureImage, topic_of
from ..room import room_of
from .arguments import at_least
from .schemas import HOST, NAME, UUID, closed
from .terms import ADMIN, rules

_RULE = "os_compute_api:os-aggregates:"
_ZONE = {"oneOf": [{**NAME, "pattern": r"^[^:\s][^:]*$"}, {"type": "null"}]}
_CREATE = closed({"aggregate": closed({"name": NAME, "availability_zone": _ZONE}, "name")}, "aggregate")
_UPDATE = closed(
    {"aggregate": {**closed({"name": NAME, "availability_zone": _ZONE}), "minProperties": 1}}, "aggregate"
)
_CACHE = closed({"cache": {"type": "array", "minItems": 1, "items": closed({"id": UUID}, "id")}}, "cache")
_METADATA = {
    "type": "object",
    "patternProperties": {r"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": ["string", "null"], "maxLength": 255}},
    "additionalProperties": False,
}


@action("add_host", policy=_RULE + "add_host", default=ADMIN, body=closed({"host": HOST}, "host"), status=200)
async def add_host(req: Request, aggregate: Row, body: dict[str, str]) -> dict[str, Any]:
    name = body["host"]
    if await req.db.find(model.HOSTS, name=name) is None:
        raise HostNotFound(id=name)
    if name in aggregate.hosts:
        raise Conflict(f"Cannot add host {name} in aggregate {aggregate.id}: host exists")
    zone = aggregate.metadata.get("availability_zone")
    if zone is not None:
        others = await req.db.all(model.AGGREGATES)
        for other in others:
            theirs = other.metadata.get("availability_zone")
            if name in other.hosts and theirs is not None and theirs != zone:
                raise Conflict(
                    f"Cannot add host to aggregate {aggregate.id}. Reason: Host {name} already in "
                    f"availability zone {theirs}."
                )
    return await _change(req, aggregate, hosts=[*aggregate.hosts, name])


@action(
    "remove_host",
    policy=_RULE + "remove_host",
    default=ADMIN,
    body=closed({"host": HOST}, "host"),
    status=200,
)
async def remove_host(req: Request, aggregate: Row, body: dict[str, str]) -> dict[str, Any]:
    name = body["host"]
    if name not in aggregate.hosts:
        raise AggregateNotFound(f"Cannot remove host {name} in aggregate {aggregate.id}: not found")
    return await _change(req, aggregate, hosts=[host for host in aggregate.hosts if host != name])


@action(
    "set_metadata",
    policy=_RULE + "set_metadata",
    default=ADMIN,
    body=closed({"metadata": _METADATA}, "metadata"),
    status=200,
)
async def set_metadata(req: Request, aggregate: Row, body: dict[str, Any]) -> dict[str, Any]:
    """A key with null goes."""
    changed = {**aggregate.metadata, **body["metadata"]}
    kept = {key: value for key, value in changed.items() if value is not None}
    await _check_zone(req, aggregate, kept.get("availability_zone"))
    return await _change(req, aggregate, metadata=kept)


class Aggregate(Resource):
    path = "/os-aggregates/{aggregate_id}"
    table = model.AGGREGATES
    project_column = None
    verbs = ()
    actions = (add_host, remove_host, set_metadata)
    extra_rules = rules(
        ("compute:aggregates:images", ADMIN),
        *((_RULE + verb, ADMIN) for verb in ("index", "show", "create", "update", "delete")),
    )

    @route("GET", "/os-aggregates", policy=_RULE + "index")
    async def index(self, req: Request) -> dict[str, Any]:
        rows = await req.db.all(model.AGGREGATES, order="created_at")
        return {"aggregates": [_view(req, row) for row in rows]}

    @route("GET", "/os-aggregates/{aggregate_id}", policy=_RULE + "show")
    async def show_one(self, req: Request, aggregate_id: str) -> dict[str, Any]:
        return {"aggregate": _view(req, await self.find(req, aggregate_id))}

    @route("POST", "/os-aggregates", policy=_RULE + "create", body=_CREATE)
    async def make(self, req: Request) -> dict[str, Any]:
        asked = req.body["aggregate"]
        zone = asked.get("availability_zone")
        try:
            row = await req.db.insert(
                model.AGGREGATES,
                id=secrets.randbelow(2**31 - 1) + 1,
                uuid=ids.new_id(),
                name=asked["name"],
                metadata={"availability_zone": zone} if zone is not None else {},
            )
        except Duplicate:
            raise Conflict(f"Aggregate {asked['name']} already exists.") from None
        view = _view(req, row)
        del view["hosts"], view["metadata"]  # upstream leaves them out here, and here alone
        return {"aggregate": view}

    @route("PUT", "/os-aggregates/{aggregate_id}", policy=_RULE + "update", body=_UPDATE)
    async def change(self, req: Request, aggregate_id: str) -> dict[str, Any]:
        row = await self.find(req, aggregate_id)
        asked, changes = req.body["aggregate"], {}
        if "name" in asked:
            changes["name"] = asked["name"]
        if asked.get("availability_zone") is not None:
            await _check_zone(req, row, asked["availability_zone"])
            changes["metadata"] = {**row.metadata, "availability_zone": asked["availability_zone"]}
        try:
            return await _change(req, row, **changes)
        except Duplicate:
            raise Conflict(f"Aggregate {asked['name']} already exists.") from None

    @route("DELETE", "/os-aggregates/{aggregate_id}", policy=_RULE + "delete")
    async def remove(self, req: Request, aggregate_id: str) -> Response:
        row = await self.find(req, aggregate_id)
        if row.hosts:
            raise BadRequest(f"Cannot delete aggregate {row.id}: Host aggregate is not empty.")
        await req.db.delete(model.AGGREGATES, id=row.id)
        return Response(None, 200)

    @route(
        "POST",
        "/os-aggregates/{aggregate_id}/images",
        policy="compute:aggregates:images",
        since="2.81",
        body=_CACHE,
    )
    async def fetch_images(self, req: Request, aggregate_id: str) -> Response:
        """Let the hosts fetch images before somebody waits for them. A host that is away does it never."""
        row = await self.find(req, aggregate_id)
        wanted = [await imaging.get_image(req.house, req.context, one["id"]) for one in req.body["cache"]]
        for host in row.hosts:
            for image in wanted:
                order = EnsureImage(imaging.spec_of(image))
                await req.house.bus.cast(topic_of(host), "ensure_image", order, request_id=req.request_id)
        return Response(None, 202)

    async def find(self, req: Request, id: str) -> Row:
        if not id.removeprefix("-").isdigit():
            raise BadRequest(f"Invalid aggregate id {id}")
        row = None
        if id.isdigit() and int(id) < 2**31:
            row = await req.db.find(model.AGGREGATES, id=int(id))
        if row is None:
            raise AggregateNotFound(id=id)
        return row


async def _change(req: Request, aggregate: Row, **columns: Any) -> dict[str, Any]:
    if columns:
        await req.db.update(model.AGGREGATES, {"id": aggregate.id}, **columns)
    return {"aggregate": _view(req, await req.db.get(model.AGGREGATES, id=aggregate.id))}


async def _check_zone(req: Request, aggregate: Row, zone: str | None) -> None:
    """Hosts that carry servers do not change their zone."""
    if zone == aggregate.metadata.get("availability_zone") or not aggregate.hosts:
        return
    zones = await room_of(req.house).zones()
    servers = await req.db.all(model.SERVERS, {"host": aggregate.hosts})
    moved = [one for one in servers if one.state != "deleted" and zones.get(one.host) != zone]
    if moved:
        raise BadRequest("One or more hosts contain instances in this zone")


def _view(req: Request, row: Row) -> dict[str, Any]:
    view = {
        "id": row.id,
        "name": row.name,
        "availability_zone": row.metadata.get("availability_zone"),
        "hosts": row.hosts,
        "metadata": row.metadata,
        "created_at": iso_micro(row.created_at),
        "updated_at": iso_micro(row.updated_at) if row.updated_at else None,
        "deleted": False,
        "deleted_at": None,
    }
    if at_least(req, 41):
        view["uuid"] = row.uuid
    return view
