"""Processor time and memory of a process and everything below it, read from the kernel.

Linux keeps a clock for each process, readable by others to the nanosecond: finer than the hundredths of a second in
/proc/PID/stat. The time of children that have ended stands there only, and is added.
"""

import os
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_ENDED_CHILDREN = (13, 14)  # cutime and cstime, counted from the field after the command's name


class Tree:
    """The processes from `root` downwards, as they are at each look."""

    def __init__(self, root: int) -> None:
        self.root = root

    def pids(self) -> list[int]:
        found, ahead = [], [self.root]
        while ahead:
            pid = ahead.pop()
            try:
                children = [
                    child
                    for task in Path(f"/proc/{pid}/task").iterdir()
                    for child in (task / "children").read_text().split()
                ]
            except OSError:  # it has ended since
                continue
            found.append(pid)
            ahead.extend(map(int, children))
        return found

    def cpu_s(self) -> float:
        """Seconds of processor time spent so far."""
        return sum(_cpu_s(pid) for pid in self.pids())

    def pss_mib(self) -> float:
        """Memory, with what processes share counted once."""
        return sum(_pss_kib(pid) for pid in self.pids()) / 1024


def _cpu_s(pid: int) -> float:
    clock = ~pid << 3 | 2  # the clock of another process, as clock_getcpuclockid(3) makes it
    try:
        own_s = time.clock_gettime(clock)
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return own_s + sum(int(fields[index]) for index in _ENDED_CHILDREN) / _TICKS


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
