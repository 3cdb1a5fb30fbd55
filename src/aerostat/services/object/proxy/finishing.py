"""Writes that have begun are ended, also when whoever asked for them goes away: a file that is there is told of."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Finishing:
    """Calls as a function: `await finishing(work)` answers what the work does."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def all_ended(self) -> None:
        """Wait for them: devices have their limits of time, so each ends."""
        await asyncio.gather(*self._running, return_exceptions=True)
