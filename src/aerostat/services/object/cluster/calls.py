"""Calls to many devices at once: who has answered, who has failed, who is given up waiting for.

A call that is given up is not cancelled: its thread or its node works on anyway, and what it holds must be let go of
when it ends. `Calls` keeps it until then.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from ..stores.object_file import Damaged
from ..stores.objects import Superseded
from ..stores.protocol import DeviceAway
from .layout import Target
from .standing import Standings

T = TypeVar("T")

FAULTS = (DeviceAway, OSError, EOFError, sqlite3.Error, Damaged)
"""What one device may raise without being anything but one device that cannot help."""

Dispose = Callable[[Any], Awaitable[None]]


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long who is waited for. `answer_s`: a device that has not answered is away. `hedge_s`: after so long the next
    is asked as well. `linger_s`: others may take so much longer than a quorum did. `stall_s`: a stream that does not
    get on is dropped.
    """

    answer_s: float = 10.0
    hedge_s: float = 0.5
    linger_s: float = 0.5
    stall_s: float = 5.0


class Calls:
    """All calls of a cluster."""

    def __init__(self, standings: Standings, patience: Patience) -> None:
        self.standings = standings
        self.patience = patience
        self._left: set[asyncio.Task[Any]] = set()

    def start(self, target: Target, call: Awaitable[T]) -> "asyncio.Task[T]":
        return asyncio.create_task(self.timed(target, call))

    async def timed(self, target: Target, call: Awaitable[T]) -> T:
        """The call, and what it says of the device's standing."""
        clock = self.standings.clock
        began = clock()
        try:
            answer = await call
        except Superseded:
            self.standings.answered(target.key, clock() - began)
            raise
        except Damaged:
            raise
        except FAULTS as error:
            self.standings.failed(target.key, error)
            raise
        self.standings.answered(target.key, clock() - began)
        return answer

    def leave(self, target: Target, task: "asyncio.Task[Any]", dispose: Dispose | None = None) -> None:
        """Nobody waits for it any more. `dispose`: of its answer, if it comes to one."""
        self.standings.overdue(target.key, 1)
        self._left.add(task)

        def ended(task: "asyncio.Task[Any]") -> None:
            self.standings.overdue(target.key, -1)
            self._left.discard(task)
            if task.cancelled() or task.exception() is not None or dispose is None:
                return
            if (answer := task.result()) is not None:
                self.later(dispose(answer))

        task.add_done_callback(ended)

    def later(self, work: Awaitable[Any]) -> None:
        """Do it aside; that it may fail is of no account."""
        task = asyncio.create_task(_run(work))
        self._left.add(task)
        task.add_done_callback(self._left.discard)

    async def close(self) -> None:
        """Wait, not for ever, for what was left."""
        while self._left:
            _, left = await asyncio.wait(self._left, timeout=self.patience.answer_s)
            if left:
                return
            await asyncio.sleep(0)


async def _run(work: Awaitable[Any]) -> None:
    try:
        await work
    except FAULTS:
        return
