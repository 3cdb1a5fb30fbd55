"""Imports: staged bytes, bytes from the web, copies into more stores; what breaks off and what is refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aerostat.kernel.errors import DriverError
from aerostat.services.image import model
from aerostat.services.image.drivers.web.reader import WebReader
from aerostat.services.image.stores import stores_of
from aerostat.services.image.sweepers.dead_uploads import sweep

from .conftest import BYTES, SMALL, Api, opened

STORES = (
    SMALL
    + """
[image.stores.one]
[image.stores.two]
type = "file"
description = "the other one"
weight = 5
"""
)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Api]:
    """A room with two stores."""
    async with opened(tmp_path, STORES) as api:
        yield api


def files(api: Api) -> list[str]:
    """Every file that any store keeps."""
    return sorted(path.name for path in api.folder.parent.glob("images*/**/*") if path.is_file())


def break_store(api: Api, name: str, times: int = 99, *, retry: bool = False) -> None:
    """What is written to this store fails so often."""
    driver: Any = stores_of(api.house).driver(name)
    begin, left = driver.begin, [times]

    async def broken(image_id: str, token: str) -> Any:
        if left[0]:
            left[0] -= 1
            raise DriverError("The store is broken.", retry=retry)
        return await begin(image_id, token)

    driver.begin = broken


async def test_staged_bytes_become_the_image(api: Api) -> None:
    image = await api.staged(b"0123456789")
    assert (image["status"], image["size"]) == ("uploading", None)
    assert "stores" not in image
    image = await api.imported(image["id"])
    assert (image["status"], image["size"], image["stores"]) == ("active", 10, "file")
    assert image["os_hash_algo"] == "sha512"
    assert await api.content(image["id"]) == b"0123456789"
    assert (image["os_glance_importing_to_stores"], image["os_glance_failed_import"]) == ("", "")
    assert api.kept() == [image["id"]]
    task = await api.task_of(image["id"])
    assert (task["status"], task["type"], task["owner"]) == ("success", "api_image_import", "p1")
    assert task["input"]["import_req"]["method"]["name"] == "glance-direct"


async def test_what_is_staged_can_be_staged_anew_after_it_broke_off(api: Api) -> None:
    image = await api.make()

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionError("the cable is out")

    path, headers = f"images/{image['id']}/stage", {"content-type": BYTES}
    assert (await api.request("PUT", path, content=broken(), headers=headers)).status_code == 500
    assert (await api.get(f"images/{image['id']}"))["status"] == "queued"
    assert api.kept() == []
    assert (await api.request("PUT", path, content=b"whole", headers=headers)).status_code == 204
    again = await api.request("PUT", path, content=b"more", headers=headers)
    assert again.status_code == 409
    assert (await api.imported(image["id"]))["size"] == 5


async def test_a_staged_image_that_is_deleted_leaves_nothing(api: Api) -> None:
    image = await api.staged()
    assert (await api.request("DELETE", f"images/{image['id']}")).status_code == 204
    assert api.kept() == []
    assert await api.house.store.count(model.LOCATIONS) == 0


async def test_an_image_deleted_before_its_import_ran_leaves_nothing(api: Api) -> None:
    image = await api.staged()
    assert (await api.start_import(image["id"])).status_code == 202
    assert (await api.request("DELETE", f"images/{image['id']}")).status_code == 204
    await api.house.engine.settle()
    assert api.kept() == []
    (task,) = await api.house.store.all(model.TASKS)
    assert task.status == "failure"


async def test_bytes_that_are_not_what_was_declared_fail_the_import(api: Api) -> None:
    image = await api.staged(b"#!/bin/sh\n" * 100, disk_format="qcow2")
    image = await api.imported(image["id"])
    assert (image["status"], image["size"], image["checksum"]) == ("queued", None, None)
    assert image["os_glance_failed_import"] == "file"
    task = await api.task_of(image["id"])
    assert task["status"] == "failure"
    assert "does not match" in task["message"]
    assert api.kept() == []


async def test_into_all_stores(two: Api) -> None:
    image = await two.staged()
    image = await two.imported(image["id"], all_stores=True)
    assert image["stores"] == "two,one"
    assert files(two) == [image["id"]] * 2


@pytest.mark.parametrize("all_must", [True, False])
async def test_one_store_that_fails(two: Api, all_must: bool) -> None:
    break_store(two, "two")
    image = await two.staged()
    image = await two.imported(image["id"], stores=["one", "two"], all_stores_must_succeed=all_must)
    task = await two.task_of(image["id"])
    if all_must:
        assert (image["status"], task["status"]) == ("queued", "failure")
        assert task["message"] == "The store is broken."
        assert files(two) == []
    else:
        assert (image["status"], image["stores"], task["status"]) == ("active", "one", "success")
        assert files(two) == [image["id"]]
    assert "two" in image["os_glance_failed_import"]
    assert await two.house.store.count(model.LOCATIONS, state="writing") == 0


async def test_where_every_store_fails_the_image_is_queued_again(two: Api) -> None:
    break_store(two, "one"), break_store(two, "two")
    image = await two.staged()
    image = await two.imported(image["id"], all_stores=True, all_stores_must_succeed=False)
    assert (image["status"], files(two)) == ("queued", [])


async def test_a_copy_goes_into_another_store_and_out_again(two: Api) -> None:
    image, root = await two.filled(b"twice"), two("root")
    assert image["stores"] == "one"
    assert (await two.start_import(image["id"], "copy-image", stores=["two"])).status_code == 403
    image = await root.imported(image["id"], "copy-image", all_stores=True)
    assert (image["status"], image["stores"]) == ("active", "two,one")
    assert (await root.start_import(image["id"], "copy-image", stores=["two"])).status_code == 400
    (two.folder / "stores/one" / image["id"][:2] / image["id"]).write_bytes(b"other")
    assert await two.content(image["id"]) == b"twice"  # of the store with the larger weight
    assert (await two.request("DELETE", f"stores/two/{image['id']}")).status_code == 403
    for store, status in (("three", 409), ("one", 204), ("one", 404), ("two", 403)):
        assert (await root.request("DELETE", f"stores/{store}/{image['id']}")).status_code == status
    assert (await two.get(f"images/{image['id']}"))["stores"] == "two"
    assert files(two) == [image["id"]]


async def test_a_copy_that_fails_leaves_the_image_as_it_was(two: Api) -> None:
    image = await two.filled(b"once")
    break_store(two, "two")
    after = await two("root").imported(image["id"], "copy-image", stores=["two"])
    assert (after["status"], after["stores"], after["checksum"]) == ("active", "one", image["checksum"])
    assert await two.content(image["id"]) == b"once"


async def test_a_header_names_the_store_of_an_upload(two: Api) -> None:
    image = await two.make()
    path = f"images/{image['id']}/file"
    for store, status in (("three", 400), ("os_glance_staging_store", 400), ("two", 204)):
        headers = {"content-type": BYTES, "x-image-meta-store": store}
        assert (await two.request("PUT", path, content=b"x", headers=headers)).status_code == status
    assert (await two.get(f"images/{image['id']}"))["stores"] == "two"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"method": "glance-direct"}, 400),
        ({"method": {"name": "magic"}}, 400),
        ({"method": {"name": "glance-direct"}, "all_stores": "yes"}, 400),
        ({"method": {"name": "glance-direct"}, "all_stores": True, "stores": ["one"]}, 400),
        ({"method": {"name": "glance-direct"}, "stores": "one"}, 400),
        ({"method": {"name": "glance-direct"}, "stores": ["three"]}, 409),
        ({"method": {"name": "web-download", "uri": "http://example.com/"}}, 409),
        ({"method": {"name": "copy-image"}}, 409),
    ],
)
async def test_imports_that_are_refused(two: Api, body: Any, status: int) -> None:
    image = await two.staged()
    answer = await two.request("POST", f"images/{image['id']}/import", json=body)
    assert answer.status_code == status, answer.text
    assert (await two.get(f"images/{image['id']}"))["status"] == "uploading"


async def test_one_import_at_a_time_and_by_those_who_may(api: Api) -> None:
    image = await api.staged(visibility="public" if api.person == "root" else "shared")
    assert (await api("bob").start_import(image["id"])).status_code == 404
    assert (await api("rita").start_import(image["id"])).status_code == 403
    assert (await api.start_import(image["id"])).status_code == 202
    assert (await api.start_import(image["id"])).status_code == 409
    queued = await api.make()
    assert (await api.start_import(queued["id"])).status_code == 409


# From the web


def serve(api: Api, pages: dict[str, Any], addresses: dict[str, str] | None = None) -> list[str]:
    """Web servers with these pages (by host and path); answers what is asked of them, by address."""
    asked: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.url.host} {request.headers['host']}{request.url.path}")
        page = pages.get(f"{request.headers['host']}{request.url.path}", (404, b""))
        status, content = page if isinstance(page, tuple) else (200, page)
        headers = {"location": content} if status in (301, 302) else {}
        return httpx.Response(status, headers=headers, content=in_pieces(b"" if headers else content))

    async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1 << 20):
            yield content[start : start + (1 << 20)]

    async def resolve(host: str, port: int) -> list[Any]:
        return [(0, 0, 0, "", ((addresses or {}).get(host, "93.184.215.14"), port))]

    stores = stores_of(api.house)
    stores.web = WebReader(stores.web._limits, resolve, httpx.MockTransport(answer))
    return asked


def from_web(uri: str) -> dict[str, str]:
    return {"name": "web-download", "uri": uri}


async def test_from_the_web(api: Api) -> None:
    asked = serve(api, {"a.test/x": (302, "//b.test/y"), "b.test/y": b"fetched"})
    image = await api.make()
    image = await api.imported(image["id"], from_web("http://a.test/x"))
    assert (image["status"], image["size"]) == ("active", 7)
    assert asked == ["93.184.215.14 a.test/x", "93.184.215.14 b.test/y"]
    assert api.kept() == [image["id"]]
    assert (await api.task_of(image["id"]))["result"] == {"image_id": image["id"]}


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://a.test/x",
        "file:///etc/passwd",
        "http://",
        "http://a.test:22/x",
        "http://user:word@a.test/x",
        "http://127.0.0.1/x",
        "http://[::1]/x",
        "http://[::ffff:10.0.0.1]/x",
        "http://169.254.169.254/latest/meta-data",
        "http://a.test/ x",
        7,
    ],
)
async def test_addresses_that_nothing_is_fetched_from(api: Api, uri: Any) -> None:
    image = await api.make()
    answer = await api.start_import(image["id"], {"name": "web-download", "uri": uri})
    assert answer.status_code == 400
    assert "does not pass filtering" in answer.json()["message"]


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1%eth0", "0.0.0.0"]
)
async def test_a_name_of_a_private_address_fails_in_the_task(api: Api, address: str) -> None:
    asked = serve(api, {"a.test/x": (302, "http://inside.test/y")}, {"inside.test": address})
    for uri in ("http://inside.test/y", "http://a.test/x"):
        image = await api.make()
        image = await api.imported(image["id"], from_web(uri))
        assert image["status"] == "queued"
        task = await api.task_of(image["id"])
        assert task["status"] == "failure"
        assert address.partition("%")[0] not in task["message"]
    assert asked == ["93.184.215.14 a.test/x"]


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ((404, b""), "answered 404"),
        ((302, "http://a.test/x"), "sent us on"),
        (bytes(65 << 20), "larger than"),
    ],
)
async def test_fetches_that_fail_leave_nothing(api: Api, page: Any, words: str) -> None:
    serve(api, {"a.test/x": page})
    image = await api.make()
    image = await api.imported(image["id"], from_web("http://a.test/x"))
    assert (image["status"], api.kept()) == ("queued", [])
    assert words in (await api.task_of(image["id"]))["message"]


async def test_another_image_of_this_region(api: Api) -> None:
    source = await api.filled(b"source", hw_cpu_cores="5", speed="88mph", min_ram=7)
    made = await api.make(disk_format="iso", container_format="ovf", hw_cpu_cores="1")
    method = {"name": "glance-download", "glance_region": "RegionOne", "glance_image_id": source["id"]}
    image = await api.imported(made["id"], method)
    assert (image["status"], image["disk_format"], image["min_ram"]) == ("active", "raw", 7)
    assert (image["hw_cpu_cores"], "speed" in image) == ("5", False)
    assert await api.content(image["id"]) == b"source"
    other, bob = await api.make(), await api("bob").make()
    assert (await api.start_import(other["id"], {**method, "glance_image_id": "x"})).status_code == 400
    assert (await api.imported(other["id"], {**method, "glance_region": "Mars"}))["status"] == "queued"
    # Nobody takes what is not theirs to see.
    assert (await api("bob").imported(bob["id"], method))["status"] == "queued"


async def test_a_process_that_dies_while_staging_leaves_a_queued_image(api: Api) -> None:
    image = await api.make()
    await api.house.store.update(
        model.IMAGES, {"id": image["id"]}, status="uploading", upload_token="dead", upload_seen_at=None
    )
    assert await sweep(api.house) == 1
    assert (await api.get(f"images/{image['id']}"))["status"] == "queued"
