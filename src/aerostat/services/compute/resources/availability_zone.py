"""Availability zones: names of groups of hosts, made by aggregates that carry one.

Wire: /os-availability-zone, https://docs.openstack.org/api-ref/compute/#availability-zones-os-availability-zone
"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import iso_micro

from .. import model
from ..room import room_of
from .terms import ADMIN, READER, rules

_RULE = "os_compute_api:os-availability-zone:"


class AvailabilityZone(Resource):
    extra_rules = rules((_RULE + "list", READER), (_RULE + "detail", ADMIN))

    @route("GET", "/os-availability-zone", policy=_RULE + "list")
    async def index(self, req: Request) -> dict[str, Any]:
        return {"availabilityZoneInfo": await self._zones(req, detail=False)}

    @route("GET", "/os-availability-zone/detail", policy=_RULE + "detail")
    async def detail(self, req: Request) -> dict[str, Any]:
        return {"availabilityZoneInfo": await self._zones(req, detail=True)}

    async def _zones(self, req: Request, *, detail: bool) -> list[dict[str, Any]]:
        """A zone is available while any host of it takes servers."""
        room = room_of(req.house)
        zones = await room.zones()
        hosts = {host.name: host for host in await req.db.all(model.HOSTS, order="name")}
        shown = []
        for zone in sorted(set(zones.values()) or {room.config.zone}):
            members = [host for name, host in hosts.items() if zones[name] == zone]
            entry: dict[str, Any] = {
                "zoneName": zone,
                "zoneState": {"available": any(not host.disabled for host in members)},
                "hosts": None,
            }
            if detail:
                entry["hosts"] = {
                    host.name: {
                        "nova-compute": {
                            "available": room.is_up(host),
                            "active": not host.disabled,
                            "updated_at": iso_micro(host.seen_at),
                        }
                    }
                    for host in members
                }
            shown.append(entry)
        return shown
