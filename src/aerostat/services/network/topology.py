"""From rows to the things that a network driver makes: all of them, or those that changed.

Pure reading: nothing here decides anything but how the API's terms are said in the driver's.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table

from aerostat.kernel.db import Row, Store

from . import model
from .config import NetworkConfig
from .host.protocol import (
    AddressPair,
    DhcpOption,
    FixedIP,
    FloatingIP,
    HostRoute,
    Key,
    Network,
    OwnDhcp,
    Port,
    Route,
    Router,
    RouterSide,
    Rule,
    SecurityGroup,
    Subnet,
    Thing,
)
from .ports import FLOATING, GATEWAY, INTERFACE, METADATA, MIGRATING_TO
from .values import prefix

Ids = list[str] | None
_ANY_IP = {"ip": "0", "hopopt": "0"}  # names of number 0, which means any
_AT_ONCE = 500  # ids in one query


async def read_things(
    store: Store, settings: NetworkConfig, keys: Iterable[Key] | None = None
) -> list[Thing]:
    """The things that `keys` name, as far as they are there (None: everything)."""
    ids: dict[str, Ids] = defaultdict(lambda: None) if keys is None else defaultdict(list)
    for key in keys or ():
        chosen = ids[key.kind]
        if chosen is not None and key.id not in chosen:
            chosen.append(key.id)
    things: list[Thing] = []
    things += await _networks(store, ids["network"])
    things += await _subnets(store, settings, ids["subnet"])
    if keys is not None:
        # Ports with DHCP options of their own carry what their subnet says: they change with it.
        known = ids["port"] or []
        ids["port"] = known + [
            one for one in await _ports_with_options(store, ids["subnet"]) if one not in known
        ]
    things += await _groups(store, ids["security_group"])
    things += await _routers(store, ids["router"])
    things += await _ports(store, settings, ids["port"])
    things += await _floating_ips(store, ids["floating_ip"])
    return things


async def _networks(store: Store, ids: Ids) -> list[Thing]:
    return [
        Network(
            id=row.id,
            physical_network=row.physical_network,
            vlan=row.segmentation_id if row.network_type == "vlan" else None,
        )
        for row in await _rows(store, model.NETWORKS, "id", ids)
    ]


async def _subnets(store: Store, settings: NetworkConfig, ids: Ids) -> list[Subnet]:
    subnets = await _rows(store, model.SUBNETS, "id", ids)
    if not subnets:
        return []
    network_ids = _distinct(subnets, "network_id")
    networks = await _by_id(store, model.NETWORKS, network_ids)
    own = await _rows(store, model.PORTS, "network_id", network_ids, device_owner=METADATA)
    addresses = await _rows(store, model.ADDRESSES, "port_id", [port.id for port in own])
    metadata = {row.subnet_id: row.ip_address for row in addresses}
    return [
        Subnet(
            id=row.id,
            network_id=row.network_id,
            cidr=row.cidr,
            gateway_ip=row.gateway_ip,
            dhcp=row.enable_dhcp,
            dns_servers=tuple(row.dns_nameservers) or (settings.dns_servers if row.ip_version == 4 else ()),
            host_routes=tuple(HostRoute(one["destination"], one["nexthop"]) for one in row.host_routes),
            metadata_ip=metadata.get(row.id),
            mtu=networks[row.network_id].mtu,
            dns_domain=(networks[row.network_id].dns_domain or settings.dns_domain).rstrip("."),
            ipv6_mode=row.ipv6_address_mode or row.ipv6_ra_mode,
        )
        for row in subnets
        if row.network_id in networks
    ]


async def _groups(store: Store, ids: Ids) -> list[Thing]:
    groups = await _rows(store, model.SECURITY_GROUPS, "id", ids)
    rules = defaultdict(list)
    for row in await _rows(store, model.SECURITY_GROUP_RULES, "security_group_id", _ids(groups, ids)):
        rules[row.security_group_id].append(
            Rule(
                id=row.id,
                direction=row.direction,
                ethertype=row.ethertype,
                protocol=_ANY_IP.get(row.protocol, row.protocol),
                port_min=row.port_range_min,
                port_max=row.port_range_max,
                remote_ip_prefix=prefix(row.remote_ip_prefix),
                remote_group_id=row.remote_group_id,
            )
        )
    return [
        SecurityGroup(
            id=row.id,
            rules=tuple(sorted(rules[row.id], key=lambda rule: rule.id)),
            stateful=row.stateful,
        )
        for row in groups
    ]


async def _routers(store: Store, ids: Ids) -> list[Thing]:
    routers = await _rows(store, model.ROUTERS, "id", ids)
    legs = await _rows(store, model.PORTS, "device_id", _ids(routers, ids), device_owner=(INTERFACE, GATEWAY))
    addresses, subnets = await _places(store, legs, ids)
    by_router = defaultdict(list)
    for leg in legs:
        by_router[leg.device_id].append(leg)
    return [_router(row, by_router[row.id], addresses, subnets) for row in routers]


def _router(
    row: Row, legs: Sequence[Row], addresses: Mapping[str, list[Row]], subnets: Mapping[str, Row]
) -> Router:
    routes = [Route(one["destination"], one["nexthop"]) for one in row.routes]
    snat_address, inner = None, []
    for leg in legs:
        for place in addresses[leg.id]:
            subnet = subnets[place.subnet_id]
            if leg.device_owner == INTERFACE:
                if subnet.ip_version == 4:
                    inner.append(subnet.cidr)
                continue
            if subnet.gateway_ip:
                everywhere = "0.0.0.0/0" if subnet.ip_version == 4 else "::/0"
                if all(route.destination != everywhere for route in routes):
                    routes.append(Route(everywhere, subnet.gateway_ip))
            if subnet.ip_version == 4 and row.enable_snat:
                snat_address = place.ip_address
    return Router(
        id=row.id,
        enabled=row.admin_state_up,
        routes=tuple(sorted(routes, key=lambda route: (route.destination, route.next_hop))),
        snat_address=snat_address,
        snat_cidrs=tuple(sorted(inner)) if snat_address else (),
    )


async def _ports(store: Store, settings: NetworkConfig, ids: Ids) -> list[Thing]:
    ports = [row for row in await _rows(store, model.PORTS, "id", ids) if row.device_owner != FLOATING]
    if not ports:
        return []
    networks = await _by_id(store, model.NETWORKS, None if ids is None else _distinct(ports, "network_id"))
    addresses, subnets = await _places(store, ports, ids)
    groups = defaultdict(list)
    for one in await _rows(store, model.PORT_GROUPS, "port_id", _ids(ports, ids)):
        groups[one.port_id].append(one.security_group_id)
    wanted = [port.device_id for port in ports if port.device_owner in (INTERFACE, GATEWAY)]
    routers = await _by_id(store, model.ROUTERS, None if ids is None else wanted)
    wanting = {place.subnet_id for row in ports if row.extra_dhcp_opts for place in addresses[row.id]}
    told = {one.id: one for one in await _subnets(store, settings, sorted(wanting))}
    things: list[Thing] = []
    for row in ports:
        network = networks.get(row.network_id)
        if network is None:
            continue
        own = [subnets[place.subnet_id] for place in addresses[row.id]]
        things.append(
            Port(
                id=row.id,
                network_id=row.network_id,
                mac=row.mac_address,
                fixed_ips=tuple(
                    FixedIP(place.subnet_id, place.ip_address, ipaddress.ip_network(subnet.cidr).prefixlen)
                    for place, subnet in zip(addresses[row.id], own, strict=True)
                ),
                kind=_kind(row, routers),
                enabled=row.admin_state_up,
                security_groups=tuple(sorted(groups[row.id])) if row.port_security_enabled else None,
                address_pairs=tuple(
                    AddressPair(pair["ip_address"], pair.get("mac_address"))
                    for pair in row.allowed_address_pairs
                ),
                dns_names=_dns_names(row, network, settings),
                host=row.host or None,
                next_host=row.profile.get(MIGRATING_TO) if row.host else None,
                own_dhcp=_own_dhcp(row, told, own) if row.extra_dhcp_opts else (),
                mtu=network.mtu,
                router=_side(row, own) if _kind(row, routers) == "router" else None,
            )
        )
    return things


async def _ports_with_options(store: Store, subnet_ids: Ids) -> list[str]:
    places = await _rows(store, model.ADDRESSES, "subnet_id", subnet_ids)
    ports = await _rows(store, model.PORTS, "id", _distinct(places, "port_id"))
    return [row.id for row in ports if row.extra_dhcp_opts]


def _own_dhcp(row: Row, subnets: Mapping[str, Subnet], own: Sequence[Row]) -> tuple[OwnDhcp, ...]:
    """The port's options by IP version, each with the first of its subnets of that version."""
    found = []
    for version in (4, 6):
        options = tuple(
            DhcpOption(one["opt_name"], one["opt_value"])
            for one in row.extra_dhcp_opts
            if one["ip_version"] == version
        )
        subnet = next(
            (subnets[one.id] for one in own if one.ip_version == version and one.id in subnets), None
        )
        if options and subnet is not None:
            found.append(OwnDhcp(subnet, options))
    return tuple(found)


