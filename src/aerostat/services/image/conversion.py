"""An image in another format: read by qemu-img, after its bytes were found to be what they should, under limits.

Upstream: https://docs.openstack.org/glance/latest/admin/interoperable-image-import.html#the-image-conversion
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from aerostat.kernel.errors import DriverError
from aerostat.kernel.tools import ToolFailed, run_tool

from .errors import ImageTooLarge

KEPT_AS_THEY_ARE = frozenset({"iso", "ami", "ari", "aki"})
"""A CD is booted as a CD; kernels and ramdisks are no disks."""
MEMORY_BYTES = 2 << 30
CPU_S_OF_EACH_GIB = 60
LIMIT_S_OF_EACH_GIB = 300.0
_READ_BYTES = 1 << 20
_GIB = 1 << 30
# How QEMU calls what upstream calls otherwise.
_QEMU_NAMES = {"vhd": "vpc", "ploop": "parallels"}
_PROGRESS = re.compile(rb"\(([0-9.]+)/100%\)")


def is_needed(disk_format: str, container_format: str, wanted: str) -> bool:
    """Whether images that are declared so become `wanted` (empty: nothing is converted)."""
    return bool(wanted) and container_format == "bare" and disk_format not in {wanted, *KEPT_AS_THEY_ARE}


async def convert(
    source: Path,
    disk_format: str,
    target: Path,
    wanted: str,
    *,
    most_bytes: int,
    progress: Callable[[float], Awaitable[None]],
) -> None:
    """Write `source` to `target` as `wanted`; `progress` hears of percents. Both are absolute; `target` is overwritten.

    Raises `FormatMismatch`, `UnsafeImage` for bytes that no tool is shown, `ImageTooLarge`, `DriverError`.
    """
    virtual_bytes = await asyncio.to_thread(_virtual_bytes, source, disk_format)
    if virtual_bytes > most_bytes:  # a small file may hold a disk without end, which would be read to its end
        raise ImageTooLarge(limit=most_bytes)
    gibs = 1 + virtual_bytes // _GIB
    said = bytearray()

    async def heard(piece: bytes) -> None:
        said.extend(piece)
        found = _PROGRESS.findall(said)
        if found:
            del said[:-32]
            await progress(float(found[-1]))

    formats = ("-f", _QEMU_NAMES.get(disk_format, disk_format), "-O", _QEMU_NAMES.get(wanted, wanted))
    try:
        await run_tool(
            *("qemu-img", "convert", "-p", "-U", *formats, str(source), str(target)),
            memory_bytes=MEMORY_BYTES,
            cpu_s=CPU_S_OF_EACH_GIB * gibs,
            limit_s=LIMIT_S_OF_EACH_GIB * gibs,
            file_bytes=most_bytes + _GIB,
            heard=heard,
        )
    except ToolFailed as error:
        full = "No space left on device" in (error.detail or "")
        what = "there is not enough disk space" if full else "it cannot be read as what it is"
        message = f"The image cannot be converted from {disk_format} to {wanted}: {what}."
        raise DriverError(message, detail=error.detail, retry=full or error.retry) from error


def _virtual_bytes(path: Path, disk_format: str) -> int:
    """Looks at the whole file, as at an upload. Raises `FormatMismatch`, `UnsafeImage`."""
    from .inspection import Inspection

    inspection = Inspection(disk_format)
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            inspection.take(piece)
    return inspection.finish() or os.stat(path).st_size
