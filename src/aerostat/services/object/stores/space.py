"""Room that objects leave on a device: for deletions, which make room and need a file for it, and for listings."""

import errno
import os
from pathlib import Path

SHARE = 100
MOST_BYTES = 1 << 30
"""What is left free is a part in `SHARE` of the device, and never more than this."""


def check_room(root: Path, size: int) -> None:
    """Whether so many bytes of an object may come. Blocks. Raises OSError, ENOSPC when not."""
    space = os.statvfs(root)
    kept = min(space.f_blocks * space.f_frsize // SHARE, MOST_BYTES)
    if space.f_bavail * space.f_frsize - size < kept:
        raise OSError(errno.ENOSPC, "the rest is for deletions and listings", str(root))
