"""What each thing is in OVN's northbound database (ovn-nb(5)): pure functions from things to rows.

Names follow upstream's OVN driver (`neutron-<id>`, `lrp-<id>`, `pg_<id>`), so that tools made for it find
their way.
"""

import ipaddress
from collections.abc import Iterator, Sequence

from ...host.protocol import (
    METADATA_ADDRESS,
    FloatingIP,
    Network,
    Port,
    Router,
    SecurityGroup,
    Subnet,
    Thing,
    key_of,
)
from . import acl, dhcp
from .rows import Place, Ref, Row, Value

BASE_OWNER = "base"

# Each table we write and the columns we own in it: what is compared, and what is asked of the database.
COLUMNS: dict[str, tuple[str, ...]] = {
    "Logical_Switch": ("name", "ports", "dns_records"),
    "Logical_Switch_Port": (
        "name", "type", "addresses", "port_security", "enabled", "options", "tag", "up",
        "dhcpv4_options", "dhcpv6_options",
    ),
    "DHCP_Options": ("cidr", "options"),
    "DNS": ("records",),
    "Port_Group": ("name", "ports", "acls"),
    "ACL": ("direction", "priority", "match", "action"),
    "Logical_Router": ("name", "enabled", "options", "ports", "static_routes", "nat"),
    "Logical_Router_Port": ("name", "mac", "networks", "enabled", "ipv6_ra_configs", "gateway_chassis"),
    "Gateway_Chassis": ("name", "chassis_name", "priority"),
    "Logical_Router_Static_Route": ("ip_prefix", "nexthop"),
    "NAT": ("type", "external_ip", "logical_ip", "external_mac", "logical_port"),
}  # fmt: skip


def compile_base() -> list[Row]:
    """What stands under all things: the group that drops."""
    group = Row(table="Port_Group", key=acl.DROP_GROUP, owner=BASE_OWNER, columns={"name": acl.DROP_GROUP})
    return [group] + [
        _acl(BASE_OWNER, acl.DROP_GROUP, key, direction, priority, match, action)
        for key, direction, priority, match, action in acl.drop_matches()
    ]


def compile_thing(thing: Thing, gateway_hosts: Sequence[str] = ()) -> list[Row]:
    """The rows of one thing. `gateway_hosts`: where routers' gateways may live, the preferred one first."""
    owner = str(key_of(thing))
    match thing:
        case Network():
            return list(_network(owner, thing))
        case Subnet():
            return list(_subnet(owner, thing))
        case Port():
            return list(_port(owner, thing, gateway_hosts))
        case SecurityGroup():
            return list(_security_group(owner, thing))
        case Router():
            return list(_router(owner, thing))
        case FloatingIP():
            return [_floating_ip(owner, thing)]


def switch_name(network_id: str) -> str:
    return f"neutron-{network_id}"


def router_name(router_id: str) -> str:
    return f"neutron-{router_id}"


def leg_name(port_id: str) -> str:
    return f"lrp-{port_id}"


def _network(owner: str, network: Network) -> Iterator[Row]:
    name = switch_name(network.id)
    yield Row(table="Logical_Switch", key=name, owner=owner, columns={"name": name})
    if network.physical_network is not None:
        wire = f"provnet-{network.id}"
        columns: dict[str, Value] = {
            "name": wire,
            "type": "localnet",
            "addresses": frozenset(["unknown"]),
            "options": {"network_name": network.physical_network},
            "tag": frozenset([] if network.vlan is None else [network.vlan]),
        }
        place = Place("Logical_Switch", name, "ports")
        yield Row(table="Logical_Switch_Port", key=wire, owner=owner, columns=columns, parent=place)


def _subnet(owner: str, subnet: Subnet) -> Iterator[Row]:
    options = dhcp.subnet_options(subnet)
    if options is not None:
        columns: dict[str, Value] = {"cidr": subnet.cidr, "options": options}
        yield Row(table="DHCP_Options", key=subnet.id, owner=owner, columns=columns)


