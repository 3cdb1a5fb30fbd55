"""Reading what guests wrote, and keeping it from filling the disk.

QEMU appends to the log for as long as the guest lives and holds it open, so the file cannot be cut; a hole
is made at its beginning instead, which gives the blocks back and moves nothing.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

import structlog

from aerostat.kernel.errors import DriverError

from . import qemu_img
from .settings import DomainFolder, LibvirtSettings

log = structlog.get_logger(__name__)

TRIM_EVERY_S = 60.0
TRIM_ABOVE_BYTES = 16 << 20
KEEP_BYTES = 4 << 20


def read_tail(path: Path, max_bytes: int) -> str:
    """The last `max_bytes` of a log, as text; empty if there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


async def trim_logs(instances: Path, every_s: float = TRIM_EVERY_S) -> None:
    """For ever: free the older parts of logs that have become large."""
    while True:
        for path in await asyncio.to_thread(lambda: sorted(instances.glob("*/console.log"))):
            try:
                await trim_log(path)
            except (DriverError, FileNotFoundError) as failed:
                log.warning("a console log could not be trimmed", path=str(path), error=str(failed))
        await asyncio.sleep(every_s)


async def trim_log(path: Path, above_bytes: int = TRIM_ABOVE_BYTES, keep_bytes: int = KEEP_BYTES) -> None:
    """Free all but the last `keep_bytes` if more than `above_bytes` are held."""
    stat = await asyncio.to_thread(path.stat)
    if stat.st_blocks * 512 > above_bytes:
        length = str(stat.st_size - keep_bytes)
        await qemu_img.run("fallocate", "--punch-hole", "--offset", "0", "--length", length, str(path))


def let_in(settings: LibvirtSettings, folder: DomainFolder) -> None:
    """Let `settings.client` open the two sockets and walk through the folders above; all else stays root's."""
    assert settings.client is not None
    uid, gid = settings.client
    for path in (settings.state, folder.sockets.parent, folder.sockets):
        os.chown(path, -1, gid)
        os.chmod(path, 0o710)
    for socket in (folder.vnc_socket, folder.serial_socket):
        os.chown(socket, uid, gid)
        os.chmod(socket, 0o600)


def take_screenshot(connection: Any, domain: Any) -> bytes:
    """What the guest's screen shows, as QEMU gives it: PNG."""
    stream = connection.newStream()
    try:
        domain.screenshot(stream, 0, 0)
        parts: list[bytes] = []
        stream.recvAll(lambda _stream, data, parts: parts.append(data), parts)
        stream.finish()
    except BaseException:
        stream.abort()
        raise
    return b"".join(parts)