def _kind(row: Row, routers: Mapping[str, Row]) -> Any:
    if row.device_owner in (INTERFACE, GATEWAY) and row.device_id in routers:
        return "router"
    return "metadata" if row.device_owner == METADATA else "guest"


def _side(row: Row, subnets: Sequence[Row]) -> RouterSide:
    modes = [subnet.ipv6_ra_mode for subnet in subnets if subnet.ipv6_ra_mode]
    return RouterSide(
        router_id=row.device_id, gateway=row.device_owner == GATEWAY, ra_mode=modes[0] if modes else None
    )


def _dns_names(row: Row, network: Row, settings: NetworkConfig) -> tuple[str, ...]:
    if not row.dns_name:
        return ()
    name = row.dns_name.rstrip(".").lower()
    domain = (row.dns_domain or network.dns_domain or settings.dns_domain).rstrip(".").lower()
    return (name, f"{name}.{domain}") if domain and not name.endswith(f".{domain}") else (name,)


async def _floating_ips(store: Store, ids: Ids) -> list[Thing]:
    rows = [row for row in await _rows(store, model.FLOATING_IPS, "id", ids) if row.port_id and row.router_id]
    ports = await _by_id(store, model.PORTS, None if ids is None else _distinct(rows, "port_id"))
    return [
        FloatingIP(
            id=row.id,
            router_id=row.router_id,
            address=row.floating_ip_address,
            fixed_ip=row.fixed_ip_address,
            port_id=row.port_id,
        )
        for row in rows
        if row.port_id in ports
    ]


