"""What a user of images does, with the official SDK and the `openstack` command."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack.exceptions
import pytest

from aerostat.testing import Cloud

from .command_line import openstack as run

RAW = ("--disk-format", "raw", "--container-format", "bare")


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud(log_level="error") as cloud:
        yield cloud


def told(cloud: Cloud, *words: str, user: str = "demo") -> Any:
    return json.loads(run(cloud, *words, "-f", "json", user=user))


def test_import_share_and_keep_by_the_command(cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "disk.raw"
    file.write_bytes(bytes(range(256)) * 64)
    assert [one["ID"] for one in told(cloud, "image", "stores", "list")] == ["file", "object"]
    made = told(cloud, "image", "create", *RAW, "--import", "--file", str(file), "--shared", "mine")
    image = cloud.connect("demo").image.wait_for_status(
        cloud.connect("demo").image.get_image(made["id"]), "active", interval=0.05, wait=20
    )
    other = cloud.connection.current_project_id
    run(cloud, "image", "add", "project", "mine", other)
    run(cloud, "image", "set", "--accept", image.id, user="admin")
    (member,) = told(cloud, "image", "member", "list", "mine")
    assert (member["Member ID"], member["Status"]) == (other, "accepted")
    run(cloud, "image", "set", "--tag", "a", "--property", "colour=red", "--min-ram", "64", "mine")
    shown = told(cloud, "image", "show", "mine")
    assert (shown["tags"], shown["properties"]["colour"], shown["min_ram"]) == (["a"], "red", 64)
    run(cloud, "image", "import", "--store", "object", "--method", "copy-image", image.id, user="admin")
    tasks = told(cloud, "image", "task", "list", user="admin")
    assert {one["Type"] for one in tasks} == {"api_image_import"}
    got = tmp_path / "got.raw"
    run(cloud, "image", "save", "--file", str(got), "mine")
    assert got.read_bytes() == file.read_bytes()
    run(cloud, "image", "delete", "mine")


def test_the_rest_of_the_api_by_the_sdk(cloud: Cloud) -> None:
    admin, demo = cloud.connection, cloud.connect("demo")
    image = demo.image.create_image(name="one", disk_format="raw", container_format="bare", data=b"x" * 100)
    demo.image.add_tag(image, "blue")
    assert [one.id for one in demo.image.images(tag="blue", status="active", sort="name:asc")] == [image.id]
    demo.image.remove_tag(image, "blue")
    demo.image.deactivate_image(image)
    assert demo.image.get(f"/images/{image.id}/file").status_code == 403
    demo.image.reactivate_image(image)
    demo.image.update_image(image, visibility="community", is_hidden=True)
    assert image.id not in [one.id for one in demo.image.images()]
    assert [one.id for one in demo.image.images(is_hidden=True)] == [image.id]
    admin.image.queue_image(image.id)
    cache = admin.image.get_image_cache()
    assert image.id in [*cache.queued_images, *(one["image_id"] for one in cache.cached_images)]
    admin.image.cache_delete_image(image.id)
    admin.image.clear_cache("both")
    for kind in ("image", "images", "member", "members", "task", "tasks"):
        assert getattr(demo.image, f"get_{kind}_schema")().name == kind
    with pytest.raises(openstack.exceptions.ForbiddenException):
        list(demo.image.tasks())
    assert [one.status for one in demo.image.image_tasks(image)] == []
    demo.image.update_image(image, is_protected=True)
    with pytest.raises(openstack.exceptions.ForbiddenException):
        demo.image.delete_image(image)
    demo.image.update_image(image, is_protected=False)
    demo.image.delete_image(image)
