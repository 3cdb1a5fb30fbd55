"""Ports: addresses, groups, bindings, and who may do what on whose network."""

import asyncio
from typing import Any

import pytest

from .conftest import Api, make_subnet

NOWHERE = "7d1f3a52-6a39-4bd6-9d3f-95cf7a0e5f7a"


async def make_network(api: Api, cidr: str = "10.0.0.0/24", **subnet: Any) -> tuple[str, str]:
    network = await api.make("networks")
    return network["id"], (await make_subnet(api, network["id"], cidr, **subnet))["id"]


async def test_a_new_port(api: Api) -> None:
    network_id, subnet_id = await make_network(api)
    made = await api.make("ports", network_id=network_id, name="p", dns_name="web")
    groups = (await api.get("security-groups"))["security_groups"]
    assert made.pop("created_at").endswith("Z")
    assert made.pop("updated_at").endswith("Z")
    assert made["mac_address"].startswith("fa:16:3e:")
    assert made == {
        "id": made["id"],
        "name": "p",
        "description": "",
        "network_id": network_id,
        "project_id": "p1",
        "tenant_id": "p1",
        "mac_address": made["mac_address"],
        "admin_state_up": True,
        "status": "DOWN",
        "device_id": "",
        "device_owner": "",
        "fixed_ips": [{"subnet_id": subnet_id, "ip_address": "10.0.0.3"}],
        "security_groups": [groups[0]["id"]],
        "port_security_enabled": True,
        "allowed_address_pairs": [],
        "extra_dhcp_opts": [],
        "dns_name": "web",
        "dns_domain": "",
        "dns_assignment": [{"ip_address": "10.0.0.3", "hostname": "web", "fqdn": "web.openstack.local."}],
        "ip_allocation": "immediate",
        "binding:vnic_type": "normal",
        "tags": [],
        "revision_number": 1,
    }
    shown = (await api.get(f"ports/{made['id']}"))["port"]
    assert {**shown, "created_at": 0, "updated_at": 0} == {**made, "created_at": 0, "updated_at": 0}


async def test_bindings_are_for_administrators(api: Api) -> None:
    network_id, _ = await make_network(api)
    port = await api.make("ports", network_id=network_id)
    url = f"ports/{port['id']}"
    assert (await api.refused("PUT", url, {"port": {"binding:host_id": "h"}}))[:2] == (
        403,
        "PolicyNotAuthorized",
    )
    seen = (await api("root").get(url))["port"]
    assert (seen["binding:vif_type"], seen["binding:vif_details"], seen["binding:profile"]) == (
        "unbound",
        {},
        {},
    )
    body = {"port": {"binding:host_id": "node1", "device_id": "s1", "device_owner": "compute:nova"}}
    bound = (await api("root").request("PUT", url, body)).json()["port"]
    assert (bound["binding:vif_type"], bound["binding:host_id"]) == ("ovs", "node1")
    assert bound["binding:vif_details"]["port_filter"] is True
    assert "binding:host_id" not in (await api.get(url))["port"]


async def test_addresses_that_are_asked_for(api: Api) -> None:
    network_id, subnet_id = await make_network(api, "10.0.0.0/24")

    async def asked(*fixed: Any) -> list[str]:
        made = await api.make("ports", network_id=network_id, fixed_ips=list(fixed))
        return [one["ip_address"] for one in made["fixed_ips"]]

    assert await asked({"ip_address": "10.0.0.50"}) == ["10.0.0.50"]
    assert await asked({"subnet_id": subnet_id}) == ["10.0.0.3"]
    assert await asked({"subnet_id": subnet_id}, {"ip_address": "10.0.0.60"}) == ["10.0.0.4", "10.0.0.60"]
    assert await asked() == []
    for fixed, kind in (
        ([{"ip_address": "10.0.0.50"}], "IpAddressAlreadyAllocated"),
        ([{"ip_address": "10.0.0.255"}], "InvalidIpForNetwork"),
        ([{"ip_address": "10.7.0.5"}], "InvalidIpForNetwork"),
        ([{"subnet_id": subnet_id, "ip_address": "10.7.0.5"}], "InvalidIpForSubnet"),
        ([{"subnet_id": NOWHERE}], "InvalidInput"),
        ([{"subnet_id": "x"}], "HTTPBadRequest"),
        ([{"ip_address": "x"}], "HTTPBadRequest"),
        ([{}], "InvalidInput"),
        ([{"address": "10.0.0.9"}], "HTTPBadRequest"),
        ("10.0.0.9", "HTTPBadRequest"),
        ([{"subnet_id": subnet_id}] * 6, "InvalidInput"),
        ([{"ip_address": "10.0.0.9"}] * 2, "HTTPBadRequest"),
    ):
        body = {"port": {"network_id": network_id, "fixed_ips": fixed}}
        assert (await api.refused("POST", "ports", body))[1] == kind, fixed


