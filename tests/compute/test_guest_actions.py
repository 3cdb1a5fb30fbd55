"""What is done inside a guest that runs, and the actions of administrators."""

import pytest

from aerostat.kernel.errors import DriverError

from .conftest import Cloud


async def test_the_password_of_the_images_administrator_is_changed(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    assert (await cloud.act(server_id, "changePassword", {"adminPass": "new"})).status_code == 202
    assert cloud.host()._guests[server_id].passwords == {"root": "new"}
    image = cloud.world.add_image(os_admin_user="Administrator")
    other = await cloud.active_server(imageRef=image["id"])
    await cloud.act(other, "changePassword", {"adminPass": "new"})
    assert cloud.host()._guests[other].passwords == {"Administrator": "new"}


async def test_a_guest_without_an_agent_is_a_conflict_and_says_so(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    cloud.host().faults.fail(
        "set_password", error=DriverError("The guest's agent did not change the password.")
    )
    answer = await cloud.act(server_id, "changePassword", {"adminPass": "new"})
    assert answer.status_code == 409
    assert "agent" in answer.text


async def test_an_interrupt_for_a_crash_dump(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    assert (await cloud.act(server_id, "trigger_crash_dump", version="2.16")).status_code == 400
    assert (await cloud.act(server_id, "trigger_crash_dump", version="2.17")).status_code == 202
    assert cloud.host()._guests[server_id].interrupts == 1


@pytest.mark.parametrize("action", ["changePassword", "trigger_crash_dump"])
async def test_servers_that_are_off(cloud: Cloud, action: str) -> None:
    server_id = await cloud.active_server()
    await cloud.act(server_id, "os-stop")
    await cloud.settle()
    body = {"adminPass": "new"} if action == "changePassword" else None
    assert (await cloud.act(server_id, action, body, version="2.17")).status_code == 409


async def test_what_is_known_of_the_network_is_read_anew(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    for port in cloud.world.ports.values():
        port["fixed_ips"] = [{"subnet_id": "s", "ip_address": "10.0.0.99"}]
    assert (await cloud.act(server_id, "injectNetworkInfo")).status_code == 403
    assert (await cloud.act(server_id, "injectNetworkInfo", user="root")).status_code == 202
    assert (await cloud.server(server_id))["addresses"]["private"][0]["addr"] == "10.0.0.99"


async def test_a_hard_reboot_is_an_action_of_upstreams_name(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await cloud.act(server_id, "reboot", {"type": "HARD"})
    await cloud.settle()
    actions = (await cloud.get(f"/servers/{server_id}/os-instance-actions"))["instanceActions"]
    assert [one["action"] for one in actions] == ["reboot", "create"]


async def test_servers_have_no_topology_to_show(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    path = f"/servers/{server_id}/topology"
    assert await cloud.get(path, version="2.78") == {"nodes": [], "pagesize_kb": None}
    assert (await cloud.ask("GET", path, version="2.77")).status_code == 404
    assert (await cloud.ask("GET", path, version="2.78", user="bob")).status_code == 404
