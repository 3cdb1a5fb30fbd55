"""Shuts guests down when the cloud stops, whoever else is dead.

Guests outlive every process of ours, so `down` may find them alone: nobody is left who knows them. They are
found by what stands in their own command lines, a file below our state folder, and asked over their
monitors, which are free once the host process has gone. A guest that does not go in time is ended as if the
power failed.
"""

import asyncio
import contextlib
import json
import re
import signal
from pathlib import Path
from typing import Any

from aerostat.kernel import log
from aerostat.kernel.processes import Process
from aerostat.kernel.state_folder import StateFolder

POWERDOWN_S = 30.0
QUIT_S = 5.0

logger = log.get_logger(__name__)


async def shut_down_guests(folder: StateFolder, patience_s: float = POWERDOWN_S) -> int:
    """Ask all guests of this cloud to power down, end those that do not; returns how many there were."""
    found = find_guests(folder)
    await asyncio.gather(*(_shut_down(pid, monitor, patience_s) for pid, monitor in found.items()))
    return len(found)


def find_guests(folder: StateFolder) -> dict[int, Path]:
    """Guests by process id, with the path of each one's monitor socket.

    libvirt gives each guest a folder of its own, and names the key in it on the command line. That folder is below
    ours, or, where libvirt is a daemon with a mount namespace of its own, at a place that only the guest sees.
    """
    named = re.compile(rb'"file":"(/[^"]*/)master-key\.aes"')
    own = bytes(folder.path) + b"/"
    homes = [
        (path.stat().st_dev, path.stat().st_ino) for path in Path("/run/netns").glob(f"{folder.prefix}-*")
    ]
    found: dict[int, Path] = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            match = named.search((process / "cmdline").read_bytes())
            if match and match[1].startswith(own):
                found[int(process.name)] = Path(match[1].decode()) / "monitor.sock"
            elif match:
                lives_in = (process / "ns" / "net").stat()
                if (lives_in.st_dev, lives_in.st_ino) in homes:
                    monitor = f"root{match[1].decode()}monitor.sock"
                    found[int(process.name)] = process / monitor
    return found


async def _shut_down(pid: int, monitor: Path, patience_s: float) -> None:
    process = Process.find(pid)
    if process is None:
        return
    try:
        await _power_down(monitor, patience_s)
        gone = await process.wait_gone(QUIT_S)
    except (OSError, ValueError, TimeoutError) as error:
        logger.warning("guest.monitor_silent", guest_pid=pid, reason=str(error) or type(error).__name__)
        gone = False
    if not gone:
        logger.warning("guest.ended_hard", guest_pid=pid, waited_s=patience_s)
    await process.end(signal.SIGTERM, QUIT_S)


async def _power_down(monitor: Path, patience_s: float) -> None:
    """Press the power button, wait until the guest is off, end its QEMU, which stays for somebody to do that.

    Raises `TimeoutError` when the guest does not go in time, `OSError` or `ValueError` when the monitor is not one.
    """
    async with asyncio.timeout(patience_s):
        reader, writer = await asyncio.open_unix_connection(monitor)
        try:
            json.loads(await reader.readline())  # greeting
            off = False
            for command in ("qmp_capabilities", "cont", "system_powerdown"):
                writer.write(json.dumps({"execute": command}).encode() + b"\n")
                await writer.drain()
                while not {"return", "error"} & (answer := await _read(reader)).keys():
                    off = off or answer.get("event") == "SHUTDOWN"  # events come in between
            while not off:
                off = (await _read(reader)).get("event") == "SHUTDOWN"
            writer.write(b'{"execute": "quit"}\n')
            await writer.drain()
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next message. Raises `ValueError` when QEMU has gone."""
    line = await reader.readline()
    if not line:
        raise ValueError("the monitor was closed")
    message: dict[str, Any] = json.loads(line)
    return message
