"""Rescue: booting from another disk, and back."""

from typing import Any

import pytest

from aerostat.kernel.errors import DriverError

from .conftest import Cloud


async def rescued(cloud: Cloud, server_id: str, argument: Any = None) -> str:
    answer = await cloud.act(server_id, "rescue", argument)
    assert answer.status_code == 200, answer.text
    await cloud.settle()
    assert (await cloud.server(server_id))["status"] == "RESCUE"
    return str(answer.json()["adminPass"])


async def test_into_rescue_and_out_of_it(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    assert await rescued(cloud, server_id, {"adminPass": "s3cret"}) == "s3cret"
    shown = await cloud.server(server_id)
    assert (shown["OS-EXT-STS:vm_state"], shown["OS-EXT-STS:power_state"]) == ("rescued", 1)
    assert cloud.host().spec(server_id).rescue.image_id == cloud.image["id"]
    assert (await cloud.act(server_id, "unrescue")).status_code == 202
    await cloud.settle()
    assert (await cloud.server(server_id))["status"] == "ACTIVE"
    assert cloud.host().spec(server_id).rescue is None


async def test_an_image_says_how_it_is_plugged_in(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    image = cloud.world.add_image(hw_rescue_device="disk", hw_rescue_bus="usb")
    await rescued(cloud, server_id, {"rescue_image_ref": image["id"]})
    disk = cloud.host().spec(server_id).rescue
    assert (disk.image_id, disk.device, disk.bus) == (image["id"], "disk", "usb")


@pytest.mark.parametrize("odd", [{"hw_rescue_device": "tape"}, {"hw_rescue_bus": "parallel"}], ids=str)
async def test_an_image_that_wants_what_is_not_there(cloud: Cloud, odd: dict[str, str]) -> None:
    server_id = await cloud.active_server()
    image = cloud.world.add_image(**odd)
    answer = await cloud.act(server_id, "rescue", {"rescue_image_ref": image["id"]})
    assert answer.status_code == 400
    assert next(iter(odd.values())) in answer.text
    assert (await cloud.server(server_id))["status"] == "ACTIVE"


@pytest.mark.parametrize(
    "action", ["rescue", "rebuild", "resize", "createImage", "shelve", "pause", "reboot"]
)
async def test_what_a_rescued_server_cannot(cloud: Cloud, action: str) -> None:
    bodies: dict[str, Any] = {
        "rebuild": {"imageRef": cloud.image["id"]},
        "resize": {"flavorRef": "84"},
        "createImage": {"name": "x"},
        "reboot": {"type": "HARD"},
    }
    server_id = await cloud.active_server()
    await rescued(cloud, server_id)
    answer = await cloud.act(server_id, action, bodies.get(action))
    assert answer.status_code == 409, answer.text
    assert "rescued" in answer.text


async def test_only_servers_that_run_or_are_stopped_can_be_rescued(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await cloud.act(server_id, "pause")
    await cloud.settle()
    assert (await cloud.act(server_id, "rescue")).status_code == 409
    assert (await cloud.act(server_id, "unrescue")).status_code == 409
    assert (await cloud.act(server_id, "rescue", user="bob")).status_code == 404
    assert (await cloud.act(server_id, "rescue", user="ann")).status_code == 403


async def test_a_stopped_server_whose_rescue_fails_is_stopped_again(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await cloud.act(server_id, "os-stop")
    await cloud.settle()
    cloud.host().faults.fail("ensure_domain", error=DriverError("The disk is full."))
    assert (await cloud.act(server_id, "rescue")).status_code == 200
    await cloud.settle()
    assert (await cloud.server(server_id))["status"] == "SHUTOFF"
    assert cloud.host().spec(server_id).rescue is None


async def test_a_rescued_guest_that_died_is_rescued_again_and_a_deleted_one_is_gone(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await rescued(cloud, server_id)
    cloud.host().guest_crashes(server_id)
    await cloud.house.engine.run_one("compute.power")
    guest = await cloud.host().inspect_domain(server_id)
    assert guest.state == "running"
    assert cloud.host().spec(server_id).rescue is not None
    await cloud.ask("DELETE", f"/servers/{server_id}")
    await cloud.settle()
    assert await cloud.host().list_domains() == []
