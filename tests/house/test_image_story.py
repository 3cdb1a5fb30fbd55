"""Images: upload, download, share, and what is refused."""

import hashlib

import openstack.exceptions
import pytest


def qcow2_behind(backing_file: bytes) -> bytes:
    """The first cluster of a qcow2 image (version 3, 1 MiB) whose missing blocks are read from another file."""
    fields = [(b"QFI\xfb", 4), (3, 4), (112, 8), (len(backing_file), 4), (16, 4), (1 << 20, 8)]
    header = b"".join(
        value if isinstance(value, bytes) else value.to_bytes(size, "big") for value, size in fields
    )
    whole = header.ljust(96, b"\0") + (4).to_bytes(4, "big") + (112).to_bytes(4, "big")
    return (whole.ljust(112, b"\0") + backing_file).ljust(1 << 17, b"\0")


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
        data=qcow2_behind(b"/etc/passwd"),
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
