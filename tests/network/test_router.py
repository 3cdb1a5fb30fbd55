"""Routers, their legs and gateways; floating IPs."""

from typing import Any

from .conftest import Api, make_external, make_subnet

NOWHERE = "7d1f3a52-6a39-4bd6-9d3f-95cf7a0e5f7a"


async def make_private(api: Api, cidr: str = "10.0.0.0/24") -> tuple[str, str]:
    network = await api.make("networks")
    return network["id"], (await make_subnet(api, network["id"], cidr))["id"]


async def join(api: Api, router_id: str, **where: str) -> Any:
    answer = await api.request("PUT", f"routers/{router_id}/add_router_interface", where)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_new_router(api: Api) -> None:
    external = await make_external(api)
    made = await api.make("routers", name="r", external_gateway_info={"network_id": external["id"]})
    assert made.pop("created_at").endswith("Z")
    assert made.pop("updated_at").endswith("Z")
    assert made == {
        "id": made["id"],
        "name": "r",
        "description": "",
        "project_id": "p1",
        "tenant_id": "p1",
        "status": "ACTIVE",
        "admin_state_up": True,
        "external_gateway_info": {
            "network_id": external["id"],
            "enable_snat": True,
            "external_fixed_ips": [{"subnet_id": (await api.get(f"networks/{external['id']}"))["network"]["subnets"][0],
                                    "ip_address": "172.24.4.10"}],
        },
        "routes": [],
        "availability_zone_hints": [],
        "availability_zones": ["nova"],
        "flavor_id": None,
        "tags": [],
        "revision_number": 1,
    }  # fmt: skip
    assert (await api.get("ports"))["ports"] == []
    gateways = (await api("root").get("ports?device_owner=network:router_gateway"))["ports"]
    assert [(one["device_id"], one["project_id"]) for one in gateways] == [(made["id"], "")]


async def test_gateways_come_and_go(api: Api) -> None:
    external = await make_external(api)
    router = await api.make("routers")
    assert router["external_gateway_info"] is None
    url = f"routers/{router['id']}"
    out = await api.change(url, external_gateway_info={"network_id": external["id"], "enable_snat": True})
    assert out["external_gateway_info"]["external_fixed_ips"][0]["ip_address"] == "172.24.4.10"
    refused = await api.refused(
        "PUT",
        url,
        {"router": {"external_gateway_info": {"network_id": external["id"], "enable_snat": False}}},
    )
    assert refused[:2] == (403, "PolicyNotAuthorized")
    root = api("root")
    plain = await root.change(url, external_gateway_info={
        "network_id": external["id"], "enable_snat": False, "external_fixed_ips": [{"ip_address": "172.24.4.15"}],
    })  # fmt: skip
    assert plain["external_gateway_info"]["enable_snat"] is False
    assert plain["external_gateway_info"]["external_fixed_ips"][0]["ip_address"] == "172.24.4.15"
    for nothing in ({}, None):
        assert (await api.change(url, external_gateway_info=nothing))["external_gateway_info"] is None
    assert (await root.get("ports?device_owner=network:router_gateway"))["ports"] == []
    inner, _ = await make_private(api)
    for gateway, kind in (
        ({"network_id": inner}, "BadRequest"),
        ({"network_id": NOWHERE}, "NetworkNotFound"),
        ({"network_id": "x"}, "HTTPBadRequest"),
        ("x", "HTTPBadRequest"),
        ({"net": "x"}, "HTTPBadRequest"),
    ):
        assert (await api.refused("PUT", url, {"router": {"external_gateway_info": gateway}}))[1] == kind, (
            gateway
        )


async def test_interfaces_by_subnet_and_by_port(api: Api) -> None:
    network_id, subnet_id = await make_private(api)
    router = await api.make("routers")
    joined = await join(api, router["id"], subnet_id=subnet_id)
    assert joined == {
        "id": router["id"],
        "project_id": "p1",
        "tenant_id": "p1",
        "port_id": joined["port_id"],
        "network_id": network_id,
        "subnet_id": subnet_id,
        "subnet_ids": [subnet_id],
        "tags": [],
    }
    leg = (await api.get(f"ports/{joined['port_id']}"))["port"]
    assert (leg["device_owner"], leg["device_id"]) == ("network:router_interface", router["id"])
    assert leg["fixed_ips"][0]["ip_address"] == "10.0.0.1"
    again = await api.refused("PUT", f"routers/{router['id']}/add_router_interface", {"subnet_id": subnet_id})
    assert again[:2] == (400, "BadRequest")
    other_network, other_subnet = await make_private(api, "10.1.0.0/24")
    port = await api.make("ports", network_id=other_network)
    assert (await join(api, router["id"], port_id=port["id"]))["subnet_id"] == other_subnet
    taken = await api.refused("PUT", f"routers/{router['id']}/add_router_interface", {"port_id": port["id"]})
    assert taken[:2] == (409, "PortInUse")
    _, overlapping = await make_private(api, "10.0.0.128/25")
    clash = await api.refused(
        "PUT", f"routers/{router['id']}/add_router_interface", {"subnet_id": overlapping}
    )
    assert "overlaps with cidr 10.0.0.0/24" in clash[2]
    assert (await api.refused("DELETE", f"routers/{router['id']}")) == (
        409,
        "RouterInUse",
        f"Router {router['id']} still has ports",
    )
    for where in ({"subnet_id": subnet_id}, {"port_id": port["id"]}):
        gone = await api.request("PUT", f"routers/{router['id']}/remove_router_interface", where)
        assert gone.status_code == 200
    assert (await api.refused("GET", f"ports/{port['id']}"))[0] == 404
    await api.delete(f"routers/{router['id']}")


