"""Security groups of a server: those of its ports, shown as older clients know them.

Wire: GET /servers/{id}/os-security-groups, https://docs.openstack.org/api-ref/compute/#list-security-groups-by-server
"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from .. import networking
from ..room import room_of
from .server.lookup import find_for
from .terms import READER, rules

_RULE = "os_compute_api:os-security-groups:list"


class ServerSecurityGroups(Resource):
    extra_rules = rules((_RULE, READER))

    @route("GET", "/servers/{server_id}/os-security-groups")
    async def index(self, req: Request, server_id: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _RULE)
        admin = room_of(req.house).network_admin(req.request_id)
        ports = (await networking.ports_of(admin, [server.id]))[server.id]
        wanted = sorted({group for port in ports for group in port.get("security_groups") or ()})
        groups = await admin.list_security_groups(id=wanted) if wanted else []
        return {"security_groups": [_view(group) for group in groups]}


def _view(group: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": group["id"],
        "name": group["name"],
        "description": group.get("description") or "",
        "tenant_id": group["project_id"],
        "rules": [
            _rule(group, rule)
            for rule in group.get("security_group_rules") or ()
            if rule.get("direction") == "ingress"
        ],
    }


def _rule(group: dict[str, Any], rule: dict[str, Any]) -> dict[str, Any]:
    """A rule of the network room in the compute API's older words."""
    prefix = rule.get("remote_ip_prefix")
    if prefix is None and rule.get("remote_group_id") is None:
        prefix = "::/0" if rule.get("ethertype") == "IPv6" else "0.0.0.0/0"
    return {
        "id": rule["id"],
        "parent_group_id": group["id"],
        "ip_protocol": rule.get("protocol"),
        "from_port": rule.get("port_range_min"),
        "to_port": rule.get("port_range_max"),
        "group": {},
        "ip_range": {"cidr": prefix} if prefix is not None else {},
    }
