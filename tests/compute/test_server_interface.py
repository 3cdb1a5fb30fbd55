"""Network cards of a server: attach, list, detach, and what is left when it fails."""

from typing import Any

import pytest

from aerostat.kernel.errors import DriverError

from .conftest import Cloud

NOWHERE = "00000000-0000-0000-0000-000000000000"


async def attach(cloud: Cloud, server_id: str, version: str | None = None, **attributes: Any) -> Any:
    body = {"interfaceAttachment": attributes}
    return await cloud.ask("POST", f"/servers/{server_id}/os-interface", body, version=version)


async def ports_of(cloud: Cloud, server_id: str) -> list[str]:
    return list((await cloud.host().inspect_domain(server_id)).ports)


async def test_attach_and_detach(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    other = cloud.world.add_network(name="other")
    made = await attach(cloud, server_id, net_id=other["id"])
    assert made.status_code == 200, made.text
    interface = made.json()["interfaceAttachment"]
    assert set(interface) == {"port_state", "fixed_ips", "mac_addr", "net_id", "port_id"}
    await cloud.settle()
    assert interface["port_id"] in await ports_of(cloud, server_id)
    assert list((await cloud.server(server_id))["addresses"]) == ["private", "other"]
    url = f"/servers/{server_id}/os-interface"
    listed = (await cloud.get(url))["interfaceAttachments"]
    assert len(listed) == 2
    assert (await cloud.get(f"{url}/{interface['port_id']}"))["interfaceAttachment"] == interface
    assert (await cloud.ask("GET", f"{url}/{NOWHERE}")).status_code == 404
    assert (await cloud.ask("DELETE", f"{url}/{interface['port_id']}")).status_code == 202
    await cloud.settle()
    assert len(await ports_of(cloud, server_id)) == 1
    assert interface["port_id"] not in cloud.world.ports
    assert (await cloud.ask("DELETE", f"{url}/{interface['port_id']}")).status_code == 404


async def test_every_way_to_ask(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    assert (await attach(cloud, server_id)).status_code == 200  # the one network there is
    fixed = await attach(
        cloud, server_id, net_id=cloud.network["id"], fixed_ips=[{"ip_address": "10.0.0.99"}]
    )
    assert fixed.json()["interfaceAttachment"]["fixed_ips"][0]["ip_address"] == "10.0.0.99"
    tagged = await attach(cloud, server_id, "2.70", net_id=cloud.network["id"], tag="second")
    assert tagged.json()["interfaceAttachment"]["tag"] == "second"
    client = cloud.house.client("network", await cloud.house.authenticate("alice"))
    port = await client.create_port(network_id=cloud.network["id"], project_id="p1")
    assert (await attach(cloud, server_id, port_id=port["id"])).status_code == 200
    await cloud.settle()
    assert len(await ports_of(cloud, server_id)) == 5
    await cloud.ask("DELETE", f"/servers/{server_id}/os-interface/{port['id']}")
    await cloud.settle()
    assert cloud.world.ports[port["id"]]["device_id"] == ""


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"net_id": NOWHERE}, 400),
        ({"port_id": NOWHERE}, 400),
        ({"net_id": "odd"}, 400),
        ({"net_id": NOWHERE, "port_id": NOWHERE}, 400),
        ({"fixed_ips": [{"ip_address": "10.0.0.4"}]}, 400),
        ({"tag": "x"}, 400),
        ({"odd": 1}, 400),
    ],
)
async def test_refusals(cloud: Cloud, asked: dict[str, Any], status: int) -> None:
    server_id = await cloud.active_server()
    assert (await attach(cloud, server_id, **asked)).status_code == status
    assert len(cloud.world.ports) == 1


async def test_a_host_that_cannot_gives_the_port_back(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    cloud.host().faults.fail("ensure_interface", error=DriverError("No slot is free."))
    assert (await attach(cloud, server_id)).status_code == 200
    await cloud.settle()
    assert len(cloud.world.ports) == 1
    server = await cloud.server(server_id)
    assert (server["status"], len(server["addresses"]["private"])) == ("ACTIVE", 1)
    action = (await cloud.get(f"/servers/{server_id}/os-instance-actions"))["instanceActions"][0]
    assert (action["action"], action["message"]) == ("attach_interface", "Error")


async def test_a_stopped_server_gets_it_with_its_next_start(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await cloud.act(server_id, "os-stop")
    await cloud.settle()
    assert (await attach(cloud, server_id)).status_code == 200
    await cloud.settle()
    await cloud.act(server_id, "os-start")
    await cloud.settle()
    assert len(await ports_of(cloud, server_id)) == 2
    await cloud.act(server_id, "suspend")
    await cloud.settle()
    assert (await attach(cloud, server_id)).status_code == 409


async def test_external_networks_are_for_administrators(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    external = cloud.world.add_network("p1", "public", **{"router:external": True, "shared": False})
    client = cloud.house.client("network", await cloud.house.authenticate("alice"))
    port = await client.create_port(network_id=external["id"], project_id="p1")
    for asked in ({"net_id": external["id"]}, {"port_id": port["id"]}):
        answer = await attach(cloud, server_id, **asked)
        assert answer.status_code == 400
        assert "external network" in answer.text
        body = {"interfaceAttachment": asked}
        url = f"/servers/{server_id}/os-interface"
        assert (await cloud.ask("POST", url, body, user="root")).status_code == 200


async def test_a_network_without_subnets_is_none(cloud: Cloud) -> None:
    server_id = await cloud.active_server(version="2.37", networks="none")
    cloud.world.networks.clear()
    cloud.world.add_network(name="bare", subnets=[])
    answer = await attach(cloud, server_id)
    assert answer.status_code == 400
    assert "subnet" in answer.text
