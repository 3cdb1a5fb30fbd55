"""Images in another format: what is converted, what no tool is shown, how it fails."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aerostat.kernel import tools
from aerostat.kernel.errors import DriverError
from aerostat.services.image.conversion import convert, is_needed
from aerostat.services.image.errors import FormatMismatch, ImageTooLarge, UnsafeImage
from aerostat.services.image.inspection import Inspection

from .conftest import SMALL, Api, opened
from .disks import MIB, iso, qcow2

needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


async def converted(folder: Path, source: str, wanted: str, most_bytes: int = 64 * MIB) -> list[float]:
    heard: list[float] = []

    async def hear(percent: float) -> None:
        heard.append(percent)

    paths = folder / "source", folder / "target"
    await convert(paths[0], source, paths[1], wanted, most_bytes=most_bytes, progress=hear)
    return heard


def by_hand(folder: Path, *arguments: str) -> None:
    subprocess.run(("qemu-img", "convert", *arguments), cwd=folder, check=True, timeout=60)


@needs_qemu_img
@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("raw", "qcow2"),
        ("vmdk", "raw"),
        ("vhd", "qcow2"),
        ("vhdx", "raw"),
        ("ploop", "raw"),
        ("qcow2", "vmdk"),
    ],
)
async def test_every_format_becomes_another_with_the_same_bytes(
    tmp_path: Path, source: str, wanted: str
) -> None:
    data = (b"a disk" * 100_000).ljust(2 * MIB, b"\0")
    (tmp_path / "plain").write_bytes(data)
    name = {"vhd": "vpc", "ploop": "parallels"}.get(source, source)
    exact = ("-o", "force_size=on") if source == "vhd" else ()
    by_hand(tmp_path, "-f", "raw", "-O", name, *exact, "plain", "source")
    heard = await converted(tmp_path, source, wanted)
    assert heard[-1] == 100.0
    inspection = Inspection(wanted)
    inspection.take((tmp_path / "target").read_bytes())
    assert inspection.finish() == len(data)
    by_hand(tmp_path, "-f", wanted, "-O", "raw", "target", "back")
    assert (tmp_path / "back").read_bytes() == data


@pytest.mark.parametrize(
    ("source", "data", "refused"),
    [
        ("qcow2", qcow2(backing=b"/etc/shadow"), UnsafeImage),
        ("vmdk", qcow2(), FormatMismatch),
        ("qcow2", qcow2(size=65 * MIB), ImageTooLarge),
    ],
)
async def test_what_no_tool_is_shown(
    tmp_path: Path, source: str, data: bytes, refused: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "PATH", "/nowhere")
    (tmp_path / "source").write_bytes(data)
    with pytest.raises(refused):
        await converted(tmp_path, source, "raw")


async def test_without_the_tool_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "PATH", "/nowhere")
    (tmp_path / "source").write_bytes(bytes(MIB))
    with pytest.raises(DriverError) as failed:
        await converted(tmp_path, "raw", "qcow2")
    assert failed.value.message == "qemu-img is not installed on this machine."
    assert not failed.value.retry


@needs_qemu_img
async def test_a_broken_image_is_no_riddle(tmp_path: Path) -> None:
    broken = bytearray(qcow2(size=8 * MIB))
    broken[36:40] = b"\x7f\xff\xff\xff"  # more level 1 entries than any file has
    (tmp_path / "source").write_bytes(broken)
    with pytest.raises(DriverError) as failed:
        await converted(tmp_path, "qcow2", "raw")
    assert "from qcow2 to raw" in failed.value.message
    assert "qemu-img" in str(failed.value.detail)


@pytest.mark.parametrize(
    ("disk", "container", "wanted", "is_converted"),
    [
        ("qcow2", "bare", "raw", True),
        ("raw", "bare", "raw", False),
        ("iso", "bare", "raw", False),
        ("aki", "aki", "raw", False),
        ("vmdk", "ova", "raw", False),
        ("vmdk", "bare", "", False),
    ],
)
def test_what_is_converted(disk: str, container: str, wanted: str, is_converted: bool) -> None:
    assert is_needed(disk, container, wanted) is is_converted


@pytest.fixture
async def raw_cloud(tmp_path: Path) -> AsyncIterator[Api]:
    """A cloud that wants all its disks raw."""
    async with opened(tmp_path, SMALL + 'output_format = "raw"\n') as api:
        yield api


@needs_qemu_img
async def test_an_import_converts(raw_cloud: Api) -> None:
    api = raw_cloud
    image = await api.staged(qcow2(), disk_format="qcow2")
    image = await api.imported(image["id"])
    assert (image["status"], image["disk_format"]) == ("active", "raw")
    assert image["size"] == image["virtual_size"] == MIB
    assert await api.content(image["id"]) == bytes(MIB)
    assert api.kept() == [image["id"]]
    assert (await api.task_of(image["id"]))["status"] == "success"


@needs_qemu_img
async def test_an_upload_and_a_cd_stay_as_they_are(raw_cloud: Api) -> None:
    api = raw_cloud
    assert (await api.filled(qcow2(), disk_format="qcow2"))["disk_format"] == "qcow2"
    cd = await api.staged(iso(), disk_format="iso")
    assert (await api.imported(cd["id"]))["disk_format"] == "iso"


@pytest.mark.parametrize(
    ("data", "words"),
    [(qcow2(backing=b"/etc/shadow"), "backing file"), (qcow2(), "qemu-img is not installed")],
)
async def test_what_is_not_converted_is_queued_as_it_was(
    raw_cloud: Api, data: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "PATH", "/nowhere")
    api = raw_cloud
    image = await api.staged(data, disk_format="qcow2")
    image = await api.imported(image["id"])
    assert (image["status"], image["disk_format"], api.kept()) == ("queued", "qcow2", [])
    task = await api.task_of(image["id"])
    assert task["status"] == "failure"
    assert words in task["message"]
