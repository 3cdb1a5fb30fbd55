"""Running qemu-img and its neighbours, under limits: their input comes from users."""

import json
from pathlib import Path
from typing import Any

from aerostat.kernel.errors import DriverError
from aerostat.kernel.tools import ToolFailed, run_tool
from aerostat.services.compute.host.protocol import DiskFull

ADDRESS_SPACE_BYTES = 1 << 30
CPU_S = 30


async def run(*command: str, limit_s: float = 60.0, cpu_s: int = CPU_S) -> str:
    """Run a tool and give its output. Raises `DriverError` if it fails or takes too long."""
    try:
        out = await run_tool(*command, memory_bytes=ADDRESS_SPACE_BYTES, cpu_s=cpu_s, limit_s=limit_s)
    except ToolFailed as error:
        if "No space left on device" in (error.detail or ""):
            raise DiskFull(str(error.detail)) from error
        message = "Working on a disk took too long." if error.retry else "Working on a disk failed."
        raise DriverError(message, detail=error.detail, retry=error.retry) from error
    return out.decode()


async def info(path: Path, fmt: str) -> dict[str, Any]:
    """What qemu-img says of an image that is to be read as `fmt`; other formats are not tried."""
    found: dict[str, Any] = json.loads(
        await run("qemu-img", "info", "--force-share", "--output=json", "-f", fmt, str(path))
    )
    return found


def qcow2_size(path: Path) -> int:
    """The size in bytes of the disk that a qcow2 file of ours holds, read from its header."""
    with path.open("rb") as file:
        return int.from_bytes(file.read(32)[24:32], "big")
