"""Locations: images that lie on web servers of others, and what of all that is off unless allowed."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import SMALL, Api, opened
from .test_import import serve

URL, OTHER = "http://a.test/x", "http://a.test/x#other"
WEB = (
    SMALL
    + """
show_locations = true
show_direct_url = true
[image.stores.file]
[image.stores.web]
type = "http"
"""
)


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Api]:
    async with opened(tmp_path, WEB) as api:
        serve(api, {"a.test/x": b"elsewhere"})
        yield api


def added(url: str = URL, **more: Any) -> dict[str, Any]:
    return {"op": "add", "path": "/locations/-", "value": {"url": url, "metadata": {}, **more}}


async def test_locations_are_hidden_and_nobodys_to_set_unless_allowed(api: Api) -> None:
    image = await api.filled()
    assert {"locations", "direct_url"}.isdisjoint(image)
    for change in (
        added(),
        {"op": "replace", "path": "/locations", "value": [{"url": URL}]},
        {"op": "remove", "path": "/locations/0"},
    ):
        assert (await api("root").patch(image["id"], change)).status_code == 403
    queued = await api.make()
    answer = await api.request("POST", f"images/{queued['id']}/locations", json={"url": URL})
    assert answer.status_code == 403


async def test_a_location_makes_an_image(web: Api) -> None:
    image = await web.make()
    assert image["locations"] == []
    answer = await web.patch(image["id"], added(metadata={"speed": "fast"}))
    assert answer.status_code == 200
    image = answer.json()
    assert (image["status"], image["os_hash_value"], image["size"]) == ("active", None, None)
    assert image["locations"] == [{"url": URL, "metadata": {"speed": "fast", "store": "web"}}]
    assert image["direct_url"] == URL
    assert await web.content(image["id"]) == b"elsewhere"
    assert (await web("bob").request("GET", f"images/{image['id']}")).status_code == 404


async def test_locations_are_added_changed_and_removed_one_by_one(web: Api) -> None:
    root, image = web("root"), await web.make()
    await web.patch(image["id"], added())
    assert (await web.patch(image["id"], added())).status_code == 400
    assert (await web.patch(image["id"], added(OTHER))).status_code == 200
    shown = (await web.get(f"images/{image['id']}"))["locations"]
    shown[0]["metadata"]["date"] = "today"
    for value, status in (
        (shown, 200),
        (shown[:1], 400),
        ([shown[0], {"url": "http://b.test/"}], 400),
        ([], 403),
    ):
        change = {"op": "replace", "path": "/locations", "value": value}
        assert (await web.patch(image["id"], change)).status_code == status
    assert (await web.get(f"images/{image['id']}"))["locations"] == shown
    first, gone = {"op": "remove", "path": "/locations/0"}, {"op": "remove", "path": "/locations/7"}
    for api, change, status in ((web, first, 403), (root, gone, 400), (root, first, 200), (root, first, 403)):
        assert (await api.patch(image["id"], change)).status_code == status
    assert [one["url"] for one in (await web.get(f"images/{image['id']}"))["locations"]] == [OTHER]


@pytest.mark.parametrize(
    "url", ["gopher://a.test/", "file:///etc/passwd", "http://127.0.0.1/", "object://images/x", ""]
)
async def test_locations_that_are_refused(web: Api, url: str) -> None:
    image = await web.make()
    assert (await web.patch(image["id"], added(url))).status_code == 400
    answer = await web.request("POST", f"images/{image['id']}/locations", json={"url": url})
    assert answer.status_code == 400
    assert (await web.get(f"images/{image['id']}"))["status"] == "queued"


async def test_what_a_client_says_of_the_bytes(web: Api) -> None:
    known = {"checksum": "1" * 32, "os_hash_algo": "sha512", "os_hash_value": "deadbeef" * 16}
    image = await web.make()
    assert (await web.patch(image["id"], added(validation_data=known))).status_code == 200
    assert (await web.get(f"images/{image['id']}"))["checksum"] == "1" * 32
    assert (await web.patch(image["id"], added(OTHER, validation_data=known))).status_code == 200
    for name, value in (
        ("checksum", "2" * 32),
        ("os_hash_value", "beefdead" * 16),
        ("os_hash_algo", "sha256"),
    ):
        odd = {**known, name: value}
        assert (
            await web.patch(image["id"], added("http://a.test/y", validation_data=odd))
        ).status_code == 409


async def test_a_location_that_is_read_first(web: Api) -> None:
    data = b"elsewhere"
    image = await web.make()
    known = {"os_hash_algo": "sha256", "os_hash_value": hashlib.sha256(data).hexdigest()}
    path, body = f"images/{image['id']}/locations", {"url": URL, "validation_data": known}
    assert (await web.request("POST", path, json=body)).status_code == 202
    assert (await web.request("POST", path, json=body)).status_code == 409
    await web.house.engine.settle()
    image = await web.get(f"images/{image['id']}")
    assert (image["status"], image["size"], image["stores"]) == ("active", 9, "web")
    assert (image["os_hash_algo"], image["os_hash_value"]) == ("sha256", known["os_hash_value"])
    assert image["checksum"] == hashlib.md5(data).hexdigest()
    assert (await web.task_of(image["id"]))["type"] == "location_import"
    assert (await web.request("GET", path)).status_code == 403
    assert await web("root").get(path) == [{"url": URL, "metadata": {"store": "web"}}]


async def test_other_bytes_than_were_said_leave_the_image_queued(web: Api) -> None:
    image = await web.make()
    known = {"os_hash_algo": "sha512", "os_hash_value": "beefdead" * 16}
    path = f"images/{image['id']}/locations"
    assert (await web.request("POST", path, json={"url": URL, "validation_data": known})).status_code == 202
    await web.house.engine.settle()
    image = await web.get(f"images/{image['id']}")
    assert (image["status"], image["os_hash_value"]) == ("queued", None)
    assert [one["url"] for one in image["locations"]] == [
        URL
    ]  # as what was refused: until there is other data
    assert (await web.upload(image["id"], b"mine")).status_code == 204
    assert (await web.get(f"images/{image['id']}"))["stores"] == "file"
    assert await web.content(image["id"]) == b"mine"
    assert (await web.task_of(image["id"]))["status"] == "failure"


@pytest.mark.parametrize(
    "known",
    [
        {"os_hash_value": "ab"},
        {"os_hash_algo": "sha512"},
        {"os_hash_algo": "sha512", "os_hash_value": "ab"},
        {"os_hash_algo": "sha999", "os_hash_value": "ab" * 64},
        {"os_hash_algo": "sha512", "os_hash_value": "xy" * 64},
    ],
)
async def test_hashes_that_can_be_none(web: Api, known: dict[str, str]) -> None:
    image = await web.make()
    body = {"url": URL, "validation_data": known}
    assert (await web.request("POST", f"images/{image['id']}/locations", json=body)).status_code == 400


async def test_a_copy_of_what_lies_elsewhere(web: Api) -> None:
    image = await web.make()
    await web.request("POST", f"images/{image['id']}/locations", json={"url": URL})
    await web.house.engine.settle()
    image = await web("root").imported(image["id"], "copy-image", stores=["file"])
    assert image["stores"] == "web,file"
    assert image["direct_url"].startswith("file://")  # what is near is read first
    assert (await web("root").request("DELETE", f"stores/web/{image['id']}")).status_code == 204
    assert await web.content(image["id"]) == b"elsewhere"


async def test_bytes_that_have_changed_are_not_given(web: Api) -> None:
    image = await web.make()
    await web.request("POST", f"images/{image['id']}/locations", json={"url": URL})
    await web.house.engine.settle()
    serve(web, {"a.test/x": b"something"})
    answer = await web.request("GET", f"images/{image['id']}/file")
    assert (answer.status_code, answer.json()["message"]) == (
        500,
        "What is at the image's location is no longer what it was.",
    )


async def test_a_location_that_nobody_reads_is_what_its_client_says(tmp_path: Path) -> None:
    async with opened(
        tmp_path, WEB.replace("show_locations", "hash_locations = false\nshow_locations")
    ) as web:
        serve(web, {"a.test/x": b"elsewhere"})
        image = await web.make()
        known = {"os_hash_algo": "sha256", "os_hash_value": "ab" * 32}
        path = f"images/{image['id']}/locations"
        assert (
            await web.request("POST", path, json={"url": URL, "validation_data": known})
        ).status_code == 202
        await web.house.engine.settle()
        image = await web.get(f"images/{image['id']}")
        assert (image["status"], image["checksum"]) == ("active", None)
        assert (image["os_hash_algo"], image["os_hash_value"]) == ("sha256", "ab" * 32)
