"""Images of a cloud in several stores: files, and its own object store; with the official SDK."""

import asyncio
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aerostat.kernel.errors import DriverError
from aerostat.services.image import model
from aerostat.services.image.drivers.object.store import ObjectStore
from aerostat.services.image.stores import stores_of
from aerostat.testing import Cloud

from ..waiting import eventually
from .test_stack_story import stack_in

MIB = 1 << 20
SETTINGS = """
[image.stores.file]
[image.stores.object]
type = "object"
segment_mib = 1
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    state: Path = tmp_path_factory.mktemp("c")
    (state / "aerostat.toml").write_text(SETTINGS)
    with Cloud(state=state, log_level="error") as cloud:
        yield cloud


def objects(cloud: Cloud) -> ObjectStore:
    driver = stores_of(cloud.house).driver("object")
    assert isinstance(driver, ObjectStore)
    return driver


async def names(store: ObjectStore) -> tuple[list[str], list[str]]:
    client = store._client()
    found = []
    for container in (store._container, store._segments):
        await client.ensure_container(container)
        found.append([one["name"] for one in await client.list_objects(container)])
    return found[0], found[1]


async def put(store: ObjectStore, image_id: str, token: str, data: bytes) -> None:
    upload = await store.begin(image_id, token)
    for start in range(0, len(data), 300_000):
        await upload.write(data[start : start + 300_000])
    await upload.keep()


def run(cloud: Cloud, work: Any) -> Any:
    assert cloud._loop is not None
    return asyncio.run_coroutine_threadsafe(work, cloud._loop).result(60)


@pytest.mark.parametrize("size", [0, 1, MIB, 3 * MIB + 17])
def test_an_image_is_objects_and_comes_back_whole_and_in_part(cloud: Cloud, size: int) -> None:
    data = bytes(index * 7 % 251 for index in range(size))

    async def story() -> None:
        store = objects(cloud)
        await put(store, "i", "t", data)
        assert b"".join([chunk async for chunk in store.read("i")]) == data
        for start, length in ((0, 1), (MIB - 1, 2), (size // 2, size), (0, 0)):
            if start < size:
                part = b"".join([chunk async for chunk in store.read("i", start, length)])
                assert part == data[start : start + length]
        assert len((await names(store))[1]) == -(-size // MIB)
        await store.remove_image("i")
        await store.remove_image("i")
        assert await names(store) == ([], [])
        with pytest.raises(DriverError, match="not there"):
            _ = [chunk async for chunk in store.read("i")]

    run(cloud, story())


def test_what_a_dead_upload_left_goes_by_its_token(cloud: Cloud) -> None:
    async def story() -> None:
        store = objects(cloud)
        dead = await store.begin("i", "dead")
        await dead.write(bytes(2 * MIB + 5))
        await put(store, "j", "alive", b"kept")
        assert (await names(store))[0] == ["j"]
        await store.remove_upload("i", "dead")
        await dead.discard()
        await dead.discard()
        assert await names(store) == (["j"], ["j/alive/00000000"])
        await store.remove_image("j")

    run(cloud, story())


def stores_in(connection: Any, image: Any) -> str:
    return str(connection.get(f"/images/{image.id}").json()["stores"])


def test_import_into_both_copy_and_delete(cloud: Cloud) -> None:
    admin = cloud.connection.image
    assert [(one.id, one.is_default) for one in admin.stores()] == [("file", True), ("object", None)]
    details = {one.id: one.properties for one in admin.stores(details=True)}
    assert details["object"]["container"] == "images"
    data = bytes(range(256)) * 8192
    image = admin.create_image(name="both", disk_format="raw", container_format="bare", allow_duplicates=True)
    admin.stage_image(image, data=data)
    admin.import_image(image, method="glance-direct", all_stores=True)
    image = admin.wait_for_status(image, "active", interval=0.05, wait=20)
    assert stores_in(admin, image) == "file,object"
    admin.delete(f"/stores/file/{image.id}")
    assert admin.download_image(image).content == data
    assert (run(cloud, names(objects(cloud))))[0] == [image.id]
    admin.import_image(image, method="copy-image", stores=[{"id": "file"}])
    eventually(lambda: stores_in(admin, image) == "object,file", 20, every_s=0.05)
    admin.delete_image(image)
    eventually(lambda: run(cloud, names(objects(cloud))) == ([], []), 20, every_s=0.05)
    # The one that is left is of the cloud's own image.
    eventually(lambda: run(cloud, cloud.house.store.count(model.LOCATIONS)) == 1, 20, every_s=0.05)


def test_two_limits_at_once(cloud: Cloud) -> None:
    """Quotas are unified limits, which the identity room keeps."""
    admin, demo = cloud.connection, cloud.connect("demo")
    service = admin.identity.find_service("glance")
    for name, limit in (("image_count_total", 1), ("image_size_total", 5)):
        admin.identity.create_registered_limit(
            service_id=service.id, resource_name=name, default_limit=limit, region_id=admin.config.region_name
        )
    made = demo.image.create_image(name="first", disk_format="raw", container_format="bare", data=b"x")
    refused = demo.image.post("/images", json={"name": "second"})
    assert refused.status_code == 413
    usage = demo.image.get("/info/usage").json()["usage"]
    assert usage["image_count_total"] == {"usage": 1, "limit": 1}
    demo.image.delete_image(made)
    assert demo.image.post("/images", json={"name": "second"}).status_code == 201


class Shelf(http.server.BaseHTTPRequestHandler):
    """A web server with one file."""

    def do_GET(self) -> None:
        found = self.path == "/disk.img"
        self.send_response(200 if found else 404)
        self.send_header("content-length", "9" if found else "0")
        self.end_headers()
        self.wfile.write(b"elsewhere" if found else b"")

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def shelf() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_template_has_images_from_the_web(tmp_path: Path, shelf: str) -> None:
    port = shelf.rpartition(":")[2]
    (tmp_path / "aerostat.toml").write_text(
        f"[image.web]\nprivate_addresses = true\nallowed_ports = [{port}]\n"
    )
    with Cloud(state=tmp_path, log_level="error") as cloud:
        demo, other = cloud.connect("demo"), cloud.connection.current_project_id
        image = {
            "type": "OS::Glance::WebImage",
            "properties": {
                "location": f"{shelf}/disk.img",
                "disk_format": "raw",
                "container_format": "bare",
                "visibility": "shared",
                "members": [other],
                "tags": ["a"],
                "os_distro": "debian",
                "extra_properties": {"colour": "red"},
            },
        }
        template = {"heat_template_version": "2018-08-31", "resources": {"i": image}}
        made = demo.orchestration.create_stack(name="web", template=template)
        path = f"/stacks/web/{made.id}"
        stack_in(demo.orchestration, path, "CREATE_COMPLETE")
        (found,) = demo.image.images(tag="a")
        assert (found.status, found.size) == ("active", 9)
        assert [one.member_id for one in demo.image.members(found)] == [other]
        image["properties"] |= {"os_distro": None, "active": False, "extra_properties": {"size_of": "1"}}
        image["properties"]["members"] = []
        demo.orchestration.put(path, json={"template": template})
        stack_in(demo.orchestration, path, "UPDATE_COMPLETE")
        shown = demo.image.get(f"/images/{found.id}").json()
        assert (shown["status"], shown["size_of"]) == ("deactivated", "1")
        assert {"os_distro", "colour"}.isdisjoint(shown)
        assert list(demo.image.members(found)) == []
        demo.orchestration.delete(path)
        stack_in(demo.orchestration, path, "DELETE_COMPLETE")
        assert list(demo.image.images(tag="a")) == []
        image["properties"] |= {"location": f"{shelf}/absent", "active": True}
        failed = demo.orchestration.create_stack(name="absent", template=template, disable_rollback=True)
        reason = stack_in(demo.orchestration, f"/stacks/absent/{failed.id}", "CREATE_FAILED")
        assert "answered 404" in reason["stack_status_reason"]
