"""The life of an image, as the SDK's users handle it: made from a file, changed, tagged, paused, shared, deleted."""

import hashlib

import openstack.exceptions
import pytest

DATA = b"\0" * 512 + b"not quite a disk" * 4096


def test_an_image_from_a_file_and_back(demo, tmp_path):
    source, target = tmp_path / "disk.raw", tmp_path / "copy.raw"
    source.write_bytes(DATA)
    image = demo.image.create_image(
        name="from a file",
        filename=str(source),
        disk_format="raw",
        container_format="bare",
        wait=True,
        colour="red",
    )
    image = demo.image.get_image(image.id)
    assert (image.status, image.size) == ("active", len(DATA))
    assert image.hash_value == hashlib.sha512(DATA).hexdigest()
    demo.image.download_image(image, output=str(target))
    assert target.read_bytes() == DATA
    demo.image.update_image(image, name="renamed", colour="blue", is_protected=True)
    demo.image.add_tag(image, "tested")
    changed = demo.image.find_image("renamed")
    assert (changed.properties["colour"], changed.tags, changed.is_protected) == ("blue", ["tested"], True)
    with pytest.raises(openstack.exceptions.ForbiddenException):
        demo.image.delete_image(image, ignore_missing=False)
    demo.image.update_image(demo.image.get_image(image.id), is_protected=False)
    demo.image.deactivate_image(image)
    assert demo.image.get(f"/images/{image.id}/file").status_code == 403
    demo.image.reactivate_image(image)
    demo.image.delete_image(image, ignore_missing=False)
    assert demo.image.find_image("renamed") is None


def test_an_image_is_shared_with_another_project(admin, demo):
    image = demo.image.create_image(name="shared", data=DATA, disk_format="raw", container_format="bare")
    project = admin.current_project_id
    demo.image.add_member(image, member_id=project)
    assert [member.status for member in demo.image.members(image)] == ["pending"]
    admin.image.update_member(project, image, status="accepted")
    assert image.id in [one.id for one in admin.image.images(visibility="shared", member_status="accepted")]
    demo.image.remove_member(project, image)
    assert list(demo.image.members(image)) == []
    demo.image.delete_image(image)