async def test_interfaces_that_are_refused(api: Api) -> None:
    router = await api.make("routers")
    network_id, subnet_id = await make_private(api)
    add, remove = (f"routers/{router['id']}/{verb}_router_interface" for verb in ("add", "remove"))
    bare = await api.make("ports", network_id=network_id, fixed_ips=[])
    lone = await api.make("networks")
    no_gateway = await make_subnet(api, lone["id"], "10.5.0.0/24", gateway_ip=None)
    for url, body, kind in (
        (add, {}, "HTTPBadRequest"),
        (add, {"subnet_id": NOWHERE}, "SubnetNotFound"),
        (add, {"subnet_id": "x"}, "HTTPBadRequest"),
        (add, {"port_id": NOWHERE}, "PortNotFound"),
        (add, {"port_id": bare["id"]}, "BadRequest"),
        (add, {"subnet_id": no_gateway["id"]}, "BadRequest"),
        (add, {"subnet_id": subnet_id, "port_id": NOWHERE}, "HTTPBadRequest"),
        (add, {"colour": 1}, "HTTPBadRequest"),
        (add, [], "HTTPBadRequest"),
        (remove, {"subnet_id": subnet_id}, "RouterInterfaceNotFoundForSubnet"),
        (remove, {"subnet_id": NOWHERE}, "SubnetNotFound"),
        (remove, {"port_id": NOWHERE}, "RouterInterfaceNotFound"),
    ):
        assert (await api.refused("PUT", url, body))[1] == kind, body
    bob = api("bob")
    mine = await bob.make("routers")
    refused = await bob.refused("PUT", f"routers/{mine['id']}/add_router_interface", {"subnet_id": subnet_id})
    assert refused[:2] == (404, "SubnetNotFound")
    assert (await bob.refused("PUT", add, {"subnet_id": subnet_id}))[:2] == (404, "RouterNotFound")


async def test_routes(api: Api) -> None:
    _, subnet_id = await make_private(api)
    router = await api.make("routers")
    await join(api, router["id"], subnet_id=subnet_id)
    url = f"routers/{router['id']}"
    way = {"destination": "10.7.0.0/16", "nexthop": "10.0.0.9"}
    assert (await api.change(url, routes=[way]))["routes"] == [way]
    for routes in ([{**way, "nexthop": "10.9.0.1"}], [{**way, "nexthop": "10.0.0.1"}]):
        assert (await api.refused("PUT", url, {"router": {"routes": routes}}))[:2] == (400, "InvalidRoutes")
    assert (await api.refused("PUT", url, {"router": {"routes": [{"nexthop": "x"}]}}))[1] == "HTTPBadRequest"
    held = await api.refused("PUT", f"{url}/remove_router_interface", {"subnet_id": subnet_id})
    assert held[1] == "RouterInterfaceInUseByRoute"
    more = {"destination": "10.8.0.0/16", "nexthop": "10.0.0.9"}
    added = await api.request("PUT", f"{url}/add_extraroutes", {"router": {"routes": [more]}})
    assert added.json()["router"]["routes"] == [way, more]
    less = await api.request("PUT", f"{url}/remove_extraroutes", {"router": {"routes": [way]}})
    assert less.json()["router"]["routes"] == [more]
    assert (await api.change(url, routes=None))["routes"] == []


async def make_reachable(api: Api) -> tuple[Any, Any, Any]:
    """An external network, a router that leads there, and a port behind it."""
    external = await make_external(api)
    network_id, subnet_id = await make_private(api)
    router = await api.make("routers", external_gateway_info={"network_id": external["id"]})
    await join(api, router["id"], subnet_id=subnet_id)
    return external, router, await api.make("ports", network_id=network_id)


