"""Shelving: put away as an image, and taken out again."""

from typing import Any

import msgspec
import pytest

from aerostat.kernel.errors import DriverError

from .conftest import Cloud


async def do(cloud: Cloud, server_id: str, action: str, status: str, argument: Any = None, **kw: Any) -> None:
    answer = await cloud.act(server_id, action, argument, **kw)
    assert answer.status_code == 202, answer.text
    await cloud.settle()
    assert (await cloud.server(server_id))["status"] == status


def keep_on_host(cloud: Cloud) -> None:
    room = cloud.house.state["compute"]
    room.config = msgspec.structs.replace(room.config, keep_shelved_on_host=True)


async def test_on_the_shelf_and_down_again(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    addresses = (await cloud.server(server_id))["addresses"]
    await do(cloud, server_id, "shelve", "SHELVED_OFFLOADED")
    shown = await cloud.server(server_id, user="root")
    assert (shown["OS-EXT-SRV-ATTR:host"], shown["OS-EXT-STS:power_state"]) == (None, 0)
    assert shown["addresses"] == addresses
    (image,) = [one for one in cloud.world.images.values() if one["name"] == "one-shelved"]
    assert (image["status"], image["image_type"]) == ("active", "snapshot")
    assert await cloud.host().list_domains() == []
    assert cloud.world.allocations == {}

    await do(cloud, server_id, "unshelve", "ACTIVE")
    assert cloud.host().spec(server_id).root.image_id == image["id"]
    assert list(cloud.world.images) == [cloud.image["id"]]
    assert list(cloud.world.allocations) == [server_id]
    assert [port["binding:host_id"] for port in cloud.world.ports.values()] == ["fake-1"]
    assert (await cloud.server(server_id))["image"]["id"] == cloud.image["id"]


async def test_a_shelved_server_may_stay_on_its_host_until_it_is_offloaded(cloud: Cloud) -> None:
    keep_on_host(cloud)
    server_id = await cloud.active_server()
    await do(cloud, server_id, "shelve", "SHELVED")
    assert (await cloud.host().inspect_domain(server_id)).state == "shutoff"
    assert (await cloud.act(server_id, "shelveOffload")).status_code == 403
    await do(cloud, server_id, "unshelve", "ACTIVE")
    await do(cloud, server_id, "shelve", "SHELVED")
    await do(cloud, server_id, "shelveOffload", "SHELVED_OFFLOADED", user="root")
    assert await cloud.host().list_domains() == []


@pytest.mark.parametrize("action", ["os-stop", "pause", "suspend"])
async def test_whatever_rests_can_be_shelved(cloud: Cloud, action: str) -> None:
    server_id = await cloud.active_server()
    await cloud.act(server_id, action)
    await cloud.settle()
    await do(cloud, server_id, "shelve", "SHELVED_OFFLOADED")
    await do(cloud, server_id, "unshelve", "ACTIVE")


async def test_deletion_takes_the_image_too(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await do(cloud, server_id, "shelve", "SHELVED_OFFLOADED")
    await cloud.ask("DELETE", f"/servers/{server_id}")
    await cloud.settle()
    assert list(cloud.world.images) == [cloud.image["id"]]
    assert cloud.world.ports == {}


async def test_without_room_it_stays_on_the_shelf(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await do(cloud, server_id, "shelve", "SHELVED_OFFLOADED")
    cloud.host().faults.fail("ensure_domain", error=DriverError("The host is out of memory."))
    await do(cloud, server_id, "unshelve", "SHELVED_OFFLOADED")
    assert cloud.world.allocations == {}
    await do(cloud, server_id, "unshelve", "ACTIVE")


async def test_a_place_may_be_named(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    assert (await cloud.act(server_id, "unshelve")).status_code == 409
    await do(cloud, server_id, "shelve", "SHELVED_OFFLOADED")
    for version, body, status in [
        ("2.77", {"availability_zone": "nowhere"}, 400),
        ("2.77", {"host": "fake-1"}, 400),
        ("2.77", {}, 400),
        ("2.91", {}, 400),
        ("2.91", {"host": "nowhere"}, 403),
    ]:
        answer = await cloud.act(server_id, "unshelve", body, version=version)
        assert answer.status_code == status, (version, body, answer.text)
    answer = await cloud.act(server_id, "unshelve", {"host": "nowhere"}, version="2.91", user="root")
    assert answer.status_code == 400
    wanted = {"availability_zone": "nova", "host": "fake-1"}
    assert (await cloud.act(server_id, "unshelve", wanted, version="2.91", user="root")).status_code == 202
    await cloud.settle()
    shown = await cloud.server(server_id, version="2.96")
    assert (shown["status"], shown["pinned_availability_zone"]) == ("ACTIVE", "nova")


async def test_one_that_never_left_cannot_go_elsewhere(cloud: Cloud) -> None:
    keep_on_host(cloud)
    server_id = await cloud.active_server()
    await do(cloud, server_id, "shelve", "SHELVED")
    answer = await cloud.act(server_id, "unshelve", {"availability_zone": "nova"}, version="2.77")
    assert answer.status_code == 409


async def test_what_a_shelved_server_cannot(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await do(cloud, server_id, "shelve", "SHELVED_OFFLOADED")
    bodies: list[tuple[str, Any]] = [
        ("shelve", None),
        ("os-start", None),
        ("reboot", {"type": "HARD"}),
        ("createImage", {"name": "x"}),
        ("os-getConsoleOutput", {}),
        ("rescue", None),
    ]
    for action, body in bodies:
        assert (await cloud.act(server_id, action, body)).status_code == 409, action
