"""The name under which a process holds leases, and which earlier holders are known to be dead.

Each run has a name that was never used before. It stands in a file that the process holds by flock as long as it
lives: who gets the lock of such a file knows that all who wrote in it before are dead, and what they held can be
taken over at once. Leases of anybody else, on this machine or another, are left to their time.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from .. import ids
from ..db import Store
from .lease import void_leases_of

MOST_WORKERS = 64
LONGEST_LIST_BYTES = 1 << 20
LONGEST_HOST_NAME = 27  # a worker's name has room for 64 letters, and an id has 36


class NoPlace(Exception):
    """More processes work in one state folder than there are places."""


class Worker:
    """This run's name, and those of earlier runs that are dead for certain."""

    def __init__(self, name: str, handle: int) -> None:
        self.name = name
        self.dead = tuple(os.pread(handle, LONGEST_LIST_BYTES, 0).decode().split())
        self._handle = handle
        self._write([*self.dead, name])

    async def take_over(self, store: Store) -> int:
        """Free what the dead held; answers how many pieces of work. May be repeated."""
        freed = 0
        for name in self.dead:
            freed += await void_leases_of(store, name)
        # Only now: whoever dies before has their names found by the next.
        self._write([self.name])
        return freed

    def _write(self, names: list[str]) -> None:
        text = "".join(f"{name}\n" for name in names).encode()
        os.pwrite(self._handle, text, 0)
        os.ftruncate(self._handle, len(text))


@contextlib.contextmanager
def working_in(folder: Path, host_name: str) -> Iterator[Worker]:
    """Be a worker of the state kept in `folder` while the block runs. Raises `NoPlace`."""
    for number in range(MOST_WORKERS):
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(folder / f"worker-{number}", flags, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        try:
            yield Worker(f"{host_name[:LONGEST_HOST_NAME]}.{ids.new_id()}", handle)
        finally:
            os.close(handle)
        return
    raise NoPlace(f"{MOST_WORKERS} processes already work in {folder}")
