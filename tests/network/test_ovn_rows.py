"""The pure half of the OVN driver: rules to matches, things to rows, rows to operations."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from aerostat.kernel.errors import DriverError
from aerostat.services.network.drivers.ovn.acl import rule_match
from aerostat.services.network.drivers.ovn.compile import COLUMNS, compile_base, compile_thing
from aerostat.services.network.drivers.ovn.rows import Place, Plan, Ref, Row
from aerostat.services.network.host.protocol import (
    AddressPair,
    DhcpOption,
    FixedIP,
    HostRoute,
    Network,
    OwnDhcp,
    Port,
    RouterSide,
    Rule,
    SecurityGroup,
    Subnet,
)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "outport == @pg_a && ip4"),
        ({"direction": "egress", "ethertype": "IPv6"}, "inport == @pg_a && ip6"),
        ({"protocol": "tcp"}, "outport == @pg_a && ip4 && tcp"),
        ({"protocol": "6", "port_min": 22, "port_max": 22}, "outport == @pg_a && ip4 && tcp.dst == 22"),
        (
            {"protocol": "udp", "port_min": 5000, "port_max": 5010},
            "outport == @pg_a && ip4 && udp.dst >= 5000 && udp.dst <= 5010",
        ),
        ({"protocol": "icmp"}, "outport == @pg_a && ip4 && icmp4"),
        (
            {"protocol": "icmp", "port_min": 8, "port_max": 0},
            "outport == @pg_a && ip4 && icmp4 && icmp4.type == 8 && icmp4.code == 0",
        ),
        ({"protocol": "icmp", "ethertype": "IPv6"}, "outport == @pg_a && ip6 && icmp6"),
        ({"protocol": "ipv6-icmp", "ethertype": "IPv6"}, "outport == @pg_a && ip6 && icmp6"),
        ({"protocol": "vrrp"}, "outport == @pg_a && ip4 && ip.proto == 112"),
        ({"protocol": "99"}, "outport == @pg_a && ip4 && ip.proto == 99"),
        (
            {"remote_ip_prefix": "10.0.0.0/8", "protocol": "tcp"},
            "outport == @pg_a && ip4 && ip4.src == 10.0.0.0/8 && tcp",
        ),
        ({"remote_group_id": "b-c"}, "outport == @pg_a && ip4 && ip4.src == $pg_b_c_ip4"),
        (
            {"direction": "egress", "remote_group_id": "b-c", "ethertype": "IPv6"},
            "inport == @pg_a && ip6 && ip6.dst == $pg_b_c_ip6",
        ),
    ],
)
def test_a_rule_as_a_match(fields: dict[str, Any], expected: str) -> None:
    rule = Rule(**{"id": "r", "direction": "ingress", "ethertype": "IPv4", **fields})
    assert rule_match("pg_a", rule) == expected


def port(**rest: Any) -> Port:
    values = {"fixed_ips": (FixedIP("s", "10.0.0.5", 24),), "security_groups": ("g",), **rest}
    return Port(id="p", network_id="n", mac="fa:16:3e:00:00:05", **values)


def switch_port(thing: Port) -> Row:
    return next(row for row in compile_thing(thing) if row.table == "Logical_Switch_Port")


def test_a_port_that_moves_is_on_two_hosts_and_speaks_on_the_second_when_it_has_come() -> None:
    assert switch_port(port()).columns["options"] == {}
    assert switch_port(port(host="a")).columns["options"] == {"requested-chassis": "a"}
    moving = {"requested-chassis": "a,b", "activation-strategy": "rarp"}
    assert switch_port(port(host="a", next_host="b")).columns["options"] == moving
    assert switch_port(port(host="b", next_host="b")).columns["options"] == {"requested-chassis": "b"}


def test_a_secured_port_may_send_only_from_its_own_addresses_and_pairs() -> None:
    columns = switch_port(port(address_pairs=(AddressPair("10.0.0.100"),))).columns
    assert columns["addresses"] == {"fa:16:3e:00:00:05 10.0.0.5"}
    assert columns["port_security"] == {"fa:16:3e:00:00:05 10.0.0.5", "fa:16:3e:00:00:05 10.0.0.100"}


def test_a_pair_with_another_mac_makes_unknown_addresses_reach_the_port() -> None:
    columns = switch_port(port(address_pairs=(AddressPair("10.0.0.100", "fa:16:3e:00:00:99"),))).columns
    assert columns["addresses"] == {"fa:16:3e:00:00:05 10.0.0.5", "unknown"}


def test_a_port_without_port_security_is_in_no_group() -> None:
    row = switch_port(port(security_groups=None))
    assert row.columns["port_security"] == frozenset()
    assert row.links == frozenset()


def test_a_port_refers_to_its_subnets_answers_by_family() -> None:
    ips = (FixedIP("s4", "10.0.0.5", 24), FixedIP("s6", "fd00::5", 64))
    columns = switch_port(port(fixed_ips=ips)).columns
    assert columns["dhcpv4_options"] == Ref("DHCP_Options", "s4")
    assert columns["dhcpv6_options"] == Ref("DHCP_Options", "s6")


def subnet_options(**fields: Any) -> dict[str, str]:
    rows = compile_thing(Subnet(**{"id": "s", "network_id": "n", "cidr": "10.0.0.0/24", **fields}))
    options = rows[0].columns["options"]
    assert isinstance(options, dict)
    return options


def test_what_dhcp_says() -> None:
    options = subnet_options(
        gateway_ip="10.0.0.1",
        metadata_ip="10.0.0.2",
        dns_servers=("9.9.9.9", "1.1.1.1"),
        host_routes=(HostRoute("10.9.0.0/16", "10.0.0.9"),),
        mtu=1400,
        dns_domain="cloud.local.",
    )
    routes = "{10.9.0.0/16,10.0.0.9, 169.254.169.254/32,10.0.0.2, 0.0.0.0/0,10.0.0.1}"
    assert options["classless_static_route"] == routes
    assert options["router"] == options["server_id"] == "10.0.0.1"
    assert options["dns_server"] == "{9.9.9.9, 1.1.1.1}"
    assert options["domain_name"] == '"cloud.local"'
    assert options["mtu"] == "1400"


def test_a_subnet_without_gateway_still_has_somebody_who_answers() -> None:
    options = subnet_options()
    assert options["server_id"] == "10.0.0.1"
    assert "router" not in options


def test_ipv6_answers_follow_the_mode() -> None:
    v6 = {"cidr": "fd00::/64"}
    assert compile_thing(Subnet(id="s", network_id="n", ipv6_mode="slaac", **v6)) == []
    assert subnet_options(ipv6_mode="dhcpv6-stateless", **v6)["dhcpv6_stateless"] == "true"
    assert "dhcpv6_stateless" not in subnet_options(ipv6_mode="dhcpv6-stateful", **v6)
    side = RouterSide(router_id="r", ra_mode="slaac")
    legs = compile_thing(port(kind="router", router=side, fixed_ips=(FixedIP("s", "fd00::1", 64),)))
    advertised = legs[1].columns["ipv6_ra_configs"]
    assert advertised == {"address_mode": "slaac", "send_periodic": "true", "mtu": "1442"}


def test_every_column_written_is_mirrored() -> None:
    side = RouterSide(router_id="r", gateway=True)
    things = [Network(id="n", physical_network="public"), port(), port(kind="router", router=side)]
    for row in [*compile_base(), *(row for thing in things for row in compile_thing(thing, ["h"]))]:
        assert set(row.columns) <= set(COLUMNS[row.table]), row


class ToyRow:
    def __init__(self, columns: dict[str, Any]) -> None:
        self.uuid, self.columns = uuid4(), columns

    def read(self, column: str) -> Any:
        return self.columns[column]

    def holds(self, column: str, uuid: UUID) -> bool:
        return str(uuid) in self.columns.get(column, ())


class ToyDatabase:
    """Rows by (table, key), as the mirror shows them."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], ToyRow] = {}

    def find(self, table: str, key: str) -> ToyRow | None:
        return self.rows.get((table, key))

    def rows_of(self, owner: str) -> list[tuple[str, str]]:
        return [k for k, row in self.rows.items() if row.read("external_ids")["aerostat:owner"] == owner]

    def add(self, row: Row, **columns: Any) -> ToyRow:
        made = ToyRow({**row.columns, **columns, "external_ids": row.external_ids()})
        self.rows[row.table, row.key] = made
        return made


