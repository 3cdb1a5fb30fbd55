"""Subnets: ranges, gateways, pools of addresses, IPv6 modes."""

from typing import Any

import pytest

from .conftest import Api, make_subnet


async def test_a_new_subnet(api: Api) -> None:
    network = await api.make("networks")
    made = await make_subnet(api, network["id"], "10.0.0.0/24", name="s", dns_nameservers=["9.9.9.9"])
    assert made.pop("created_at").endswith("Z")
    assert made.pop("updated_at").endswith("Z")
    assert made == {
        "id": made["id"],
        "name": "s",
        "description": "",
        "network_id": network["id"],
        "project_id": "p1",
        "tenant_id": "p1",
        "ip_version": 4,
        "cidr": "10.0.0.0/24",
        "gateway_ip": "10.0.0.1",
        "enable_dhcp": True,
        "allocation_pools": [{"start": "10.0.0.2", "end": "10.0.0.254"}],
        "dns_nameservers": ["9.9.9.9"],
        "host_routes": [],
        "service_types": [],
        "dns_publish_fixed_ip": False,
        "ipv6_address_mode": None,
        "ipv6_ra_mode": None,
        "subnetpool_id": None,
        "tags": [],
        "revision_number": 1,
    }
    seen = (await api.get(f"networks/{network['id']}"))["network"]
    assert seen["subnets"] == [made["id"]]
    assert seen["revision_number"] == network["revision_number"] + 1


@pytest.mark.parametrize(
    ("attributes", "gateway", "pools"),
    [
        ({"cidr": "10.0.0.7/29"}, "10.0.0.1", [("10.0.0.2", "10.0.0.6")]),
        ({"cidr": "10.0.0.0/29", "gateway_ip": None}, None, [("10.0.0.1", "10.0.0.6")]),
        (
            {"cidr": "10.0.0.0/29", "gateway_ip": "10.0.0.3"},
            "10.0.0.3",
            [("10.0.0.1", "10.0.0.2"), ("10.0.0.4", "10.0.0.6")],
        ),
        ({"cidr": "10.0.0.0/29", "gateway_ip": "10.0.0.6"}, "10.0.0.6", [("10.0.0.1", "10.0.0.5")]),
        ({"cidr": "10.0.0.0/31", "gateway_ip": None, "enable_dhcp": False}, None, [("10.0.0.0", "10.0.0.1")]),
        ({"cidr": "fd00::/64", "ip_version": 6}, "fd00::1", [("fd00::2", "fd00::ffff:ffff:ffff:ffff")]),
        (
            {"cidr": "10.0.0.0/28", "allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.9"}]},
            "10.0.0.1",
            [("10.0.0.9", "10.0.0.9")],
        ),
    ],
)
async def test_gateway_and_pools(api: Api, attributes: Any, gateway: Any, pools: Any) -> None:
    network = await api.make("networks")
    made = await api.make("subnets", **{"network_id": network["id"], "ip_version": 4, **attributes})
    assert made["gateway_ip"] == gateway
    assert [(pool["start"], pool["end"]) for pool in made["allocation_pools"]] == pools


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({}, "HTTPBadRequest"),
        ({"cidr": None}, "HTTPBadRequest"),
        ({"cidr": "10.0.0.0"}, "HTTPBadRequest"),
        ({"cidr": "10.0.0.0/33"}, "HTTPBadRequest"),
        ({"cidr": 7}, "HTTPBadRequest"),
        ({"cidr": "224.0.0.0/24"}, "InvalidInput"),
        ({"cidr": "10.0.0.0/24", "ip_version": 6}, "InvalidInput"),
        ({"cidr": "10.0.0.0/24", "ip_version": 5}, "HTTPBadRequest"),
        ({"cidr": "10.0.0.0/31"}, "InvalidInput"),
        ({"cidr": "0.0.0.0/0"}, "InvalidInput"),
        ({"cidr": "10.0.0.0/24", "prefixlen": 24}, "HTTPBadRequest"),
        ({"cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.0"}, "InvalidInput"),
        ({"cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.255"}, "InvalidInput"),
        ({"cidr": "10.0.0.0/24", "gateway_ip": "fd00::1"}, "InvalidInput"),
        ({"cidr": "10.0.0.0/24", "gateway_ip": "somewhere"}, "HTTPBadRequest"),
        ({"cidr": "10.0.0.0/24", "dns_nameservers": ["9.9.9.9", "9.9.9.9"]}, "HTTPBadRequest"),
        ({"cidr": "10.0.0.0/24", "dns_nameservers": ["host.example"]}, "HTTPBadRequest"),
        (
            {"cidr": "10.0.0.0/24", "dns_nameservers": [f"9.9.9.{n}" for n in range(6)]},
            "DNSNameServersExhausted",
        ),
        (
            {"cidr": "10.0.0.0/24", "host_routes": [{"destination": "x", "nexthop": "10.0.0.2"}]},
            "HTTPBadRequest",
        ),
        (
            {"cidr": "10.0.0.0/24", "host_routes": [{"destination": "1.0.0.0/8", "nexthop": "fd00::1"}]},
            "InvalidInput",
        ),
        ({"cidr": "10.0.0.0/24", "allocation_pools": "all"}, "HTTPBadRequest"),
        ({"cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.5"}]}, "HTTPBadRequest"),
        (
            {"cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.5"}]},
            "InvalidAllocationPool",
        ),
        (
            {"cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.9", "end": "10.0.1.5"}]},
            "OutOfBoundsAllocationPool",
        ),
        (
            {"cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.1", "end": "10.0.0.5"}]},
            "GatewayConflictWithAllocationPools",
        ),
        (
            {
                "cidr": "10.0.0.0/24",
                "allocation_pools": [
                    {"start": "10.0.0.5", "end": "10.0.0.9"},
                    {"start": "10.0.0.9", "end": "10.0.0.20"},
                ],
            },
            "OverlappingAllocationPools",
        ),
        ({"cidr": "10.0.0.0/24", "ipv6_ra_mode": "slaac"}, "InvalidInput"),
        (
            {"cidr": "fd00::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "dhcpv6-stateful"},
            "InvalidInput",
        ),
        ({"cidr": "fd00::/80", "ipv6_address_mode": "slaac"}, "InvalidInput"),
        ({"cidr": "fd00::/64", "ipv6_address_mode": "slaac", "enable_dhcp": False}, "InvalidInput"),
        ({"cidr": "fd00::/64", "ipv6_address_mode": "magic"}, "HTTPBadRequest"),
        (
            {"cidr": "10.0.0.0/24", "subnetpool_id": "7d1f3a52-6a39-4bd6-9d3f-95cf7a0e5f7a"},
            "SubnetPoolNotFound",
        ),
    ],
)
async def test_what_makes_no_subnet(api: Api, attributes: dict[str, Any], kind: str) -> None:
    network = await api.make("networks")
    _, found, _ = await api.refused(
        "POST", "subnets", {"subnet": {"network_id": network["id"], **attributes}}
    )
    assert found == kind
    assert (await api.get("subnets"))["subnets"] == []


