"""Images: upload, download, share, and what is refused."""

import hashlib

import openstack.exceptions
import pytest

QCOW2_WITH_BACKING_FILE = (
    b"QFI\xfb" + (3).to_bytes(4, "big") + (104).to_bytes(8, "big") + (11).to_bytes(4, "big")
    + (16).to_bytes(4, "big") + (1 << 20).to_bytes(8, "big") + bytes(72) + b"/etc/passwd"
)  # fmt: skip


def test_what_was_uploaded_comes_back(demo):
    data = bytes(range(256)) * 4096
    image = demo.image.create_image(
        name="mine", data=data, disk_format="raw", container_format="bare", visibility="private"
    )
    image = demo.image.get_image(image)
    assert (image.status, image.size, image.visibility) == ("active", len(data), "private")
    assert image.checksum == hashlib.md5(data).hexdigest()
    assert image.hash_value == hashlib.sha512(data).hexdigest()
    assert demo.image.download_image(image).content == data
    demo.image.update_image(image, name="renamed", min_disk=1)
    assert [(one.name, one.min_disk) for one in demo.image.images(name="renamed")] == [("renamed", 1)]
    demo.image.delete_image(image)
    assert demo.image.find_image("renamed") is None


def test_an_image_that_points_at_files_of_the_host_is_refused(demo):
    image = demo.image.create_image(
        name="evil", disk_format="qcow2", container_format="bare", visibility="private"
    )
    answer = demo.image.put(
        f"/images/{image.id}/file",
        data=QCOW2_WITH_BACKING_FILE,
        headers={"Content-Type": "application/octet-stream"},
    )
    assert answer.status_code in (400, 415)
    assert "backing" in answer.text
    for one in demo.image.images(name="evil"):
        assert one.status != "active"
        demo.image.delete_image(one)


def test_a_shared_image_is_seen_by_the_member_who_accepts(admin, demo):
    image = admin.image.create_image(
        name="shared", data=b"x" * 512, disk_format="raw", container_format="bare", visibility="shared"
    )
    assert demo.image.find_image("shared") is None
    admin.image.add_member(image, member_id=demo.current_project_id)
    demo.image.update_member(demo.current_project_id, image, status="accepted")
    assert [one.id for one in demo.image.images()].count(image.id) == 1
    with pytest.raises(openstack.exceptions.ForbiddenException):
        demo.image.delete_image(image)
    admin.image.delete_image(image)