async def test_a_full_subnet(api: Api) -> None:
    network_id, _ = await make_network(api, "10.0.0.0/29", enable_dhcp=False)
    for _ in range(5):
        await api.make("ports", network_id=network_id)
    body = {"port": {"network_id": network_id}}
    assert await api.refused("POST", "ports", body) == (
        409,
        "IpAddressGenerationFailure",
        f"No more IP addresses available on network {network_id}.",
    )
    port = (await api.get("ports"))["ports"][0]
    await api.delete(f"ports/{port['id']}")
    again = await api.make("ports", network_id=network_id)
    assert again["fixed_ips"] == port["fixed_ips"]


async def test_many_at_once_get_an_address_each(api: Api) -> None:
    network_id, _ = await make_network(api)
    made = await asyncio.gather(*(api.make("ports", network_id=network_id) for _ in range(30)))
    assert len({one["fixed_ips"][0]["ip_address"] for one in made}) == 30
    assert len({one["mac_address"] for one in made}) == 30


async def test_mac_addresses(api: Api) -> None:
    network_id, _ = await make_network(api)
    first = await api.make("ports", network_id=network_id, mac_address="FA-16-3E-11-22-33")
    assert first["mac_address"] == "fa:16:3e:11:22:33"
    body = {"port": {"network_id": network_id, "mac_address": "fa:16:3e:11:22:33"}}
    assert (await api.refused("POST", "ports", body))[:2] == (409, "MacAddressInUse")
    for odd in ("x", "00:00:00:00:00:00", "fa:16:3e:11:22", None, 7):
        body["port"]["mac_address"] = odd  # type: ignore[assignment]
        assert (await api.refused("POST", "ports", body))[:2] == (400, "HTTPBadRequest")


async def test_updates_of_addresses(api: Api) -> None:
    network_id, subnet_id = await make_network(api)
    port = await api.make("ports", network_id=network_id)
    url = f"ports/{port['id']}"
    more = await api.change(url, fixed_ips=[{"subnet_id": subnet_id}, {"subnet_id": subnet_id}])
    assert [one["ip_address"] for one in more["fixed_ips"]] == ["10.0.0.3", "10.0.0.4"]
    kept = await api.change(url, fixed_ips=[{"ip_address": "10.0.0.4"}])
    assert [one["ip_address"] for one in kept["fixed_ips"]] == ["10.0.0.4"]
    other = await api.make("ports", network_id=network_id)
    assert other["fixed_ips"][0]["ip_address"] == "10.0.0.3"
    taken = {"port": {"fixed_ips": [{"ip_address": "10.0.0.3"}]}}
    assert (await api.refused("PUT", url, taken))[:2] == (409, "IpAddressAlreadyAllocated")
    assert (await api.get(url))["port"]["fixed_ips"] == kept["fixed_ips"]


async def test_filters(api: Api) -> None:
    network_id, subnet_id = await make_network(api)
    first = await api.make("ports", network_id=network_id, device_id="s1", device_owner="compute:nova")
    second = await api.make("ports", network_id=network_id, security_groups=[])

    async def ids(query: str) -> list[str]:
        return sorted(one["id"] for one in (await api.get(f"ports?{query}"))["ports"])

    assert await ids("device_id=s1") == [first["id"]]
    assert await ids("device_owner=compute:nova&fields=id") == [first["id"]]
    assert await ids("fixed_ips=ip_address=10.0.0.4") == [second["id"]]
    assert await ids(f"fixed_ips=ip_address=10.0.0.4&fixed_ips=subnet_id={NOWHERE}") == []
    assert set(await ids(f"fixed_ips=subnet_id={subnet_id}")) > {first["id"], second["id"]}
    assert await ids("fixed_ips=ip_address_substr=0.4") == [second["id"]]
    assert await ids(f"security_groups={first['security_groups'][0]}") == [first["id"]]
    assert await ids(f"id={first['id']}&id={second['id']}") == sorted([first["id"], second["id"]])
    assert await ids(f"mac_address={second['mac_address']}") == [second["id"]]
    assert (await api.refused("GET", "ports?fixed_ips=nonsense"))[0] == 400


async def test_groups_of_a_port(api: Api) -> None:
    network_id, _ = await make_network(api)
    group = await api.make("security-groups", name="g")
    port = await api.make("ports", network_id=network_id, security_groups=[group["id"]])
    assert port["security_groups"] == [group["id"]]
    url = f"ports/{port['id']}"
    assert (await api.change(url, security_groups=[]))["security_groups"] == []
    for groups, kind in (
        ([NOWHERE], "SecurityGroupNotFound"),
        (["x"], "HTTPBadRequest"),
        ([group["id"], group["id"]], "HTTPBadRequest"),
        ("x", "HTTPBadRequest"),
    ):
        assert (await api.refused("PUT", url, {"port": {"security_groups": groups}}))[1] == kind
    await api.change(url, security_groups=[group["id"]])
    assert (await api.refused("DELETE", f"security-groups/{group['id']}"))[:2] == (409, "SecurityGroupInUse")
    off = {"port": {"port_security_enabled": False}}
    assert (await api.refused("PUT", url, off))[:2] == (409, "PortSecurityPortHasSecurityGroup")
    both = await api.change(url, port_security_enabled=False, security_groups=[])
    assert both["port_security_enabled"] is False
    assert (await api.refused("PUT", url, {"port": {"security_groups": [group["id"]]}}))[0] == 409


