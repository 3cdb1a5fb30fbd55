"""A rate that is kept: who is ahead of it waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable

BURST_S = 0.2


class Pace:
    """`per_s`: units in a second, 0 for as many as there are. What was not used stays for `BURST_S` only."""

    def __init__(
        self,
        per_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._per_s = per_s
        self._clock = clock
        self._sleep = sleep
        self._due_s = clock()

    async def spend(self, amount: float = 1.0) -> None:
        """Come back when so much may be done; others have their turn in any case."""
        if self._per_s <= 0:
            await self._sleep(0)
            return
        now_s = self._clock()
        self._due_s = max(self._due_s, now_s - BURST_S) + amount / self._per_s
        await self._sleep(max(0.0, self._due_s - now_s - BURST_S))
