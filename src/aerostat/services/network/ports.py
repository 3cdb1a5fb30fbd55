"""Ports as several resources make and unmake them: legs of routers, floating IPs' places, a network's own port.

Each network whose subnets are served with DHCP has one port of its own (`network:distributed`, as upstream's OVN
driver has it): behind its address every host answers metadata, and guests are told a route there. It comes with the
first such subnet and goes with the last, and it never keeps a network or subnet from being deleted.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from aerostat.kernel.db import Duplicate, Row, Transaction

from . import addresses
from .changes import touch, touch_ports
from .errors import IpAddressGenerationFailure, MacAddressInUse
from .model import ADDRESSES, FLOATING_IPS, NETWORKS, PORT_GROUPS, PORTS, SUBNETS

INTERFACE = "network:router_interface"
GATEWAY = "network:router_gateway"
FLOATING = "network:floatingip"
METADATA = "network:distributed"
DHCP = "network:dhcp"
AUTOMATIC_OWNERS = (METADATA, DHCP)  # these go by themselves
MANAGED_OWNERS = (INTERFACE, GATEWAY, FLOATING)  # these go with what made them
MIGRATING_TO = (
    "migrating_to"  # the key in a binding's profile that names the host a port's guest is moving to
)
_NO_LIMIT = 1_000


async def insert_port(
    tx: Transaction,
    network: Row,
    values: dict[str, Any],
    *,
    fixed: Sequence[addresses.Fixed] | None,
    groups: Sequence[str] = (),
    limit: int = _NO_LIMIT,
) -> Row:
    """A new port with its addresses and groups; `fixed` as in `addresses.assign`. The row carries both."""
    await tx.lock(f"network.addresses.{network.id}")
    if not values.get("mac_address"):
        values["mac_address"] = await _free_mac(tx, network.id)
    try:
        port = await tx.insert(PORTS, network_id=network.id, **values)
    except Duplicate as error:
        raise MacAddressInUse(net_id=network.id, mac=values["mac_address"]) from error
    port["fixed_ips"] = await addresses.assign(tx, port, fixed, limit=limit)
    port["security_groups"] = list(groups)
    for group_id in groups:
        await tx.insert(PORT_GROUPS, port_id=port.id, security_group_id=group_id)
    await touch_ports(tx, port)
    return port


async def insert_service_port(
    tx: Transaction,
    network: Row,
    owner: str,
    device_id: str,
    *,
    fixed: Sequence[addresses.Fixed] | None,
    project_id: str = "",
    name: str = "",
) -> Row:
    """A port that the cloud itself uses: no groups, no port security."""
    values = {
        "project_id": project_id,
        "name": name,
        "device_owner": owner,
        "device_id": device_id,
        "port_security_enabled": False,
    }
    return await insert_port(tx, network, values, fixed=fixed)


async def delete_port(tx: Transaction, port: Row) -> None:
    """Take a port away with all that stands on it; its floating IPs stay, without a target."""
    for floating in await tx.all(FLOATING_IPS, {"port_id": port.id}):
        await release_floating(tx, floating)
    await addresses.release(tx, port.id)
    await tx.delete(PORT_GROUPS, port_id=port.id)
    await tx.delete(PORTS, id=port.id)
    await touch_ports(tx, port)


async def release_floating(tx: Transaction, floating: Row) -> None:
    """A floating IP that leads nowhere from now on."""
    await touch_ports(tx, *await tx.all(PORTS, {"id": floating.port_id}))
    await tx.update(
        FLOATING_IPS,
        {"id": floating.id},
        port_id=None,
        fixed_ip_address=None,
        router_id=None,
        status="DOWN",
        revision_number=floating.revision_number + 1,
    )
    await touch(tx, "floating_ip", floating.id)


async def fit_metadata_port(tx: Transaction, network_id: str) -> None:
    """Give the network's own port an address in each IPv4 subnet with DHCP, and in no other."""
    served = await tx.all(
        SUBNETS, {"network_id": network_id, "ip_version": 4, "enable_dhcp": True}, order="created_at"
    )
    port = await tx.find(PORTS, network_id=network_id, device_owner=METADATA)
    if port is None:
        if served:
            network = await tx.get(NETWORKS, id=network_id)
            port = await insert_service_port(
                tx, network, METADATA, f"ovnmeta-{network_id}", project_id=network.project_id, fixed=[]
            )
            await _address(tx, port, served)
        return
    if not served:
        await delete_port(tx, port)
        return
    had = {row.subnet_id: row for row in await tx.all(ADDRESSES, {"port_id": port.id})}
    wanted = {subnet.id for subnet in served}
    if had.keys() == wanted:
        return
    for subnet_id, row in had.items():
        if subnet_id not in wanted:
            await tx.delete(ADDRESSES, subnet_id=subnet_id, ip_address=row.ip_address)
    await _address(tx, port, [subnet for subnet in served if subnet.id not in had])
    await touch(tx, "port", port.id)


async def _address(tx: Transaction, port: Row, subnets: Sequence[Row]) -> None:
    """An address in each; a subnet that is full already goes without metadata."""
    for subnet in subnets:
        try:
            await addresses.assign(tx, port, [{"subnet_id": subnet.id}], limit=1, subnets=[subnet])
        except IpAddressGenerationFailure:
            continue
        await touch(tx, "subnet", subnet.id)


async def _free_mac(tx: Transaction, network_id: str) -> str:
    while True:
        mac = "fa:16:3e:" + secrets.token_bytes(3).hex(":")
        if not await tx.count(PORTS, network_id=network_id, mac_address=mac):
            return mac
