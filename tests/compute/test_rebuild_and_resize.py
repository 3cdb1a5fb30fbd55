"""A fresh disk, or another flavor."""

from typing import Any

import pytest

from aerostat.kernel.errors import DriverError

from .conftest import MICRO, NANO, Cloud


async def rebuild(cloud: Cloud, server_id: str, version: str | None = None, **body: Any) -> Any:
    return await cloud.act(server_id, "rebuild", {"imageRef": cloud.image["id"], **body}, version=version)


async def test_rebuild(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    before = (await cloud.host().inspect_domain(server_id)).ports
    image = cloud.world.add_image(name="new")
    answer = await rebuild(
        cloud, server_id, imageRef=image["id"], name="renamed", metadata={"a": "b"}, adminPass="secret"
    )
    assert answer.status_code == 202, answer.text
    server = answer.json()["server"]
    assert (server["status"], server["adminPass"], server["image"]["id"]) == (
        "REBUILD",
        "secret",
        image["id"],
    )
    assert "OS-EXT-STS:vm_state" not in server
    await cloud.settle()
    shown = await cloud.server(server_id)
    assert (shown["status"], shown["name"], shown["metadata"]) == ("ACTIVE", "renamed", {"a": "b"})
    assert cloud.host().spec(server_id).root.image_id == image["id"]
    assert (await cloud.host().inspect_domain(server_id)).ports == before


async def test_rebuild_of_a_stopped_server_leaves_it_stopped(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await cloud.act(server_id, "os-stop")
    await cloud.settle()
    whole = await rebuild(cloud, server_id, "2.75")
    assert {"OS-EXT-STS:vm_state", "user_data", "adminPass"} <= set(whole.json()["server"])
    await cloud.settle()
    assert (await cloud.server(server_id))["status"] == "SHUTOFF"


@pytest.mark.parametrize(
    ("body", "version", "status"),
    [
        ({"imageRef": "odd"}, None, 400),
        ({"imageRef": "00000000-0000-0000-0000-000000000000"}, None, 400),
        ({"name": ""}, None, 400),
        ({"odd": 1}, None, 400),
        ({"key_name": "x"}, None, 400),
        ({"key_name": "none"}, "2.54", 400),
        ({"user_data": "!"}, "2.57", 400),
        ({"personality": []}, "2.57", 400),
    ],
)
async def test_rebuild_refusals(cloud: Cloud, body: dict[str, Any], version: str | None, status: int) -> None:
    server_id = await cloud.active_server()
    assert (await rebuild(cloud, server_id, version, **body)).status_code == status
    assert (await cloud.server(server_id))["status"] == "ACTIVE"


async def resize(cloud: Cloud, server_id: str, flavor: str = "84") -> None:
    answer = await cloud.act(server_id, "resize", {"flavorRef": flavor})
    assert answer.status_code == 202, answer.text
    assert (await cloud.server(server_id))["status"] == "RESIZE"
    await cloud.settle()
    assert (await cloud.server(server_id))["status"] == "VERIFY_RESIZE"


def claimed(cloud: Cloud, server_id: str) -> int:
    (claim,) = cloud.world.allocations[server_id].values()
    return claim["MEMORY_MB"]


async def test_resize_and_confirm(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await resize(cloud, server_id)
    assert cloud.host().spec(server_id).memory_mib == MICRO
    assert claimed(cloud, server_id) == MICRO
    assert (await cloud.act(server_id, "os-stop")).status_code == 409
    assert (await cloud.act(server_id, "confirmResize")).status_code == 204
    await cloud.settle()
    server = await cloud.server(server_id)
    assert (server["status"], server["flavor"]["id"]) == ("ACTIVE", "84")


async def test_resize_and_revert(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await resize(cloud, server_id)
    assert (await cloud.act(server_id, "revertResize")).status_code == 202
    await cloud.settle()
    server = await cloud.server(server_id)
    assert (server["status"], server["flavor"]["id"]) == ("ACTIVE", "42")
    assert cloud.host().spec(server_id).memory_mib == NANO
    assert claimed(cloud, server_id) == NANO


@pytest.mark.parametrize("answer", ["confirmResize", "revertResize"])
async def test_a_stopped_server_is_stopped_again_after_it(cloud: Cloud, answer: str) -> None:
    server_id = await cloud.active_server()
    await cloud.act(server_id, "os-stop")
    await cloud.settle()
    await resize(cloud, server_id)
    await cloud.act(server_id, answer)
    await cloud.settle()
    assert (await cloud.server(server_id))["status"] == "SHUTOFF"
    assert (await cloud.host().inspect_domain(server_id)).state == "shutoff"


async def test_resize_refusals(cloud: Cloud) -> None:
    server_id = await cloud.active_server(flavorRef="2")
    for flavor, status in (("2", 400), ("none", 400), ("42", 400)):
        assert (await cloud.act(server_id, "resize", {"flavorRef": flavor})).status_code == status
    await cloud.ask("PUT", "/os-quota-sets/p1", {"quota_set": {"cores": 1}}, user="root")
    assert (await cloud.act(server_id, "resize", {"flavorRef": "3"})).status_code == 403


async def test_a_resize_that_fails_changes_nothing(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    cloud.host().faults.fail("ensure_domain", error=DriverError("The host is out of memory."))
    await cloud.act(server_id, "resize", {"flavorRef": "84"})
    await cloud.settle()
    server = await cloud.server(server_id)
    assert (server["status"], server["flavor"]["id"]) == ("ACTIVE", "42")
    assert (cloud.host().spec(server_id).memory_mib, claimed(cloud, server_id)) == (NANO, NANO)


async def test_a_resize_without_room_changes_nothing(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    body = {"flavor": {"name": "huge", "ram": 1 << 20, "vcpus": 1, "disk": 1, "id": "huge"}}
    await cloud.ask("POST", "/flavors", body, user="root")
    await cloud.ask("PUT", "/os-quota-sets/p1", {"quota_set": {"ram": -1}}, user="root")
    await cloud.act(server_id, "resize", {"flavorRef": "huge"})
    await cloud.settle()
    server = await cloud.server(server_id)
    assert (server["status"], server["flavor"]["id"]) == ("ACTIVE", "42")
    assert claimed(cloud, server_id) == NANO


async def test_each_resize_is_listed_as_a_migration(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await resize(cloud, server_id)
    (shown,) = (await cloud.get("/os-migrations", user="root"))["migrations"]
    assert (shown["instance_uuid"], shown["status"], shown["dest_compute"]) == (
        server_id,
        "finished",
        "fake-1",
    )
    assert "uuid" not in shown
    await cloud.act(server_id, "confirmResize")
    await cloud.settle()
    page = await cloud.get("/os-migrations?status=confirmed&limit=1", user="root", version="2.80")
    assert [one["project_id"] for one in page["migrations"]] == ["p1"]
    assert page["migrations"][0]["migration_type"] == "resize"
    other = await cloud.get("/os-migrations?migration_type=live-migration", user="root")
    assert other == {"migrations": []}
    assert (await cloud.ask("GET", "/os-migrations")).status_code == 403
    assert (await cloud.ask("GET", "/os-migrations?odd=1", user="root", version="2.80")).status_code == 400
