"""When a process that serves ends: by a signal, or with the process that started it."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any


async def until_told(work: Coroutine[Any, Any, None], parent_fd: int | None) -> None:
    """Run `work` until it ends, or a signal or the parent's end cancels it."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    if parent_fd is not None:
        loop.add_reader(parent_fd, lambda: (loop.remove_reader(parent_fd), task.cancel()))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
