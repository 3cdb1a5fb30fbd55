"""Hosts as their operator wants to see them: what upstream's APIs tell in three places, and what they have no word for.

Not an upstream API: `GET /compute/hosts`, read by `aerostat host list`.
"""

from typing import Any

from sqlalchemy import func, select

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import iso_z

from .. import model
from ..hosts import MOST_SKEW_S, clock_is_off
from ..room import room_of
from .terms import ADMIN, rules

_RULE = "aerostat:hosts:list"


class Host(Resource):
    below_bases = False
    extra_rules = rules((_RULE, ADMIN))

    @route("GET", "/hosts", policy=_RULE)
    async def index(self, req: Request) -> dict[str, Any]:
        servers = model.SERVERS.c
        counted = (
            select(servers.host, func.count().label("total"))
            .where(servers.host.is_not(None), servers.state != "deleted")
            .group_by(servers.host)
        )
        counts = {row.host: row.total for row in await req.db.fetch(counted)}
        room = room_of(req.house)
        hosts = []
        for host in await req.db.all(model.HOSTS, order="name"):
            remarks = []
            if host.disabled:
                remarks.append(host.disabled_reason or "disabled")
            if abs(host.skew_s) > MOST_SKEW_S:
                remarks.append(f"clock: {clock_is_off(host.skew_s)}")
            if not room.is_up(host):
                remarks.append(f"last heard of at {iso_z(host.seen_at)}")
            hosts.append(
                {
                    "host": host.name,
                    "state": "up" if room.is_up(host) else "down",
                    "enabled": not host.disabled,
                    "servers": counts.get(host.name, 0),
                    "version": host.version,
                    "protocol": host.protocol,
                    "remark": "; ".join(remarks),
                }
            )
        return {"hosts": hosts}
