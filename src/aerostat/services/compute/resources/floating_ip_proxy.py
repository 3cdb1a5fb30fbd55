"""Floating IPs as the compute API showed them until 2.35, asked of the network room in the caller's name.

Wire: /os-floating-ips and /os-floating-ip-pools,
https://docs.openstack.org/api-ref/compute/#floating-ips-os-floating-ips-deprecated
A pool is an external network. The two actions on servers went later, with 2.44 (`server/actions/floating_ip.py`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from aerostat.kernel.errors import NotFound
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .room_errors import check_id, refusals_relayed
from .schemas import NOTHING, closed
from .terms import MEMBER, READER, rules

_RULE = "os_compute_api:os-floating-ips:"
_POOLS_RULE = "os_compute_api:os-floating-ip-pools"
_NEW = {"anyOf": [closed({"pool": {"type": ["string", "null"]}}), NOTHING]}


class FloatingIpProxy(Resource):
    extra_rules = rules(
        (_RULE + "list", READER),
        (_RULE + "show", READER),
        (_RULE + "create", MEMBER),
        (_RULE + "delete", MEMBER),
        (_POOLS_RULE, READER),
    )

    @route("GET", "/os-floating-ip-pools", policy=_POOLS_RULE, until="2.35")
    async def pools(self, req: Request) -> dict[str, Any]:
        return {"floating_ip_pools": [{"name": one["name"]} for one in await _external(req)]}

    @route("GET", "/os-floating-ips", policy=_RULE + "list", until="2.35")
    async def index(self, req: Request) -> dict[str, Any]:
        mine = await req.client("network").list_floating_ips(project_id=req.context.project_id)
        return {"floating_ips": await _views(req, mine)}

    @route("GET", "/os-floating-ips/{floating_ip_id}", policy=_RULE + "show", until="2.35")
    async def show_one(self, req: Request, floating_ip_id: str) -> dict[str, Any]:
        return await _shown(req, await _find(req, floating_ip_id))

    @route("POST", "/os-floating-ips", policy=_RULE + "create", until="2.35", body=_NEW)
    async def allocate(self, req: Request) -> dict[str, Any]:
        wanted = (req.body or {}).get("pool")
        pools = [one for one in await _external(req) if wanted in (None, one["id"], one["name"])]
        if not pools:
            raise NotFound("Floating IP pool not found.")
        with refusals_relayed():
            made = await req.client("network").create_floating_ip(floating_network_id=pools[0]["id"])
        return await _shown(req, made)

    @route("DELETE", "/os-floating-ips/{floating_ip_id}", policy=_RULE + "delete", until="2.35")
    async def release(self, req: Request, floating_ip_id: str) -> Response:
        await _find(req, floating_ip_id)
        with refusals_relayed():
            await req.client("network").delete_floating_ip(floating_ip_id)
        return Response(None, 202)


async def _find(req: Request, floating_ip_id: str) -> dict[str, Any]:
    check_id("Floating IP", floating_ip_id)
    with refusals_relayed():
        found: dict[str, Any] = await req.client("network").get_floating_ip(floating_ip_id)
    return found


async def _external(req: Request) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await req.client("network").list_networks(**{"router:external": True})
    return found


async def _shown(req: Request, floating_ip: Mapping[str, Any]) -> dict[str, Any]:
    return {"floating_ip": (await _views(req, [floating_ip]))[0]}


async def _views(req: Request, floating_ips: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """With the names of their networks, and the servers whose ports they lead to."""
    several = list(floating_ips)
    if not several:
        return []
    client = req.client("network")
    pools = {one["id"]: one["name"] for one in await _external(req)}
    port_ids = sorted({one["port_id"] for one in several if one.get("port_id")})
    ports = {one["id"]: one for one in await client.list_ports(id=port_ids)} if port_ids else {}
    return [
        {
            "id": one["id"],
            "ip": one["floating_ip_address"],
            "fixed_ip": one.get("fixed_ip_address"),
            "instance_id": ports.get(one.get("port_id"), {}).get("device_id") or None,
            "pool": pools.get(one["floating_network_id"], one["floating_network_id"]),
        }
        for one in several
    ]
