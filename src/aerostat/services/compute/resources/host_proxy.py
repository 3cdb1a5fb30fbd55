"""Hosts as the compute API showed them until 2.42; services and hypervisors show the same since then.

Wire: /os-hosts, https://docs.openstack.org/api-ref/compute/#hosts-os-hosts-deprecated
The control side is listed as one host more, as upstream's other services are.
"""

from collections import defaultdict
from typing import Any

from sqlalchemy import select

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, NotImplementedHere
from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from .. import model
from ..errors import HostNotFound
from ..room import room_of
from .schemas import closed
from .terms import ADMIN, rules

_RULE = "os_compute_api:os-hosts:"
_SWITCH = {"type": "string", "pattern": "(?i)^ *(enable|disable) *$"}
_CHANGE = {**closed({"status": _SWITCH, "maintenance_mode": _SWITCH}), "minProperties": 1}
_INTERNAL = {"host_name": "control", "service": "conductor", "zone": "internal"}


class HostProxy(Resource):
    extra_rules = rules(
        *((_RULE + verb, ADMIN) for verb in ("list", "show", "update", "reboot", "shutdown", "start"))
    )

    @route("GET", "/os-hosts", policy=_RULE + "list", until="2.42")
    async def index(self, req: Request) -> dict[str, Any]:
        zones = await room_of(req.house).zones()
        hosts = [
            _INTERNAL,
            *({"host_name": name, "service": "compute", "zone": zones[name]} for name in sorted(zones)),
        ]
        zone = req.argument("zone")
        return {"hosts": [host for host in hosts if not zone or host["zone"] == zone]}

    @route("GET", "/os-hosts/{name}", policy=_RULE + "show", until="2.42")
    async def show_one(self, req: Request, name: str) -> dict[str, Any]:
        """What the host has, what is used of it, what was promised, and what each project has of that."""
        host = await _find(req, name)
        servers = model.SERVERS.c
        rows = await req.db.fetch(
            select(servers.project_id, servers.flavor).where(servers.host == name, servers.state != "deleted")
        )
        shares: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            shares[row.project_id].append(row.flavor)
        promised = [row.flavor for row in rows]
        facts = host.facts
        return {
            "host": [
                _resource(name, "(total)", facts["vcpus"], facts["memory_mib"], facts["disk_gib"]),
                _share(name, "(used_now)", promised),
                _share(name, "(used_max)", promised),
                *(_share(name, project_id, flavors) for project_id, flavors in sorted(shares.items())),
            ]
        }

    @route("PUT", "/os-hosts/{name}", policy=_RULE + "update", until="2.42", body=_CHANGE)
    async def change(self, req: Request, name: str) -> dict[str, Any]:
        host = await _find(req, name)
        asked = {key: value.strip().lower() for key, value in req.body.items()}
        if "maintenance_mode" in asked:
            raise NotImplementedHere("Virt driver does not implement host maintenance mode.")
        if "status" not in asked:
            raise BadRequest("No updates were requested.")
        disabled = asked["status"] == "disable"
        await req.db.update(model.HOSTS, {"id": host.id}, disabled=disabled, disabled_reason=None)
        return {"host": name, "status": "disabled" if disabled else "enabled"}

    @route("GET", "/os-hosts/{name}/startup", policy=_RULE + "start", until="2.42")
    async def startup(self, req: Request, name: str) -> None:
        await _refuse_power(req, name)

    @route("GET", "/os-hosts/{name}/shutdown", policy=_RULE + "shutdown", until="2.42")
    async def shut_down(self, req: Request, name: str) -> None:
        await _refuse_power(req, name)

    @route("GET", "/os-hosts/{name}/reboot", policy=_RULE + "reboot", until="2.42")
    async def reboot(self, req: Request, name: str) -> None:
        await _refuse_power(req, name)


async def _find(req: Request, name: str) -> Row:
    host = await req.db.find(model.HOSTS, name=name)
    if host is None:
        raise HostNotFound(id=name)
    return host


async def _refuse_power(req: Request, name: str) -> None:
    """As upstream with libvirt: a host's power is not the hypervisor's to switch."""
    await _find(req, name)
    raise NotImplementedHere("Virt driver does not implement host power management.")


def _share(host: str, whose: str, flavors: list[dict[str, Any]]) -> dict[str, Any]:
    disk = sum(flavor["disk_gib"] + flavor["ephemeral_gib"] for flavor in flavors)
    vcpus, memory = (sum(flavor[name] for flavor in flavors) for name in ("vcpus", "memory_mib"))
    return _resource(host, whose, vcpus, memory, disk)


def _resource(host: str, whose: str, vcpus: int, memory_mib: int, disk_gib: int) -> dict[str, Any]:
    row = {"host": host, "project": whose, "cpu": vcpus, "memory_mb": memory_mib, "disk_gb": disk_gib}
    return {"resource": row}
