"""Sweepers: «what is due?» Expiry, cleaning, periodic upkeep; one file per kind, `sweepers/<what>.py`."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any


class Sweeper:
    """Runs `await sweep(house) -> int` (how many things it swept) every `every`, in one process at a time."""

    def __init__(
        self, name: str, *, every: timedelta | float, sweep: Callable[[Any], Awaitable[int]]
    ) -> None:
        self.name = name
        self.every = every if isinstance(every, timedelta) else timedelta(seconds=every)
        self._sweep = sweep

    async def run(self, house: Any) -> int:
        return await self._sweep(house)
