"""An image of a server."""

from typing import Any

import pytest

from aerostat.kernel.errors import DriverError

from .conftest import Cloud


async def create(cloud: Cloud, server_id: str, version: str | None = None, **body: Any) -> Any:
    return await cloud.act(server_id, "createImage", {"name": "copy", **body}, version=version)


async def test_the_disk_becomes_an_image(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    answer = await create(cloud, server_id, metadata={"why": "test"})
    assert answer.status_code == 202, answer.text
    image_id = answer.headers["location"].rsplit("/", 1)[1]
    image = cloud.world.images[image_id]
    assert (image["status"], image["name"], image["why"]) == ("queued", "copy", "test")
    assert (image["base_image_ref"], image["image_type"]) == (cloud.image["id"], "snapshot")
    busy = await cloud.server(server_id)
    assert (busy["status"], busy["OS-EXT-STS:task_state"]) == ("ACTIVE", "image_snapshot")
    assert (await cloud.act(server_id, "os-stop")).status_code == 409
    await cloud.settle()
    assert image["status"] == "active"
    assert image["data"].startswith(b"disk of instance-")
    assert (await cloud.server(server_id))["OS-EXT-STS:task_state"] is None
    body = await create(cloud, server_id, "2.45")
    assert body.json()["image_id"] in cloud.world.images


@pytest.mark.parametrize("action", ["os-stop", "pause", "suspend"])
async def test_a_server_that_rests_rests_again(cloud: Cloud, action: str) -> None:
    server_id = await cloud.active_server()
    await cloud.act(server_id, action)
    await cloud.settle()
    before = (await cloud.server(server_id))["status"]
    assert (await create(cloud, server_id)).status_code == 202
    assert (await cloud.server(server_id))["status"] == before
    await cloud.settle()
    assert (await cloud.server(server_id))["status"] == before


async def test_a_host_that_cannot(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    cloud.host().faults.fail("export_disk", error=DriverError("The disk is full."))
    await create(cloud, server_id)
    await cloud.settle()
    assert (await cloud.server(server_id))["status"] == "ACTIVE"
    assert len(cloud.world.images) == 1


@pytest.mark.parametrize("body", [{"name": ""}, {"name": "x" * 256}, {"metadata": {"": "x"}}, {"odd": 1}])
async def test_refusals(cloud: Cloud, body: dict[str, Any]) -> None:
    server_id = await cloud.active_server()
    assert (await create(cloud, server_id, **body)).status_code == 400
    assert len(cloud.world.images) == 1


async def test_older_clients_find_the_image_here(cloud: Cloud) -> None:
    cloud.world.images[cloud.image["id"]] |= {
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }
    url = f"/images/{cloud.image['id']}"
    shown = (await cloud.get(url))["image"]
    assert (shown["status"], shown["progress"], shown["name"]) == ("ACTIVE", 100, "test")
    assert [one["id"] for one in (await cloud.get("/images/detail?status=ACTIVE"))["images"]] == [shown["id"]]
    assert (await cloud.get("/images?name=odd"))["images"] == []
    assert (await cloud.get("/images?limit=0"))["images"] == []
    assert (await cloud.ask("GET", "/images/odd")).status_code == 404
    assert (await cloud.ask("GET", url, version="2.36")).status_code == 404
    assert (await cloud.ask("DELETE", url)).status_code == 204
    assert (await cloud.ask("GET", url)).status_code == 404


# Backups


async def back_up(cloud: Cloud, server_id: str, name: str, rotation: Any = 2, **kw: Any) -> Any:
    body = {"name": name, "backup_type": "daily", "rotation": rotation}
    answer = await cloud.act(server_id, "createBackup", body, **kw)
    await cloud.settle()
    return answer


async def test_of_backups_the_newest_are_kept(cloud: Cloud) -> None:
    server_id, other = await cloud.active_server(), await cloud.active_server(name="other")
    for number in range(3):
        assert (await back_up(cloud, server_id, f"b{number}")).status_code == 202
    await back_up(cloud, other, "of another")
    await cloud.act(server_id, "createBackup", {"name": "w", "backup_type": "weekly", "rotation": 1})
    await cloud.settle()
    kept = {image["name"]: image for image in cloud.world.images.values() if "backup_type" in image}
    assert set(kept) == {"b1", "b2", "of another", "w"}
    assert (kept["b2"]["image_type"], kept["b2"]["instance_uuid"]) == ("backup", server_id)
    assert (await cloud.server(server_id))["status"] == "ACTIVE"


async def test_a_rotation_of_none_keeps_none(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    assert "location" in (await back_up(cloud, server_id, "b0")).headers
    answer = await back_up(cloud, server_id, "b1", "0")
    assert (answer.status_code, answer.headers.get("location")) == (202, None)
    assert list(cloud.world.images) == [cloud.image["id"]]
    shown = await back_up(cloud, server_id, "b2", version="2.45")
    assert shown.json()["image_id"] in cloud.world.images


@pytest.mark.parametrize("rotation", [-1, "many", None])
async def test_bad_rotations(cloud: Cloud, rotation: Any) -> None:
    server_id = await cloud.active_server()
    assert (await back_up(cloud, server_id, "b", rotation)).status_code == 400
