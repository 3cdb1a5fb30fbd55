"""Networks as the compute API showed them until 2.35, asked of the network room in the caller's name.

Wire: /os-networks and /os-tenant-networks,
https://docs.openstack.org/api-ref/compute/#networks-os-networks-deprecated
Only reading: what made and changed networks here went with the network service that compute once had itself.
"""

from typing import Any

from aerostat.kernel.client import RoomError
from aerostat.kernel.errors import NotFound
from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from .. import networking
from .terms import READER, rules

_RULE = "os_compute_api:os-networks:"
_TENANT_RULE = "os_compute_api:os-tenant-networks:"

# What networks of old had and those of today have not: null for administrators, absent for others.
_OF_OLD = ("bridge", "bridge_interface", "broadcast", "cidr", "cidr_v6", "created_at", "deleted", "deleted_at",
           "dhcp_server", "dhcp_start", "dns1", "dns2", "enable_dhcp", "gateway", "gateway_v6", "host",
           "injected", "mtu", "multi_host", "netmask", "netmask_v6", "priority", "rxtx_base", "share_address",
           "updated_at", "vlan", "vpn_private_address", "vpn_public_address", "vpn_public_port")  # fmt: skip


class NetworkProxy(Resource):
    extra_rules = rules(
        (_RULE + "list", READER),
        (_RULE + "show", READER),
        (_TENANT_RULE + "list", READER),
        (_TENANT_RULE + "show", READER),
    )

    @route("GET", "/os-networks", policy=_RULE + "list", until="2.35")
    async def index(self, req: Request) -> dict[str, Any]:
        return {"networks": [_view(req, one) for one in await req.client("network").list_networks()]}

    @route("GET", "/os-networks/{network_id}", policy=_RULE + "show", until="2.35")
    async def show_one(self, req: Request, network_id: str) -> dict[str, Any]:
        return {"network": _view(req, await _find(req, network_id))}

    @route("GET", "/os-tenant-networks", policy=_TENANT_RULE + "list", until="2.35")
    async def of_project(self, req: Request) -> dict[str, Any]:
        """Those that servers of the project may have."""
        usable = await networking.usable_networks(req.client("network"), req.context.project_id or "")
        return {"networks": [_tenant_view(one) for one in usable]}

    @route("GET", "/os-tenant-networks/{network_id}", policy=_TENANT_RULE + "show", until="2.35")
    async def show_of_project(self, req: Request, network_id: str) -> dict[str, Any]:
        return {"network": _tenant_view(await _find(req, network_id))}


async def _find(req: Request, network_id: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = await req.client("network").get_network(network_id)
    except RoomError as error:
        if error.status in (400, 404):
            raise NotFound("Network not found") from None
        raise
    return found


def _view(req: Request, network: dict[str, Any]) -> dict[str, Any]:
    shown = {"id": network["id"], "label": network["name"]}
    if req.context.is_admin:
        shown |= {**dict.fromkeys(_OF_OLD), "project_id": network["project_id"]}
    return shown


def _tenant_view(network: dict[str, Any]) -> dict[str, Any]:
    return {"id": network["id"], "label": network["name"], "cidr": None}
