"""Which processes are at a device, and which of them died at it without a word.

    DEVICE/recon/present/PID-TOKEN      locked while the process lives, touched now and then, removed when it ends well

Rows of listings are not waited for when they are written, and an object may be on the disk before its container has
heard of it. A file that nobody holds any more tells that such words may be lost, and since when.
"""

import contextlib
import fcntl
import os
import secrets
from pathlib import Path

import structlog

from .progress import FOLDER

log = structlog.get_logger(__name__)

KILLED_S = 120.0
"""Before the last sign of life: what a process that was killed may have left half done."""
POWER_S = 3600.0
"""Before the last sign of life: what may not have been on the disk when the machine stopped."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Presence:
    """This process's, at one device. Everything blocks."""

    def __init__(self, root: Path) -> None:
        """Raises OSError."""
        folder = root / FOLDER / "present"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        os.write(self._fd, boot_id().encode())
        os.fsync(self._fd)

    def touch(self) -> None:
        os.utime(self._fd)

    def leave(self) -> None:
        """All that this process had to do with the device is done."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        os.close(self._fd)


def boot_id() -> str:
    """The same until the machine starts again."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def died(root: Path) -> tuple[float, list[Path]]:
    """Since when (seconds since 1970) words may be lost, and the files that tell so: to be removed when it has been
    written down. No files: nobody has died.
    """
    since, files = float("inf"), []
    for path in sorted((root / FOLDER / "present").glob("*-*")):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_same_boot = os.read(fd, 100).decode("ascii", "replace") == boot_id() != ""
            since = min(since, os.fstat(fd).st_mtime - (KILLED_S if is_same_boot else POWER_S))
            files.append(path)
        except BlockingIOError:
            continue
        finally:
            os.close(fd)
    return since, files