async def test_a_floating_ip_of_a_port(api: Api) -> None:
    external, router, port = await make_reachable(api)
    made = await api.make("floatingips", floating_network_id=external["id"], port_id=port["id"])
    assert made.pop("created_at").endswith("Z")
    assert made.pop("updated_at").endswith("Z")
    assert made == {
        "id": made["id"],
        "description": "",
        "project_id": "p1",
        "tenant_id": "p1",
        "floating_network_id": external["id"],
        "floating_ip_address": "172.24.4.11",
        "fixed_ip_address": "10.0.0.3",
        "port_id": port["id"],
        "router_id": router["id"],
        "status": "DOWN",
        "dns_name": "",
        "dns_domain": "",
        "port_details": {
            "name": "",
            "network_id": port["network_id"],
            "mac_address": port["mac_address"],
            "admin_state_up": True,
            "status": "DOWN",
            "device_id": "",
            "device_owner": "",
        },
        "port_forwardings": [],
        "tags": [],
        "revision_number": 1,
    }
    await api.settle()
    url = f"floatingips/{made['id']}"
    assert (await api.get(url))["floatingip"]["status"] == "ACTIVE"
    loose = await api.change(url, port_id=None)
    assert (loose["port_id"], loose["fixed_ip_address"], loose["router_id"], loose["status"]) == (
        None,
        None,
        None,
        "DOWN",
    )
    assert (await api.change(url, port_id=port["id"]))["router_id"] == router["id"]
    await api.delete(f"ports/{port['id']}")
    assert (await api.get(url))["floatingip"]["port_id"] is None
    await api.delete(url)
    assert (await api("root").get("ports?device_owner=network:floatingip"))["ports"] == []


async def test_what_a_floating_ip_holds(api: Api) -> None:
    external, router, port = await make_reachable(api)
    made = await api.make("floatingips", floating_network_id=external["id"], port_id=port["id"])
    second = {"floatingip": {"floating_network_id": external["id"], "port_id": port["id"]}}
    status, kind, message = await api.refused("POST", "floatingips", second)
    assert (status, kind) == (409, "FloatingIPPortAlreadyAssociated")
    assert f"({made['id']}) with port {port['id']} using fixed IP 10.0.0.3" in message
    url = f"routers/{router['id']}"
    assert (await api.refused("PUT", url, {"router": {"external_gateway_info": None}}))[1] == (
        "RouterExternalGatewayInUseByFloatingIp"
    )
    held = await api.refused(
        "PUT", f"{url}/remove_router_interface", {"subnet_id": port["fixed_ips"][0]["subnet_id"]}
    )
    assert held[1] == "RouterInterfaceInUseByFloatingIP"


async def test_floating_ips_that_are_refused(api: Api) -> None:
    external, _, port = await make_reachable(api)
    apart, _ = await make_private(api, "10.9.0.0/24")
    lone = await api.make("ports", network_id=apart)
    bare = await api.make("ports", network_id=apart, fixed_ips=[])
    for attributes, kind in (
        ({"port_id": lone["id"]}, "ExternalGatewayForFloatingIPNotFound"),
        ({"port_id": bare["id"]}, "BadRequest"),
        ({"port_id": NOWHERE}, "PortNotFound"),
        ({"port_id": "x"}, "HTTPBadRequest"),
        ({"port_id": port["id"], "fixed_ip_address": "10.0.0.99"}, "BadRequest"),
        ({"fixed_ip_address": "10.0.0.3"}, "BadRequest"),
        ({"floating_network_id": apart}, "BadRequest"),
        ({"floating_network_id": NOWHERE}, "NetworkNotFound"),
        ({"floating_ip_address": "172.24.4.19"}, "PolicyNotAuthorized"),
    ):
        body = {"floatingip": {"floating_network_id": external["id"], **attributes}}
        assert (await api.refused("POST", "floatingips", body))[1] == kind, attributes
    assert (await api("root").get("ports?device_owner=network:floatingip"))["ports"] == []
    mine = await api.make("floatingips", floating_network_id=external["id"])
    bob = api("bob")
    assert (await bob.refused("GET", f"floatingips/{mine['id']}"))[:2] == (404, "FloatingIPNotFound")
    assert (await bob.get("floatingips"))["floatingips"] == []


async def test_an_external_network_runs_out(api: Api) -> None:
    external = await make_external(api)
    for _ in range(11):
        await api.make("floatingips", floating_network_id=external["id"])
    body = {"floatingip": {"floating_network_id": external["id"]}}
    assert (await api.refused("POST", "floatingips", body))[:2] == (400, "ExternalIpAddressExhausted")
    router = {"router": {"external_gateway_info": {"network_id": external["id"]}}}
    assert (await api.refused("POST", "routers", router))[1] == "ExternalIpAddressExhausted"
    assert (await api.get("routers"))["routers"] == []
