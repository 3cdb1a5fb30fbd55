"""How many addresses each network has, and how many are taken.

https://docs.openstack.org/api-ref/network/v2/#network-ip-availability-and-usage-stats
"""

import ipaddress
from collections import Counter, defaultdict
from typing import Any

from sqlalchemy import func, select

from aerostat.kernel.db import Row
from aerostat.kernel.http import Request
from aerostat.kernel.policy import admin
from aerostat.kernel.resource import Resource, route

from ..errors import NetworkNotFound, refuse_value
from ..model import ADDRESSES, NETWORKS, SUBNETS

_COLUMNS = {"network_id": "id", "network_name": "name", "tenant_id": "project_id", "project_id": "project_id"}


class IpAvailability(Resource):
    @route("GET", "/network-ip-availabilities")
    async def all(self, req: Request) -> dict[str, Any]:
        if not req.allows("get_network_ip_availability"):
            return {"network_ip_availabilities": []}
        where = {column: req.query[name] for name, column in _COLUMNS.items() if name in req.query}
        networks = await req.db.all(NETWORKS, where, order="id")
        version = req.argument("ip_version")
        if version not in (None, "4", "6"):
            raise refuse_value("ip_version", f"'{version}' is not in [4, 6]")
        views = await self._counted(req, networks, int(version) if version else None)
        return {"network_ip_availabilities": views}

    @route(
        "GET", "/network-ip-availabilities/{network_id}", policy="get_network_ip_availability", default=admin
    )
    async def one(self, req: Request, network_id: str) -> dict[str, Any]:
        networks = await req.db.all(NETWORKS, {"id": network_id})
        if not networks:
            raise NetworkNotFound(id=network_id)
        return {"network_ip_availability": (await self._counted(req, networks, None))[0]}

    async def _counted(self, req: Request, networks: list[Row], version: int | None) -> list[dict[str, Any]]:
        ids = [network.id for network in networks]
        subnets = defaultdict(list)
        for subnet in await req.db.all(SUBNETS, {"network_id": ids}, order="created_at") if ids else []:
            if version in (None, subnet.ip_version):
                subnets[subnet.network_id].append(subnet)
        count = func.count().label("used")
        counted = select(ADDRESSES.c.subnet_id, count).group_by(ADDRESSES.c.subnet_id)
        used = Counter({row.subnet_id: row.used for row in await req.db.fetch(counted)})
        return [_network_view(network, subnets[network.id], used) for network in networks]


def _network_view(network: Row, subnets: list[Row], used: Counter[str]) -> dict[str, Any]:
    views = [
        {
            "subnet_id": subnet.id,
            "subnet_name": subnet.name,
            "cidr": subnet.cidr,
            "ip_version": subnet.ip_version,
            "used_ips": used[subnet.id],
            "total_ips": _size(subnet),
        }
        for subnet in subnets
    ]
    return {
        "network_id": network.id,
        "network_name": network.name,
        "project_id": network.project_id,
        "tenant_id": network.project_id,
        "subnet_ip_availability": views,
        "used_ips": sum(view["used_ips"] for view in views),
        "total_ips": sum(view["total_ips"] for view in views),
    }


def _size(subnet: Row) -> int:
    return sum(
        int(ipaddress.ip_address(pool["end"])) - int(ipaddress.ip_address(pool["start"])) + 1
        for pool in subnet.allocation_pools
    )
