"""The small image that a fresh cloud has, so that a server can be made at once.

A real cloud boots a real one (built by `aerostat.guest`); a cloud with a fake hypervisor only needs the header of one.
"""

import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from aerostat.kernel.context import internal_context
from aerostat.kernel.house import House

NAME = "aerostat-test"
MIN_RAM_MIB = 96  # with 64 its kernel does not get as far as the first line of its log
_READ_BYTES = 1 << 20


async def ensure_test_image(house: House, build: Callable[[], Awaitable[Path]] | None) -> None:
    """Make and fill the image if there is none with data; `build` makes the file (None: an empty disk)."""
    client = house.client("image", internal_context("bootstrap-image", "bootstrap"))
    present = await client.list_images(name=NAME, visibility="public")
    if any(image["status"] == "active" for image in present):
        return
    built = None if build is None else await build()
    image = next((image for image in present if image["status"] == "queued"), None)
    if image is None:
        image = await client.create_image(
            name=NAME,
            visibility="public",
            disk_format="qcow2",
            container_format="bare",
            min_ram=MIN_RAM_MIB,
            os_distro="debian",
            hw_qemu_guest_agent="yes",
        )
    await client.upload(image["id"], _empty() if built is None else _pieces(built))


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            yield piece


async def _empty() -> AsyncIterator[bytes]:
    yield empty_qcow2(64 << 20)


def empty_qcow2(virtual_bytes: int) -> bytes:
    """A whole qcow2 image (version 2) without data: header, refcounts and an empty level 1 table.

    https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt
    """
    cluster = 65536
    level1_entries = -(-virtual_bytes // (cluster * cluster // 8))
    header = struct.pack(
        ">4sIQIIQIIQQIIQ",
        b"QFI\xfb",
        2,
        0,  # no backing file
        0,
        16,  # bits of a cluster
        virtual_bytes,
        0,  # not encrypted
        level1_entries,
        3 * cluster,
        cluster,  # refcount table
        1,
        0,  # no snapshots
        0,
    )
    refcount_table = struct.pack(">Q", 2 * cluster)
    refcounts = struct.pack(">4H", 1, 1, 1, 1)
    parts = (header, refcount_table, refcounts, bytes(8 * level1_entries))
    return b"".join(part.ljust(cluster, b"\0") for part in parts)
