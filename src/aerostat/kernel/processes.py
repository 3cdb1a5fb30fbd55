"""Processes as things one may safely hold: known by pid *and* start time, watched and signalled by a pidfd.

A pid alone names nobody: it is given to another process after its owner ends. The pair (pid, start time) is
unique within one boot, and a pidfd keeps pointing at the process it was opened for, so that a signal sent
through it can never reach a stranger.
"""

import asyncio
import contextlib
import os
import signal
from pathlib import Path


def boot_id() -> str:
    """The name of this boot of the machine; start times of processes are comparable only within it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def find_start_ticks(pid: int) -> int | None:
    """When process `pid` began, in clock ticks since boot; None if it is not there, or is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in brackets and may hold anything, brackets too: fields are counted after the last one.
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


class Process:
    """One running process, ours or a predecessor's. Bound to the running event loop; `close()` frees it."""

    def __init__(self, pid: int, start_ticks: int, pidfd: int) -> None:
        self.pid = pid
        self.start_ticks = start_ticks
        self.gone = asyncio.Event()
        self._pidfd = pidfd
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pidfd, self._on_exit)

    @classmethod
    def find(cls, pid: int, start_ticks: int | None = None) -> "Process | None":
        """The process `pid` if it runs (and began at `start_ticks`, when given)."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        # Looked at after the pidfd was opened: if it still began then, the pidfd is of this very process.
        found = find_start_ticks(pid)
        if found is None or (start_ticks is not None and found != start_ticks):
            os.close(pidfd)
            return None
        return cls(pid, found, pidfd)

    def send(self, number: int) -> None:
        """Send a signal; nothing happens if the process has ended."""
        if not self.gone.is_set():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    async def wait_gone(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; False if it did not come in `timeout_s`."""
        try:
            await asyncio.wait_for(self.gone.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def end(self, stop_signal: int = signal.SIGTERM, timeout_s: float = 10.0) -> None:
        """Ask with `stop_signal`, wait `timeout_s`, then kill; returns when the process is gone."""
        self.send(stop_signal)
        if not await self.wait_gone(timeout_s):
            self.send(signal.SIGKILL)
            await self.gone.wait()
        self.close()

    def close(self) -> None:
        """Let go of the process without touching it."""
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self.gone.set()
