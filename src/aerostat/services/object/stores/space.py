"""Room that objects leave on a device: for deletions, which make room and need a file for it, and for listings."""

import errno
import os
import time
from pathlib import Path

SHARE = 100
MOST_BYTES = 1 << 30
"""What is left free is a part in `SHARE` of the device, and never more than this."""
AMPLE_BYTES = 256 << 20
AMPLE_S = 0.1
"""Where so much is free beyond that, nobody looks again for so long."""


class Space:
    """Of one device."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._ample_until_s = 0.0

    def check(self, size: int) -> None:
        """Whether so many bytes of an object may come. Blocks. Raises OSError, ENOSPC when not."""
        now_s = time.monotonic()
        if now_s < self._ample_until_s and size < AMPLE_BYTES // 4:
            return
        space = os.statvfs(self._root)
        kept = min(space.f_blocks * space.f_frsize // SHARE, MOST_BYTES)
        left = space.f_bavail * space.f_frsize - size - kept
        if left < 0:
            raise OSError(errno.ENOSPC, "the rest is for deletions and listings", self._root)
        if left > AMPLE_BYTES:
            self._ample_until_s = now_s + AMPLE_S
