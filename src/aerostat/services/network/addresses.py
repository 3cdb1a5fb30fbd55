"""Which addresses a port gets, and who has which.

Choosing an address is done under a lock named for the network, so two choosers do not meet; the primary key of the
table is what makes it certain.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from aerostat.kernel.db import Duplicate, Row, Transaction

from .errors import (
    InvalidInput,
    InvalidIpForNetwork,
    InvalidIpForSubnet,
    IpAddressAlreadyAllocated,
    IpAddressGenerationFailure,
)
from .model import ADDRESSES, SUBNETS
from .values import Address, eui64

ROUTER_OWNERS = (
    "network:router_interface",
    "network:router_gateway",
    "network:ha_router_replicated_interface",
)
AUTOMATIC_MODES = ("slaac", "dhcpv6-stateless")
_NEAR = 16  # addresses of a pool that are looked at first; then one at 16, 32, 64 and so on

Fixed = Mapping[str, str]


def is_automatic(subnet: Row) -> bool:
    """Whether guests make their own addresses there, out of their MAC addresses."""
    return subnet.ipv6_address_mode in AUTOMATIC_MODES


async def assign(
    tx: Transaction,
    port: Row,
    asked: Sequence[Fixed] | None,
    *,
    limit: int,
    subnets: Sequence[Row] | None = None,
) -> list[dict[str, str]]:
    """Give `port` its addresses: those `asked` for, or (None) one of each IP version that its network has.

    Answers `[{"subnet_id": …, "ip_address": …}]`. Raises upstream's errors for addresses that are taken or do not
    belong there.
    """
    await tx.lock(f"network.addresses.{port.network_id}")
    if subnets is None:
        subnets = await tx.all(SUBNETS, {"network_id": port.network_id}, order="created_at")
    given: dict[int, dict[str, str]] = {}
    if asked is None:
        for place, (subnet, address) in enumerate(await _usual(tx, port, subnets)):
            given[place] = await _take(tx, port, subnet, address, place)
        return list(given.values())
    if len(asked) > limit:
        raise InvalidInput(error_message="Exceeded maximum amount of fixed ips per port")
    # Addresses that are named come first: no other choice may take them.
    for place, one in sorted(enumerate(asked), key=lambda item: "ip_address" not in item[1]):
        subnet, address = await _asked(tx, port, subnets, one)
        given[place] = await _take(tx, port, subnet, address, place)
    return [given[place] for place in sorted(given)]


async def add_automatic(tx: Transaction, port: Row, subnet: Row) -> str | None:
    """The address that a port of a network gets in a subnet made later. None if it has it already."""
    address = eui64(subnet.cidr, port.mac_address)
    if await tx.count(ADDRESSES, subnet_id=subnet.id, ip_address=address):
        return None
    await _take(tx, port, subnet, address, 100)
    return address


async def release(tx: Transaction, port_id: str) -> None:
    await tx.delete(ADDRESSES, port_id=port_id)


async def fixed_ips(tx: Any, port_ids: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """Port id → its addresses as the API shows them. `tx` may be the store."""
    found: dict[str, list[dict[str, str]]] = {port_id: [] for port_id in port_ids}
    if port_ids:
        for row in await tx.all(ADDRESSES, {"port_id": list(port_ids)}, order="place"):
            found[row.port_id].append({"subnet_id": row.subnet_id, "ip_address": row.ip_address})
    return found


async def find_free(tx: Transaction, subnet: Row) -> str | None:
    """An address of the subnet's pools that nobody has: the lowest where few are taken, else one behind a taken one.

    It looks at some addresses only, so a port costs the same in a subnet with thousands of them.
    """
    for pool in subnet.allocation_pools:
        first = ipaddress.ip_address(pool["start"])
        length = int(ipaddress.ip_address(pool["end"])) - int(first) + 1
        place = await _free_place(tx, subnet, first, length)
        if place is not None:
            return str(first + place)
    return None


async def _free_place(tx: Transaction, subnet: Row, first: Address, length: int) -> int | None:
    """How far behind `first` an address is free, if one of `length` is."""
    near = range(min(length, _NEAR))
    far = [_NEAR << step for step in range(length.bit_length()) if _NEAR << step < length]
    taken, free = await _look(tx, subnet, first, [*near, *far])
    if free is None:  # the pool is nearly full, or full
        everyone = {row.ip_address for row in await tx.all(ADDRESSES, {"subnet_id": subnet.id})}
        everyone.add(subnet.gateway_ip)
        return next((place for place in range(length) if str(first + place) not in everyone), None)
    while free - taken > 1:
        between = range(taken + 1, free, max(1, (free - taken) // _NEAR))
        taken, nearer = await _look(tx, subnet, first, between, taken)
        free = free if nearer is None else nearer
    return free


async def _look(
    tx: Transaction, subnet: Row, first: Address, places: Sequence[int], before: int = -1
) -> tuple[int, int | None]:
    """The first of these places that is free, and the one looked at before it; None: all are taken."""
    names = [str(first + place) for place in places]
    rows = await tx.all(ADDRESSES, {"subnet_id": subnet.id, "ip_address": names})
    taken = {row.ip_address for row in rows} | {subnet.gateway_ip}
    for place, name in zip(places, names, strict=True):
        if name not in taken:
            return before, place
        before = place
    return before, None


async def _take(tx: Transaction, port: Row, subnet: Row, address: str, place: int) -> dict[str, str]:
    try:
        await tx.insert(
            ADDRESSES,
            subnet_id=subnet.id,
            ip_address=address,
            port_id=port.id,
            network_id=port.network_id,
            place=place,
        )
    except Duplicate as error:
        raise IpAddressAlreadyAllocated(ip=address, subnet_id=subnet.id) from error
    return {"subnet_id": subnet.id, "ip_address": address}


async def _usual(tx: Transaction, port: Row, subnets: Sequence[Row]) -> list[tuple[Row, str]]:
    """One address of each version from the first subnet that has one, and all the automatic ones."""
    fitting = [one for one in subnets if not one.service_types or port.device_owner in one.service_types]
    if subnets and not fitting:
        raise IpAddressGenerationFailure(net_id=port.network_id)
    wanted = []
    for version in (4, 6):
        chosen = [one for one in fitting if one.ip_version == version and not is_automatic(one)]
        for subnet in chosen:
            address = await find_free(tx, subnet)
            if address is not None:
                wanted.append((subnet, address))
                break
        else:
            if chosen:
                raise IpAddressGenerationFailure(net_id=port.network_id)
    if port.device_owner not in ROUTER_OWNERS:
        wanted += [(one, eui64(one.cidr, port.mac_address)) for one in fitting if is_automatic(one)]
    return wanted


async def _asked(tx: Transaction, port: Row, subnets: Sequence[Row], asked: Fixed) -> tuple[Row, str]:
    text = asked.get("ip_address")
    address = ipaddress.ip_address(text) if text else None
    if "subnet_id" in asked:
        subnet = next((one for one in subnets if one.id == asked["subnet_id"]), None)
        if subnet is None:
            raise InvalidInput(
                error_message=f"Failed to create port on network {port.network_id}, because fixed_ips included "
                f"invalid subnet {asked['subnet_id']}"
            )
        if address is not None and not _is_usable(address, subnet):
            raise InvalidIpForSubnet(ip_address=text)
    elif address is not None:
        subnet = next((one for one in subnets if _is_usable(address, one)), None)
        if subnet is None:
            raise InvalidIpForNetwork(ip_address=text)
    else:
        raise InvalidInput(error_message="IP allocation requires subnet_id or ip_address")
    if is_automatic(subnet) and port.device_owner not in ROUTER_OWNERS:
        own = eui64(subnet.cidr, port.mac_address)
        if address is not None and str(address) != own:
            raise InvalidInput(
                error_message=f"IPv6 address {address} can not be directly assigned to a port on subnet "
                f"{subnet.id} as the subnet is configured for automatic addresses"
            )
        return subnet, own
    if address is None:
        free = await find_free(tx, subnet)
        if free is None:
            raise IpAddressGenerationFailure(net_id=port.network_id)
        return subnet, free
    return subnet, str(address)


def _is_usable(address: Address, subnet: Row) -> bool:
    network = ipaddress.ip_network(subnet.cidr)
    if address.version != network.version or address not in network:
        return False
    if network.version == 6 or network.prefixlen >= 31:
        return True
    return address not in (network.network_address, network.broadcast_address)