async def test_subnets_of_a_network_do_not_overlap(api: Api) -> None:
    network = await api.make("networks")
    await make_subnet(api, network["id"], "10.0.0.0/24")
    body = {"subnet": {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.128/25"}}
    status, kind, message = await api.refused("POST", "subnets", body)
    assert (status, kind) == (400, "InvalidInput")
    assert f"Requested subnet with cidr: 10.0.0.128/25 for network: {network['id']} overlaps" in message
    other = await api.make("networks")
    await make_subnet(api, other["id"], "10.0.0.0/24")


async def test_subnets_of_others(api: Api) -> None:
    network = await api.make("networks")
    subnet = await make_subnet(api, network["id"])
    bob = api("bob")
    body = {"subnet": {"network_id": network["id"], "cidr": "10.1.0.0/24"}}
    assert (await bob.refused("POST", "subnets", body))[:2] == (404, "NetworkNotFound")
    assert (await bob.refused("GET", f"subnets/{subnet['id']}"))[:2] == (404, "SubnetNotFound")
    assert (await bob.refused("DELETE", f"subnets/{subnet['id']}"))[0] == 404
    await api("root").change(f"networks/{network['id']}", shared=True)
    assert [one["id"] for one in (await bob.get("subnets"))["subnets"]] == [subnet["id"]]
    assert (await bob.get("subnets?shared=False"))["subnets"] == []
    assert (await bob.refused("PUT", f"subnets/{subnet['id']}", {"subnet": {"name": "x"}}))[0] == 403


async def test_updates(api: Api) -> None:
    network = await api.make("networks")
    subnet = await make_subnet(api, network["id"])
    url = f"subnets/{subnet['id']}"
    changed = await api.change(
        url,
        name="n",
        gateway_ip="10.0.0.254",
        allocation_pools=[{"start": "10.0.0.100", "end": "10.0.0.200"}],
        host_routes=[{"destination": "10.5.0.0/16", "nexthop": "10.0.0.7"}],
        dns_nameservers=["1.1.1.1"],
    )
    assert changed["gateway_ip"] == "10.0.0.254"
    assert changed["allocation_pools"] == [{"start": "10.0.0.100", "end": "10.0.0.200"}]
    port = await api.make("ports", network_id=network["id"])
    assert port["fixed_ips"][0]["ip_address"] == "10.0.0.100"
    assert (await api.refused("PUT", url, {"subnet": {"gateway_ip": "10.0.0.150"}}))[:2] == (
        409,
        "GatewayConflictWithAllocationPools",
    )
    assert (await api.refused("PUT", url, {"subnet": {"cidr": "10.9.0.0/24"}}))[0] == 400


async def test_a_gateway_that_a_router_has_stays(api: Api) -> None:
    network = await api.make("networks")
    subnet = await make_subnet(api, network["id"])
    router = await api.make("routers")
    await api.request("PUT", f"routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})
    refused = await api.refused("PUT", f"subnets/{subnet['id']}", {"subnet": {"gateway_ip": None}})
    assert refused[:2] == (409, "GatewayIpInUse")
    assert (await api.refused("DELETE", f"subnets/{subnet['id']}"))[:2] == (409, "SubnetInUse")


async def test_a_subnet_in_use_stays(api: Api) -> None:
    network = await api.make("networks")
    subnet = await make_subnet(api, network["id"])
    port = await api.make("ports", network_id=network["id"])
    status, kind, message = await api.refused("DELETE", f"subnets/{subnet['id']}")
    assert (status, kind) == (409, "SubnetInUse")
    assert message == (
        f"Unable to complete operation on subnet {subnet['id']}: One or more ports have an IP allocation from "
        "this subnet."
    )
    await api.delete(f"ports/{port['id']}")
    await api.delete(f"subnets/{subnet['id']}")


async def test_a_network_with_dhcp_has_a_port_of_its_own(api: Api) -> None:
    network = await api.make("networks")
    assert (await api.get("ports"))["ports"] == []
    first = await make_subnet(api, network["id"], "10.0.0.0/24")
    await make_subnet(api, network["id"], "10.1.0.0/24", enable_dhcp=False)
    (own,) = (await api.get("ports"))["ports"]
    assert own["device_owner"] == "network:distributed"
    assert own["device_id"] == f"ovnmeta-{network['id']}"
    assert own["fixed_ips"] == [{"subnet_id": first["id"], "ip_address": "10.0.0.2"}]
    await api.change(f"subnets/{first['id']}", enable_dhcp=False)
    assert (await api.get("ports"))["ports"] == []


async def test_ipv6_addresses_that_guests_make_themselves(api: Api) -> None:
    network = await api.make("networks")
    early = await api.make("ports", network_id=network["id"], mac_address="fa:16:3e:00:00:01")
    assert early["fixed_ips"] == []
    subnet = await make_subnet(
        api, network["id"], "fd00:1::/64", ipv6_address_mode="slaac", ipv6_ra_mode="slaac"
    )
    seen = (await api.get(f"ports/{early['id']}"))["port"]
    assert seen["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "fd00:1::f816:3eff:fe00:1"}]
    late = await api.make("ports", network_id=network["id"], mac_address="fa:16:3e:00:00:02")
    assert late["fixed_ips"][0]["ip_address"] == "fd00:1::f816:3eff:fe00:2"
    other = {"subnet_id": subnet["id"], "ip_address": "fd00:1::5"}
    body = {"port": {"network_id": network["id"], "fixed_ips": [other]}}
    assert (await api.refused("POST", "ports", body))[1] == "InvalidInput"
    await api.delete(f"subnets/{subnet['id']}")
    assert (await api.get(f"ports/{early['id']}"))["port"]["fixed_ips"] == []
