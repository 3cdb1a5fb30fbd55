"""Running qemu-img and its neighbours, under limits: their input comes from users."""

import asyncio
import json
from pathlib import Path
from typing import Any

from aerostat.kernel.errors import DriverError
from aerostat.services.compute.host.protocol import DiskFull

ADDRESS_SPACE_BYTES = 1 << 30
CPU_S = 30


async def run(*command: str, limit_s: float = 60.0, cpu_s: int = CPU_S) -> str:
    """Run a tool and give its output. Raises `DriverError` if it fails or takes too long."""
    limits = ("prlimit", f"--as={ADDRESS_SPACE_BYTES}", f"--cpu={cpu_s}", "--core=0", "--")
    process = await asyncio.create_subprocess_exec(
        *limits,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"},
    )
    try:
        out, complaint = await asyncio.wait_for(process.communicate(), limit_s)
    except TimeoutError:
        raise DriverError("Working on a disk took too long.", detail=" ".join(command), retry=True) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        detail = f"{' '.join(command)}: {complaint.decode(errors='replace').strip()[-500:]}"
        if "No space left on device" in detail:
            raise DiskFull(detail)
        raise DriverError("Working on a disk failed.", detail=detail)
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
