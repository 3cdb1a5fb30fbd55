"""Quotas, tags, agents, extensions, zones and address counts."""

import pytest

from aerostat.kernel.clock import clock

from .conftest import Api, make_subnet


async def test_quotas(api: Api) -> None:
    mine = (await api.get("quotas/p1"))["quota"]
    assert mine == {
        "network": 100, "subnet": 100, "subnetpool": -1, "port": 500, "router": 10, "floatingip": 50,
        "security_group": 10, "security_group_rule": 100, "rbac_policy": 10,
    }  # fmt: skip
    assert (await api.get("quotas/p1/default"))["quota"] == mine
    assert (await api.refused("GET", "quotas/p2"))[:2] == (403, "PolicyNotAuthorized")
    assert (await api.refused("PUT", "quotas/p1", {"quota": {"network": 5}}))[0] == 403
    assert (await api.refused("GET", "quotas"))[0] == 403
    root = api("root")
    changed = await root.request("PUT", "quotas/p1", {"quota": {"network": "1", "port": -1}})
    assert changed.json()["quota"] == {**mine, "network": 1, "port": -1}
    assert (await root.get("quotas"))["quotas"] == [
        {**mine, "network": 1, "port": -1, "project_id": "p1", "tenant_id": "p1"}
    ]
    await api.make("networks")
    assert (await api.refused("POST", "networks", {"network": {}}))[:2] == (409, "OverQuota")
    details = (await api.get("quotas/p1/details.json"))["quota"]
    assert details["network"] == {"limit": 1, "used": 1, "reserved": 0}
    assert (await root.request("DELETE", "quotas/p1")).status_code == 204
    assert (await root.refused("DELETE", "quotas/p1"))[:2] == (404, "TenantQuotaNotFound")
    assert (await api.get("quotas/p1"))["quota"] == mine


@pytest.mark.parametrize(
    "quota",
    [
        {"planets": 1},
        {"network": "many"},
        {"network": -2},
        {"network": 1 << 40},
        {"network": None},
        {"network": 1.5},
    ],
)
async def test_limits_that_are_refused(api: Api, quota: object) -> None:
    assert (await api("root").refused("PUT", "quotas/p1", {"quota": quota}))[:2] == (400, "HTTPBadRequest")
    assert (await api("root").refused("PUT", "quotas/p1", quota))[0] == 400


@pytest.mark.parametrize("kind", ["networks", "routers", "security_groups", "security-groups"])
async def test_tags(api: Api, kind: str) -> None:
    thing = await api.make(kind.replace("_", "-"), name="t")
    url = f"{kind}/{thing['id']}/tags"
    assert await api.get(url) == {"tags": []}
    assert (await api.request("PUT", f"{url}/red")).status_code == 201
    assert (await api.request("PUT", url, {"tags": ["blue", "a b", "blue"]})).json() == {
        "tags": ["a b", "blue"]
    }
    assert (await api.request("POST", url, {"tags": ["red"]})).json() == {"tags": ["a b", "blue", "red"]}
    for tag, status in (("a%20b", 204), ("green", 404)):
        assert (await api.request("GET", f"{url}/{tag}")).status_code == status
        assert (await api.request("DELETE", f"{url}/{tag}")).status_code == status
    assert (await api.refused("GET", f"{url}/green"))[1:] == ("TagNotFound", "Tag green could not be found.")
    assert (await api.request("DELETE", url)).status_code == 204
    assert await api.get(url) == {"tags": []}
    for body in (None, {}, {"tags": "red"}, {"tags": [1]}, {"tags": ["x" * 256]}, {"tags": [""]}):
        assert (await api.refused("PUT", url, body))[0] == 400
    assert (await api("bob").refused("PUT", f"{url}/red"))[0] == 404
    assert (await api("reader").refused("PUT", f"{url}/red"))[0] == 403
    assert (await api.refused("GET", f"planets/{thing['id']}/tags"))[:2] == (404, "HTTPNotFound")


