"""Every kind of change that matters to a driver, one after the other: for the fake world and the real one."""

from collections.abc import AsyncIterator
from typing import Any

from .conftest import Api, make_external, make_subnet


async def everything(api: Api) -> AsyncIterator[str]:
    """Do one thing after the other; after each, its name is yielded, so that the caller may look at the world."""
    root = api("root")
    external = await make_external(api)
    yield "external network"
    network = await api.make("networks", dns_domain="example.org.")
    subnet = await make_subnet(api, network["id"])
    yield "network with a subnet"
    second = await make_subnet(api, network["id"], "10.0.1.0/24")
    slaac = await make_subnet(
        api, network["id"], "fd00:7::/64", ipv6_address_mode="slaac", ipv6_ra_mode="slaac"
    )
    yield "more subnets"
    group = await api.make("security-groups", name="g")
    rule = await api.make(
        "security-group-rules",
        security_group_id=group["id"],
        direction="ingress",
        protocol="tcp",
        port_range_min=22,
        port_range_max=22,
        remote_ip_prefix="10.0.0.7/24",
    )
    yield "group with a rule"
    port = await api.make("ports", network_id=network["id"], dns_name="one", security_groups=[group["id"]])
    other = await api.make(
        "ports", network_id=network["id"], allowed_address_pairs=[{"ip_address": "10.0.0.200"}]
    )
    yield "ports"
    router = await api.make("routers", external_gateway_info={"network_id": external["id"]})
    yield "router"
    url = f"routers/{router['id']}"
    for one in (subnet, slaac):
        await api.request("PUT", f"{url}/add_router_interface", {"subnet_id": one["id"]})
        yield "leg"
    floating = await api.make("floatingips", floating_network_id=external["id"], port_id=port["id"])
    yield "floating IP"
    await api.change(url, routes=[{"destination": "10.7.0.0/16", "nexthop": "10.0.0.9"}])
    yield "route"
    await root.change(url, external_gateway_info={"network_id": external["id"], "enable_snat": False})
    yield "no SNAT"
    await root.change(url, external_gateway_info={"network_id": external["id"], "enable_snat": True})
    yield "SNAT"
    await api.change(f"subnets/{subnet['id']}", dns_nameservers=["9.9.9.9"])
    yield "name servers"
    await api.change(f"subnets/{second['id']}", enable_dhcp=False)
    yield "no DHCP"
    await api.change(f"subnets/{second['id']}", enable_dhcp=True)
    yield "DHCP again"
    await api.change(
        f"ports/{port['id']}", extra_dhcp_opts=[{"opt_name": "bootfile-name", "opt_value": "pxe.0"}]
    )
    yield "DHCP options of a port"
    await api.change(f"subnets/{subnet['id']}", dns_nameservers=["9.9.9.10"])
    yield "what its subnet says"
    await api.change(f"networks/{network['id']}", mtu=1400)
    yield "smaller frames"
    await api.change(f"networks/{network['id']}", dns_domain="example.net.")
    yield "another domain"
    await api.change(
        f"ports/{port['id']}", fixed_ips=[{"subnet_id": subnet["id"]}, {"subnet_id": second["id"]}]
    )
    yield "another address"
    await api.change(f"ports/{other['id']}", security_groups=[group["id"]], admin_state_up=False)
    yield "another group, down"
    await api.change(
        f"ports/{other['id']}", security_groups=[], port_security_enabled=False, allowed_address_pairs=[]
    )
    yield "no port security"
    body = {"port": {"binding:host_id": "node1", "device_id": "s1", "device_owner": "compute:nova"}}
    await root.request("PUT", f"ports/{port['id']}", body)
    yield "bound"
    remote = await api.make("security-groups", name="remote")
    await api.make(
        "security-group-rules",
        security_group_id=group["id"],
        direction="ingress",
        remote_group_id=remote["id"],
    )
    yield "rule with a remote group"
    await api.delete(f"security-groups/{remote['id']}")
    yield "remote group gone"
    await api.delete(f"security-group-rules/{rule['id']}")
    yield "rule gone"
    await api.change(f"floatingips/{floating['id']}", port_id=None)
    yield "floating IP loose"
    await api.change(f"floatingips/{floating['id']}", port_id=port["id"], fixed_ip_address="10.0.0.3")
    yield "floating IP again"
    await api.delete(f"ports/{port['id']}")
    yield "port gone"
    await api.change(url, routes=[])
    await api.change(url, admin_state_up=False, external_gateway_info=None)
    yield "router without gateway, down"
    await api.request("PUT", f"{url}/remove_router_interface", {"subnet_id": slaac["id"]})
    yield "leg gone"
    await api.delete(f"subnets/{slaac['id']}")
    yield "subnet gone"
    await api.request("PUT", f"{url}/remove_router_interface", {"subnet_id": subnet["id"]})
    await api.delete(url)
    yield "router gone"
    await api.delete(f"ports/{other['id']}")
    await api.delete(f"networks/{network['id']}")
    await api.delete(f"security-groups/{group['id']}")
    await api.delete(f"floatingips/{floating['id']}")
    await root.delete(f"networks/{external['id']}")
    yield "all gone"


async def things_of(api: Api) -> dict[Any, Any]:
    """Everything as the rows describe it."""
    from aerostat.services.network.config import NetworkConfig
    from aerostat.services.network.host.protocol import key_of
    from aerostat.services.network.topology import read_things

    things = await read_things(api.house.store, api.house.config.section(NetworkConfig))
    return {key_of(thing): thing for thing in things}