SWITCH = Row(table="Logical_Switch", key="sw", owner="network/n", columns={"name": "sw"})
SOCKET = Row(
    table="Logical_Switch_Port",
    key="p",
    owner="port/p",
    columns={"name": "p"},
    parent=Place("Logical_Switch", "sw", "ports"),
    links=frozenset([Place("Port_Group", "g", "ports")]),
)
GROUP = Row(table="Port_Group", key="g", owner="security_group/g", columns={"name": "g"})


def test_a_new_port_is_one_insertion_and_two_small_mutations() -> None:
    there = ToyDatabase()
    switch, group = there.add(SWITCH), there.add(GROUP)
    plan = Plan(there)
    assert plan.run({"port/p": [SOCKET]}) == ["port/p"]
    insert, into_switch, into_group = plan.operations
    assert (insert["op"], insert["row"]["name"]) == ("insert", "p")
    for mutation, holder in ((into_switch, switch), (into_group, group)):
        assert mutation["where"] == [["_uuid", "==", ["uuid", str(holder.uuid)]]]
        assert mutation["mutations"] == [["ports", "insert", ["set", [["named-uuid", "row0"]]]]]


def test_what_is_as_wanted_needs_no_operation() -> None:
    there = ToyDatabase()
    there.add(SWITCH)
    row = there.add(SOCKET)
    there.add(GROUP, ports={str(row.uuid)})
    plan = Plan(there)
    assert plan.run({"port/p": [SOCKET], "network/n": [SWITCH]}) == []
    assert plan.operations == []


