"""Waiting for what other tasks do, with a limit."""

import asyncio
from collections.abc import Awaitable, Callable

LIMIT_S = 20.0


async def until(condition: Callable[[], bool | Awaitable[bool]], limit_s: float = LIMIT_S) -> None:
    """Return as soon as `condition()` holds; TimeoutError when it does not within the limit."""
    async with asyncio.timeout(limit_s):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.005)
