"""The image cache against images that mean harm."""

import shutil
import subprocess

import pytest

from aerostat.kernel.errors import DriverError
from aerostat.services.compute.drivers.libvirt.base_images import BaseImages
from aerostat.services.compute.host.protocol import BaseImageSpec

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img")


@pytest.fixture
def images(tmp_path):
    images = BaseImages(tmp_path / "images")
    images.open()
    return images


def qemu_img(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


async def put(images, path, fmt):
    async def chunks():
        yield path.read_bytes()

    return await images.ensure(BaseImageSpec(id="image", format=fmt), chunks())


async def refused(images, path, fmt):
    with pytest.raises(DriverError) as error:
        await put(images, path, fmt)
    assert images.path("image") is None
    assert not list(images._folder.iterdir())
    assert not error.value.retry
    return error.value.message


async def test_a_plain_qcow2_is_kept_read_only(images, tmp_path):
    qemu_img("create", "-f", "qcow2", tmp_path / "good", "3G")
    image = await put(images, tmp_path / "good", "qcow2")
    assert image.virtual_bytes == 3 << 30
    assert images.path("image").stat().st_mode & 0o777 == 0o444


async def test_a_backing_file_is_refused(images, tmp_path):
    (tmp_path / "secret").write_bytes(b"x" * 65536)
    qemu_img("create", "-f", "qcow2", "-b", tmp_path / "secret", "-F", "raw", tmp_path / "bad")
    assert "refers to other files" in await refused(images, tmp_path / "bad", "qcow2")


async def test_a_data_file_is_refused(images, tmp_path):
    out = tmp_path / "out"
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={out},data_file_raw=on", tmp_path / "bad", "1M")
    assert "refers to other files" in await refused(images, tmp_path / "bad", "qcow2")


async def test_an_image_in_disguise_is_refused(images, tmp_path):
    qemu_img("create", "-f", "qcow2", tmp_path / "qcow2", "1M")
    assert "not of format raw" in await refused(images, tmp_path / "qcow2", "raw")
    qemu_img("create", "-f", "vmdk", tmp_path / "vmdk", "1M")
    assert "not of format raw" in await refused(images, tmp_path / "vmdk", "raw")
    (tmp_path / "text").write_bytes(b"no image at all")
    await refused(images, tmp_path / "text", "qcow2")


async def test_a_damaged_header_is_refused(images, tmp_path):
    qemu_img("create", "-f", "qcow2", tmp_path / "bad", "1M")
    content = bytearray((tmp_path / "bad").read_bytes())
    content[20:24] = (40).to_bytes(4, "big")  # cluster bits
    (tmp_path / "bad").write_bytes(content)
    await refused(images, tmp_path / "bad", "qcow2")


@pytest.mark.parametrize("image_id", ["", "../x", "a/b", ".hidden", "x" * 65])
async def test_an_id_never_becomes_a_path_elsewhere(images, image_id):
    with pytest.raises(DriverError):
        await images.find(image_id)


async def test_what_a_dead_process_left_is_swept_at_the_start(images, tmp_path):
    (images._folder / "image.abc.part").write_bytes(b"half")
    again = BaseImages(tmp_path / "images")
    again.open()
    assert await again.list() == []
    assert not list(images._folder.iterdir())