def _port(owner: str, port: Port, gateway_hosts: Sequence[str]) -> Iterator[Row]:
    switch = switch_name(port.network_id)
    columns = {"name": port.id, "enabled": frozenset([] if port.enabled else [False]), **_switch_side(port)}
    yield Row(
        table="Logical_Switch_Port",
        key=port.id,
        owner=owner,
        columns=columns,
        parent=Place("Logical_Switch", switch, "ports"),
        links=frozenset(Place("Port_Group", group, "ports") for group in _groups(port)),
    )
    for own in port.own_dhcp:
        options = dhcp.port_options(own)
        if options is not None:
            yield Row(
                table="DHCP_Options",
                key=dhcp.own_key(port, own),
                owner=owner,
                columns={"cidr": own.subnet.cidr, "options": options},
            )
    if port.router is not None:
        yield from _router_leg(owner, port, gateway_hosts)
    if port.dns_names and port.fixed_ips:
        addresses = " ".join(ip.address for ip in port.fixed_ips)
        records: dict[str, str] = {name.lower().rstrip("."): addresses for name in port.dns_names}
        place = Place("Logical_Switch", switch, "dns_records")
        yield Row(
            table="DNS", key=port.id, owner=owner, columns={"records": records}, links=frozenset([place])
        )


def _groups(port: Port) -> list[str]:
    if port.kind != "guest" or port.security_groups is None:
        return []
    return [acl.DROP_GROUP, *(acl.group_name(id) for id in port.security_groups)]


def _switch_side(port: Port) -> dict[str, Value]:
    """The columns of a switch port that depend on its kind."""
    own = " ".join([port.mac, *(ip.address for ip in port.fixed_ips)])
    nothing: frozenset[str] = frozenset()
    if port.kind == "router":
        options = {"router-port": leg_name(port.id)}
        if port.router and port.router.gateway:
            # Tell the outer network at once where NAT addresses are, and again when the gateway moves.
            options["nat-addresses"] = "router"
        return {
            "type": "router",
            "addresses": frozenset(["router"]),
            "port_security": nothing,
            "options": options,
        }
    if port.kind == "metadata":
        everywhere = frozenset([f"{own} {METADATA_ADDRESS}"])
        return {"type": "localport", "addresses": everywhere, "port_security": nothing, "options": {}}
    addresses, security = {own}, {own}
    for pair in port.address_pairs:
        mac = pair.mac or port.mac
        security.add(f"{mac} {pair.address}")
        if mac != port.mac:
            addresses.add("unknown")
    if port.security_groups is None:
        addresses.add("unknown")
        security.clear()
    by_version = {ipaddress.ip_address(ip.address).version: ip.subnet_id for ip in reversed(port.fixed_ips)}
    for answers in port.own_dhcp:
        by_version[ipaddress.ip_network(answers.subnet.cidr).version] = dhcp.own_key(port, answers)
    return {
        "type": "",
        "addresses": frozenset(addresses),
        "port_security": frozenset(security),
        "options": _hosts(port),
        "dhcpv4_options": Ref("DHCP_Options", by_version[4]) if 4 in by_version else nothing,
        "dhcpv6_options": Ref("DHCP_Options", by_version[6]) if 6 in by_version else nothing,
    }


def _hosts(port: Port) -> dict[str, str]:
    """The second host has the flows and gets the packets before the guest comes; it may send once it has announced
    itself by RARP, as QEMU lets every guest do that it takes in.
    """
    if not port.host:
        return {}
    if not port.next_host or port.next_host == port.host:
        return {"requested-chassis": port.host}
    return {"requested-chassis": f"{port.host},{port.next_host}", "activation-strategy": "rarp"}