async def test_address_pairs(api: Api) -> None:
    network_id, _ = await make_network(api)
    port = await api.make(
        "ports", network_id=network_id, allowed_address_pairs=[{"ip_address": "10.0.0.200"}]
    )
    assert port["allowed_address_pairs"] == [{"ip_address": "10.0.0.200"}]
    url = f"ports/{port['id']}"
    wide = await api.change(
        url, allowed_address_pairs=[{"ip_address": "10.9.0.0/16", "mac_address": "fa:16:3e:00:00:09"}]
    )
    assert wide["allowed_address_pairs"] == [
        {"ip_address": "10.9.0.0/16", "mac_address": "fa:16:3e:00:00:09"}
    ]
    pair = {"ip_address": "10.0.0.9"}
    for pairs, kind in (
        ([pair, pair], "DuplicateAddressPairInRequest"),
        ([{"ip_address": f"10.0.0.{n}"} for n in range(1, 12)], "AllowedAddressPairExhausted"),
        ([{"mac_address": "fa:16:3e:00:00:09"}], "HTTPBadRequest"),
        ([{"ip_address": "x"}], "HTTPBadRequest"),
        (["10.0.0.9"], "HTTPBadRequest"),
    ):
        assert (await api.refused("PUT", url, {"port": {"allowed_address_pairs": pairs}}))[1] == kind
    open_port = {"network_id": network_id, "port_security_enabled": False, "allowed_address_pairs": [pair]}
    assert (await api.refused("POST", "ports", {"port": open_port}))[
        1
    ] == "AddressPairAndPortSecurityRequired"


async def test_dhcp_options(api: Api) -> None:
    network_id, _ = await make_network(api)
    boot = {"opt_name": "bootfile-name", "opt_value": "pxe.0"}
    port = await api.make("ports", network_id=network_id, extra_dhcp_opts=[boot])
    assert port["extra_dhcp_opts"] == [{**boot, "ip_version": 4}]
    url = f"ports/{port['id']}"
    more = await api.change(url, extra_dhcp_opts=[{"opt_name": "tftp-server", "opt_value": "10.0.0.9"}])
    assert len(more["extra_dhcp_opts"]) == 2
    less = await api.change(url, extra_dhcp_opts=[{"opt_name": "bootfile-name", "opt_value": None}])
    assert [one["opt_name"] for one in less["extra_dhcp_opts"]] == ["tftp-server"]
    assert (await api.refused("PUT", url, {"port": {"extra_dhcp_opts": [{"opt_value": "x"}]}}))[0] == 400


async def test_on_the_network_of_another(api: Api) -> None:
    network_id, subnet_id = await make_network(api)
    bob = api("bob")
    assert (await bob.refused("POST", "ports", {"port": {"network_id": network_id}}))[:2] == (
        404,
        "NetworkNotFound",
    )
    await api("root").change(f"networks/{network_id}", shared=True)
    port = await bob.make("ports", network_id=network_id, fixed_ips=[{"subnet_id": subnet_id}])
    for extra in (
        {"mac_address": "fa:16:3e:00:00:09"},
        {"port_security_enabled": False},
        {"fixed_ips": [{"ip_address": "10.0.0.77"}]},
        {"device_owner": "network:dhcp"},
        {"allowed_address_pairs": [{"ip_address": "10.0.0.9"}]},
    ):
        refused = await bob.refused("POST", "ports", {"port": {"network_id": network_id, **extra}})
        assert refused[:2] == (403, "PolicyNotAuthorized"), extra
    assert port["id"] in [one["id"] for one in (await api.get("ports"))["ports"]]
    await api.delete(f"ports/{port['id']}")
    assert (await bob.get("ports"))["ports"] == []


async def test_ports_of_strangers(api: Api) -> None:
    network_id, _ = await make_network(api)
    port = await api.make("ports", network_id=network_id)
    bob = api("bob")
    for method in ("GET", "DELETE"):
        assert (await bob.refused(method, f"ports/{port['id']}"))[:2] == (404, "PortNotFound")
    assert (await bob.refused("PUT", f"ports/{port['id']}", {"port": {"name": "x"}}))[0] == 404
    assert (await bob.get("ports"))["ports"] == []


async def test_a_leg_of_a_router_goes_with_the_router_only(api: Api) -> None:
    _network_id, subnet_id = await make_network(api)
    router = await api.make("routers")
    answer = await api.request(
        "PUT", f"routers/{router['id']}/add_router_interface", {"subnet_id": subnet_id}
    )
    leg = answer.json()["port_id"]
    status, kind, message = await api.refused("DELETE", f"ports/{leg}")
    assert (status, kind) == (409, "ServicePortInUse")
    assert "has device owner network:router_interface" in message


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_port_that_is_not_there(api: Api, method: str) -> None:
    body = {"port": {}} if method == "PUT" else None
    assert await api.refused(method, f"ports/{NOWHERE}", body) == (
        404,
        "PortNotFound",
        f"Port {NOWHERE} could not be found.",
    )
