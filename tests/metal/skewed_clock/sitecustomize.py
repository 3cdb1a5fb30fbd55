"""A wall clock that goes wrong: Python runs this first in a process that has this folder on its PYTHONPATH.

The file that `SKEWED_CLOCK` names tells, as a double, by how many seconds the clock is ahead; it may change at
any time.
"""

import mmap
import os
import struct
import time


def _skew() -> None:
    path = os.environ.get("SKEWED_CLOCK")
    if not path:
        return
    fd = os.open(path, os.O_RDONLY)
    held = mmap.mmap(fd, 8, prot=mmap.PROT_READ)
    os.close(fd)
    real_ns = time.time_ns

    def time_ns() -> int:
        return real_ns() + int(struct.unpack("d", held)[0] * 1e9)

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


_skew()