def _router_leg(owner: str, port: Port, gateway_hosts: Sequence[str]) -> Iterator[Row]:
    side, leg = port.router, leg_name(port.id)
    assert side is not None
    advertise = {"address_mode": side.ra_mode.replace("-", "_")} if side.ra_mode else {}
    if advertise:
        advertise |= {"send_periodic": "true", "mtu": str(port.mtu)}
    yield Row(
        table="Logical_Router_Port",
        key=leg,
        owner=owner,
        columns={
            "name": leg,
            "mac": port.mac,
            "networks": frozenset(f"{ip.address}/{ip.prefix_length}" for ip in port.fixed_ips),
            "enabled": frozenset([] if port.enabled else [False]),
            "ipv6_ra_configs": advertise,
        },
        parent=Place("Logical_Router", router_name(side.router_id), "ports"),
    )
    if side.gateway:
        for rank, host in enumerate(gateway_hosts):
            name = f"{leg}_{host}"
            columns: dict[str, Value] = {"name": name, "chassis_name": host, "priority": 100 - rank}
            place = Place("Logical_Router_Port", leg, "gateway_chassis")
            yield Row(table="Gateway_Chassis", key=name, owner=owner, columns=columns, parent=place)


def _security_group(owner: str, group: SecurityGroup) -> Iterator[Row]:
    name = acl.group_name(group.id)
    yield Row(table="Port_Group", key=name, owner=owner, columns={"name": name})
    action = "allow-related" if group.stateful else "allow-stateless"
    for rule in group.rules:
        direction, match = acl.rule_direction(rule), acl.rule_match(name, rule)
        yield _acl(owner, name, rule.id, direction, acl.ALLOW_PRIORITY, match, action)


def _acl(owner: str, group: str, key: str, direction: str, priority: int, match: str, action: str) -> Row:
    return Row(
        table="ACL",
        key=key,
        owner=owner,
        columns={"direction": direction, "priority": priority, "match": match, "action": action},
        parent=Place("Port_Group", group, "acls"),
    )


def _router(owner: str, router: Router) -> Iterator[Row]:
    name = router_name(router.id)
    # Neighbours are asked for when needed, not all known in advance: many routers share one outer network.
    options = {"always_learn_from_arp_request": "false", "dynamic_neigh_routers": "true"}
    enabled: frozenset[bool] = frozenset([] if router.enabled else [False])
    yield Row(
        table="Logical_Router",
        key=name,
        owner=owner,
        columns={"name": name, "enabled": enabled, "options": options},
    )
    for route in router.routes:
        yield Row(
            table="Logical_Router_Static_Route",
            key=f"{router.id}-{route.destination}-{route.next_hop}",
            owner=owner,
            columns={"ip_prefix": route.destination, "nexthop": route.next_hop},
            parent=Place("Logical_Router", name, "static_routes"),
        )
    if router.snat_address is not None:
        for cidr in router.snat_cidrs:
            yield _nat(owner, router.id, f"{router.id}-{cidr}", "snat", router.snat_address, cidr)


def _floating_ip(owner: str, floating_ip: FloatingIP) -> Row:
    here = floating_ip.port_id and floating_ip.mac
    return _nat(
        owner,
        floating_ip.router_id,
        floating_ip.id,
        "dnat_and_snat",
        floating_ip.address,
        floating_ip.fixed_ip,
        mac=floating_ip.mac if here else None,
        port_id=floating_ip.port_id if here else None,
    )


def _nat(
    owner: str,
    router_id: str,
    key: str,
    kind: str,
    outer: str,
    inner: str,
    mac: str | None = None,
    port_id: str | None = None,
) -> Row:
    return Row(
        table="NAT",
        key=key,
        owner=owner,
        columns={
            "type": kind,
            "external_ip": outer,
            "logical_ip": inner,
            "external_mac": frozenset([mac] if mac else []),
            "logical_port": frozenset([port_id] if port_id else []),
        },
        parent=Place("Logical_Router", router_name(router_id), "nat"),
    )
