"""What images are, whatever the bytes: good ones of every format, hostile ones, and ones that are nothing at all."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerostat.services.image.errors import FormatMismatch, UnsafeImage
from aerostat.services.image.inspection import Inspection
from aerostat.services.image.resources.image import CONTAINER_FORMATS, DISK_FORMATS

from .disks import GOOD, HOSTILE, MIB, gpt, qcow2

SEEDS = [data for _, data, _ in GOOD.values()] + [data for _, data in HOSTILE.values()]


def inspected(declared: str, data: bytes, piece: int = 1 * MIB, **more: bool) -> int | None:
    inspection = Inspection(declared, **more)
    for start in range(0, len(data), piece):
        inspection.take(data[start : start + piece])
        assert inspection.held_bytes() < 2 * MIB
    return inspection.finish()


@pytest.mark.parametrize("piece", [1000, 64 << 10, 4 * MIB])
@pytest.mark.parametrize("what", GOOD)
def test_good_images(what: str, piece: int) -> None:
    declared, data, virtual = GOOD[what]
    assert inspected(declared, data, piece) == virtual


@pytest.mark.parametrize("piece", [1000, MIB])
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_images(what: str, piece: int) -> None:
    declared, data = HOSTILE[what]
    with pytest.raises((FormatMismatch, UnsafeImage)) as refused:
        inspected(declared, data, piece)
    assert len(refused.value.text) > 30


def test_a_mismatch_may_be_allowed_and_danger_never_is() -> None:
    assert inspected("raw", qcow2(), must_match=False) is None
    assert inspected("qcow2", gpt(), must_match=False) is None
    with pytest.raises(UnsafeImage):
        inspected("raw", qcow2(backing=b"/etc/shadow"), must_match=False)


@pytest.mark.parametrize("container", ["ova", "ovf", "docker", "compressed"])
def test_what_is_packed_is_not_opened(container: str) -> None:
    inspection = Inspection("vmdk", container)
    inspection.take(b"\x1f\x8b" + bytes(MIB))
    assert inspection.finish() is None
    assert inspection.held_bytes() == 0


@st.composite
def _bytes(draw: st.DrawFn) -> bytes:
    """Nothing in particular, or an image that was changed in some places and cut off in one."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=3000))
    data = bytearray(draw(st.sampled_from(SEEDS)))
    near = min(len(data) - 1, 2048) if data else 0
    places = st.one_of(st.integers(0, near), st.integers(0, max(0, len(data) - 1)))
    for place in draw(st.lists(places, max_size=12)):
        if data:
            value = draw(st.sampled_from([b"\xff", b"\0", b"\x01", b"\x80", b"\xff" * 8, b"\0" * 8]))
            data[place : place + len(value)] = value
    return bytes(data[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))])


@given(
    data=_bytes(),
    declared=st.sampled_from(DISK_FORMATS),
    container=st.sampled_from(CONTAINER_FORMATS),
    piece=st.sampled_from([97, 4096, 64 << 10, MIB]),
    must_match=st.booleans(),
)
def test_no_bytes_break_it(data: bytes, declared: str, container: str, piece: int, must_match: bool) -> None:
    inspection = Inspection(declared, container, must_match=must_match)
    for start in range(0, min(len(data), 300 * piece), piece):
        inspection.take(data[start : start + piece])
        assert inspection.held_bytes() < 2 * MIB
    try:
        virtual = inspection.finish()
    except (FormatMismatch, UnsafeImage):
        return
    assert virtual is None or 0 <= virtual < 1 << 63


TOOL = shutil.which("qemu-img")
# Arguments of `qemu-img create`, what the image is declared as, the size that a guest sees.
MADE = {
    "qcow2": ("-f qcow2 -o compat=1.1,compression_type=zstd", "qcow2", 64 * MIB),
    "qcow2, preallocated": ("-f qcow2 -o preallocation=metadata,lazy_refcounts=on", "qcow2", 64 * MIB),
    "qcow2 of version 2": ("-f qcow2 -o compat=0.10", "qcow2", 64 * MIB),
    "vmdk": ("-f vmdk", "vmdk", 64 * MIB),
    "vmdk for streams": ("-f vmdk -o subformat=streamOptimized", "vmdk", 64 * MIB),
    "vdi": ("-f vdi", "vdi", 64 * MIB),
    "vdi, static": ("-f vdi -o static=on", "vdi", 64 * MIB),
    "vhd": ("-f vpc -o force_size=on", "vhd", 64 * MIB),
    "vhd of fixed size": ("-f vpc -o subformat=fixed,force_size=on", "vhd", 64 * MIB),
    "vhdx": ("-f vhdx", "vhdx", 64 * MIB),
    "ploop": ("-f parallels", "ploop", 64 * MIB),
    "raw": ("-f raw", "raw", 64 * MIB),
}
MADE_TO_LEAD_ELSEWHERE = {
    "backing file": ("-f qcow2 -u -F raw -b /etc/hostname", "qcow2"),
    "data file": ("-f qcow2 -o data_file={folder}/data.raw,data_file_raw=on", "qcow2"),
    "vmdk with a parent": ("-f vmdk -F vmdk -b {folder}/parent.vmdk", "vmdk"),
    "vmdk, flat": ("-f vmdk -o subformat=monolithicFlat", "vmdk"),
    "vmdk in pieces": ("-f vmdk -o subformat=twoGbMaxExtentSparse", "vmdk"),
    "qed": ("-f qed", "raw"),
}


def made(arguments: str, folder: Path) -> bytes:
    create("-f vmdk", folder / "parent.vmdk")
    create(arguments.format(folder=folder), folder / "disk")
    return (folder / "disk").read_bytes()


def create(arguments: str, path: Path) -> None:
    assert TOOL is not None
    subprocess.run([TOOL, "create", "-q", *arguments.split(), str(path), "64M"], check=True, timeout=60)


@pytest.mark.skipif(TOOL is None, reason="qemu-img is not installed")
@pytest.mark.parametrize("what", MADE)
def test_what_qemu_makes_is_known(what: str, tmp_path: Path) -> None:
    arguments, declared, virtual = MADE[what]
    assert inspected(declared, made(arguments, tmp_path)) == virtual


@pytest.mark.skipif(TOOL is None, reason="qemu-img is not installed")
@pytest.mark.parametrize("what", MADE_TO_LEAD_ELSEWHERE)
def test_what_qemu_makes_to_lead_elsewhere_is_refused(what: str, tmp_path: Path) -> None:
    arguments, declared = MADE_TO_LEAD_ELSEWHERE[what]
    with pytest.raises((FormatMismatch, UnsafeImage)):
        inspected(declared, made(arguments, tmp_path))
