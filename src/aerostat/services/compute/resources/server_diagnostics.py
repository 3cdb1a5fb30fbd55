"""What a guest uses at this moment, and the password it left for its owner.

Wire: /servers/{id}/diagnostics and /servers/{id}/os-server-password,
https://docs.openstack.org/api-ref/compute/#servers-diagnostics-servers-diagnostics
"""

from typing import Any

from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import model
from ..room import room_of
from .arguments import at_least
from .server.lookup import check_has_host, check_state, find_for
from .terms import ADMIN, MEMBER, READER, rules

_RULE = "os_compute_api:os-server-diagnostics"
_PASSWORD = "os_compute_api:os-server-password:"


class ServerDiagnostics(Resource):
    extra_rules = rules((_RULE, ADMIN), (_PASSWORD + "show", READER), (_PASSWORD + "clear", MEMBER))

    @route("GET", "/servers/{server_id}/diagnostics")
    async def show_one(self, req: Request, server_id: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _RULE)
        check_state(server, "get_diagnostics", "active", "paused")
        room = room_of(req.house)
        guest = await room.host(check_has_host(server), req.request_id).find_guest(server.id)
        time_ns = int(guest.cpu_time_s * 1e9) if guest is not None else 0
        used_mib = guest.resident_mib if guest is not None else 0
        if not at_least(req, 48):
            return {
                "cpu0_time": time_ns,
                "memory": server.flavor["memory_mib"] * 1024,
                "memory-actual": server.flavor["memory_mib"] * 1024,
                "memory-rss": used_mib * 1024,
            }
        host = await req.db.get(model.HOSTS, name=server.host)
        return {
            "state": guest.state if guest is not None else "crashed",
            "driver": "libvirt",
            "hypervisor": host.facts["hypervisor_type"],
            "hypervisor_os": "linux",
            "uptime": None,
            "config_drive": server.config_drive,
            "num_cpus": server.flavor["vcpus"],
            "num_disks": 1,
            "num_nics": len(server.interfaces),
            "memory_details": {"maximum": server.flavor["memory_mib"], "used": used_mib},
            "cpu_details": [{"id": 0, "time": time_ns, "utilisation": None}],
            "disk_details": [],
            "nic_details": [_card(one) for one in server.interfaces],
        }

    @route("GET", "/servers/{server_id}/os-server-password")
    async def show_password(self, req: Request, server_id: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _PASSWORD + "show")
        return {"password": server.password_data or ""}

    @route("DELETE", "/servers/{server_id}/os-server-password")
    async def clear_password(self, req: Request, server_id: str) -> Response:
        server = await find_for(req, server_id, _PASSWORD + "clear")
        await req.db.update(model.SERVERS, {"id": server.id}, password_data=None)
        return Response(None, 204)


def _card(interface: dict[str, Any]) -> dict[str, Any]:
    """What is not measured is null, as the format allows."""
    counters = ("rx_octets", "rx_errors", "rx_drop", "rx_packets", "rx_rate",
                "tx_octets", "tx_errors", "tx_drop", "tx_packets", "tx_rate")  # fmt: skip
    return {"mac_address": interface["mac"], **dict.fromkeys(counters)}