async def test_agents(api: Api) -> None:
    root = api("root")
    await api.settle()
    agents = (await root.get("agents"))["agents"]
    assert {one["agent_type"] for one in agents} == {"OVN Controller Gateway agent", "OVN Metadata agent"}
    agent = agents[0]
    assert (agent["alive"], agent["admin_state_up"], agent["availability_zone"]) == (True, True, "nova")
    assert "T" not in agent["heartbeat_timestamp"]
    url = f"agents/{agent['id']}"
    changed = await root.request("PUT", url, {"agent": {"description": "d"}})
    assert changed.json()["agent"]["description"] == "d"
    assert (await root.refused("DELETE", url))[0] == 409
    assert (await api.get("agents"))["agents"] == []
    assert (await api.refused("GET", url))[:2] == (404, "AgentNotFound")
    clock.stop()
    try:
        clock.step(minutes=5)
        assert (await root.get("agents?alive=True"))["agents"] == []
        assert (await root.get(url))["agent"]["alive"] is False
        await root.delete(url)
    finally:
        clock.run()
    assert (await root.refused("GET", url))[:2] == (404, "AgentNotFound")


async def test_agents_of_a_host_live_while_it_carries_a_port(api: Api) -> None:
    root = api("root")
    network = await api.make("networks")
    port = await root.make("ports", network_id=network["id"], **{"binding:host_id": "node1"})
    await api.settle()
    half = api.house.state["network.host_half"]("node1")

    async def alive() -> dict[str, bool]:
        found = (await root.get("agents?host=node1"))["agents"]
        return {one["agent_type"]: one["alive"] for one in found}

    async def pass_time(minutes: float) -> None:
        clock.step(minutes=minutes)
        await api.settle()

    clock.stop()
    try:
        await half.plug_port(port["id"], port["mac_address"], 1442)
        await pass_time(1)
        both = {"OVN Controller Gateway agent": True, "OVN Metadata agent": True}
        assert await alive() == both
        for _ in range(5):
            await pass_time(0.5)
        assert await alive() == both
        await half.unplug_port(port["id"])
        await api.settle()
        for _ in range(5):
            await pass_time(0.5)
        assert await alive() == dict.fromkeys(both, False)
        await half.plug_port(port["id"], port["mac_address"], 1442)
        await api.settle()
        api.driver.fail("check_answers", times=1000)
        for _ in range(5):
            await pass_time(0.5)
        for agent in (await root.get("agents?host=node1"))["agents"]:
            await root.delete(f"agents/{agent['id']}")
        api.driver.faults.heal()
        await pass_time(0.5)
        assert await alive() == both
    finally:
        clock.run()


async def test_extensions(api: Api) -> None:
    aliases = {one["alias"] for one in (await api.get("extensions"))["extensions"]}
    assert {"router", "security-group", "quotas", "standard-attr-tag", "extraroute"} <= aliases
    assert not aliases & {"qos", "trunk", "dvr", "l3-ha", "dhcp_agent_scheduler", "segment"}
    assert (await api.get("extensions/router"))["extension"]["name"] == "Neutron L3 Router"
    assert (await api.refused("GET", "extensions/vpnaas"))[0] == 404


async def test_zones_and_providers(api: Api) -> None:
    zones = (await api.get("availability_zones"))["availability_zones"]
    assert zones == [
        {"name": "nova", "resource": "network", "state": "available"},
        {"name": "nova", "resource": "router", "state": "available"},
    ]
    assert len((await api.get("availability_zones?resource=router"))["availability_zones"]) == 1
    assert len((await api.get("service-providers"))["service_providers"]) == 1


async def test_how_many_addresses_are_left(api: Api) -> None:
    network = await api.make("networks", name="n")
    subnet = await make_subnet(api, network["id"], "10.0.0.0/28")
    await api.make("ports", network_id=network["id"])
    root = api("root")
    found = (await root.get(f"network-ip-availabilities/{network['id']}"))["network_ip_availability"]
    assert found == {
        "network_id": network["id"],
        "network_name": "n",
        "project_id": "p1",
        "tenant_id": "p1",
        "total_ips": 13,
        "used_ips": 2,
        "subnet_ip_availability": [
            {
                "subnet_id": subnet["id"],
                "subnet_name": "",
                "cidr": "10.0.0.0/28",
                "ip_version": 4,
                "total_ips": 13,
                "used_ips": 2,
            }
        ],
    }
    assert (await root.get("network-ip-availabilities?network_name=n"))["network_ip_availabilities"] == [
        found
    ]
    assert (await root.get("network-ip-availabilities?ip_version=6"))["network_ip_availabilities"][0][
        "total_ips"
    ] == 0
    assert (await root.refused("GET", "network-ip-availabilities?ip_version=x"))[0] == 400
    assert (await api.get("network-ip-availabilities"))["network_ip_availabilities"] == []
    assert (await api.refused("GET", f"network-ip-availabilities/{network['id']}"))[0] == 403