def test_a_lost_membership_alone_is_put_back() -> None:
    there = ToyDatabase()
    there.add(SWITCH)
    there.add(SOCKET)
    there.add(GROUP, ports=set())
    plan = Plan(there)
    assert plan.run({"port/p": [SOCKET]}) == ["port/p"]
    assert [operation["table"] for operation in plan.operations] == ["Port_Group"]


def test_removing_takes_a_row_out_of_its_parent() -> None:
    there = ToyDatabase()
    switch, row = there.add(SWITCH), there.add(SOCKET)
    plan = Plan(there)
    plan.run({"port/p": []})
    (mutation,) = plan.operations
    assert mutation["where"] == [["_uuid", "==", ["uuid", str(switch.uuid)]]]
    assert mutation["mutations"] == [["ports", "delete", ["set", [["uuid", str(row.uuid)]]]]]


def test_nothing_is_hung_on_what_is_not_there() -> None:
    with pytest.raises(DriverError, match="needs Logical_Switch sw") as caught:
        Plan(ToyDatabase()).run({"port/p": [SOCKET]})
    assert caught.value.retry


def test_a_port_with_dhcp_options_of_its_own() -> None:
    subnet = Subnet(id="s4", network_id="n", cidr="10.0.0.0/24", gateway_ip="10.0.0.1")
    options = (
        DhcpOption("bootfile-name", "pxe.0"),
        DhcpOption("server-ip-address", "10.0.0.9"),
        DhcpOption("66", "boot.example"),
        DhcpOption("mtu", "1300"),
        DhcpOption("no-such-option", "x"),
    )
    thing = port(own_dhcp=(OwnDhcp(subnet, options),))
    rows = {row.table: row for row in compile_thing(thing)}
    told = rows["DHCP_Options"].columns["options"]
    assert isinstance(told, dict)
    assert told["router"] == "10.0.0.1"
    assert (told["bootfile_name"], told["tftp_server"]) == ('"pxe.0"', '"boot.example"')
    assert (told["tftp_server_address"], told["mtu"]) == ("10.0.0.9", "1300")
    assert "no_such_option" not in told
    assert rows["Logical_Switch_Port"].columns["dhcpv4_options"] == Ref(
        "DHCP_Options", rows["DHCP_Options"].key
    )


def test_stateless_groups() -> None:
    group = SecurityGroup(id="g", rules=(Rule(id="r", direction="egress", ethertype="IPv4"),), stateful=False)
    assert [row.columns["action"] for row in compile_thing(group) if row.table == "ACL"] == [
        "allow-stateless"
    ]
