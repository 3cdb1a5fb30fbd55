"""Turns: what is done about one thing goes one after the other, what is done about different things side by side."""

import asyncio
from weakref import WeakValueDictionary


class Turns:
    """One lock for each id, which is there as long as anybody holds it or waits for it.

    async with self._turns.of(server_id):
        …
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, id: str) -> asyncio.Lock:
        """The lock of this id; to be used at once, for nobody else keeps it."""
        lock = self._locks.get(id)
        if lock is None:
            lock = self._locks[id] = asyncio.Lock()
        return lock

    def __len__(self) -> int:
        """Of how many ids somebody is about."""
        return len(self._locks)
