"""Security groups of a server: those of its ports, shown as older clients know them.

Wire: GET /servers/{id}/os-security-groups, https://docs.openstack.org/api-ref/compute/#list-security-groups-by-server
"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from .. import networking
from ..room import room_of
from .security_group_proxy import group_view
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
        return {"security_groups": [group_view(group, {}) for group in groups]}
