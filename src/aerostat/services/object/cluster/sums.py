"""Accounts hear of their containers' sums some seconds after these changed: once, however often they did."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from .calls import FAULTS
from .errors import NoQuorum

FEW = 50
"""Containers whose sums somebody may be kept waiting for."""

log = structlog.get_logger(__name__)


class Sums:
    """`tell`: an account, the sums of these containers. `delay_s`: after the first change that was not told."""

    def __init__(self, tell: Callable[[str, Sequence[str]], Awaitable[None]], delay_s: float) -> None:
        self._tell = tell
        self._delay_s = delay_s
        self._changed: dict[str, dict[str, None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._at_work: set[asyncio.Task[None]] = set()

    def changed(self, account: str, container: str) -> None:
        self._changed.setdefault(account, {})[container] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay_s, self._start)

    def _start(self) -> None:
        self._timer = None
        task = asyncio.create_task(self.flush_all())
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    async def flush_all(self) -> None:
        """Tell all that is known now. What cannot be told is tried again later."""
        for account in list(self._changed):
            await self.flush(account)

    async def flush_few(self, account: str) -> None:
        """Tell what is known now if it is not too much to wait for."""
        if len(self._changed.get(account, ())) <= FEW:
            await self.flush(account)

    async def flush(self, account: str) -> None:
        if (containers := self._changed.pop(account, None)) is None:
            return
        try:
            await self._tell(account, list(containers))
        except (NoQuorum, *FAULTS) as error:
            log.warning("sums_not_told", account=account, containers=len(containers), why=str(error))
            for container in containers:
                self.changed(account, container)

    async def close(self) -> None:
        """Tell what is left, once."""
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._at_work)
        await self.flush_all()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