async def _places(
    store: Store, ports: Sequence[Row], ids: Ids
) -> tuple[Mapping[str, list[Row]], Mapping[str, Row]]:
    """Port id → its addresses in order, and the subnets they are in."""
    addresses = defaultdict(list)
    found = await _rows(store, model.ADDRESSES, "port_id", _ids(ports, ids))
    subnets = await _by_id(store, model.SUBNETS, None if ids is None else _distinct(found, "subnet_id"))
    for place in sorted(found, key=lambda place: (place.place, place.ip_address)):
        if place.subnet_id in subnets:  # else both went between the two reads; that has its own change
            addresses[place.port_id].append(place)
    return addresses, subnets


async def _by_id(store: Store, table: Table, ids: Ids) -> dict[str, Row]:
    return {row.id: row for row in await _rows(store, table, "id", ids)}


async def _rows(store: Store, table: Table, column: str, ids: Ids, **where: Any) -> list[Row]:
    if ids is None:
        return await store.all(table, where)
    found: list[Row] = []
    for start in range(0, len(ids), _AT_ONCE):
        found += await store.all(table, {column: ids[start : start + _AT_ONCE], **where})
    return found


def _distinct(rows: Sequence[Row], column: str) -> list[str]:
    return sorted({row[column] for row in rows})


def _ids(rows: Sequence[Row], ids: Ids) -> Ids:
    return None if ids is None else [row.id for row in rows]
