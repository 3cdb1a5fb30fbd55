"""One connection kept open: opened, watched, and opened again with growing pauses when it breaks."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol, TypeVar

from aerostat.kernel.log import get_logger

from .errors import BusAway

CONNECT_WAIT_S = 5.0
"""How long a call waits for a connection before it fails; longer than one comes back after a short fault."""

log = get_logger(__name__)


class Session(Protocol):
    async def ended(self) -> str:
        """Wait until the connection is no more; why."""


S = TypeVar("S", bound=Session)


class Steady(Generic[S]):
    """Keeps a session of `connect` open until closed. `lost` is told whenever one breaks."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], AbstractAsyncContextManager[S]],
        lost: Callable[[str], None],
        *,
        errors: tuple[type[Exception], ...],
        longest_pause_s: float,
    ) -> None:
        self.current: S | None = None
        self.error: Exception | None = None  # what the last attempt ended with
        self._name = name
        self._connect = connect
        self._lost = lost
        self._errors = errors
        self._longest_pause_s = longest_pause_s
        self._connected = asyncio.Event()
        self._tried = asyncio.Event()
        self._broken_at = time.monotonic()
        self._reason = "not connected yet"
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def tried(self) -> None:
        """Wait for the first attempt to connect, whatever came of it."""
        await self._tried.wait()

    async def session(self) -> S:
        """The open session; waits a little for one. Raises BusAway, which says since when there is none."""
        if self.current is None:
            try:
                async with asyncio.timeout(CONNECT_WAIT_S):
                    await self._connected.wait()
            except TimeoutError:
                since_s = time.monotonic() - self._broken_at
                text = f"no connection to {self._name} for {since_s:.0f} s: {self._reason}"
                raise BusAway(text) from None
        if self.current is None:
            raise BusAway(f"the connection to {self._name} broke: {self._reason}")
        return self.current

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        failures = 0
        while True:
            try:
                async with self._connect() as session:
                    self.current, self.error = session, None
                    self._connected.set()
                    self._tried.set()
                    log.info("bus.connected", to=self._name, after_failures=failures)
                    failures = 0
                    self._reason = await session.ended()
            except self._errors as error:
                self.error, self._reason = error, reason_of(error)
            except Exception as error:
                log.exception("bus.connection_failed", to=self._name)
                self.error, self._reason = error, reason_of(error)
            finally:
                if self.current is not None:
                    self.current = None
                    self._connected.clear()
                    self._broken_at = time.monotonic()
                    self._lost(f"the connection to {self._name} broke: {self._reason}")
            self._tried.set()
            failures += 1
            pause_s = min(0.05 * 2 ** min(failures, 16), self._longest_pause_s) * random.uniform(0.5, 1.0)
            if failures in (1, 5) or failures % 50 == 0:
                log.warning("bus.disconnected", to=self._name, reason=self._reason, failures=failures)
            await asyncio.sleep(pause_s)


def reason_of(error: BaseException) -> str:
    """What an error says, or what it is when it says nothing."""
    return str(error) or type(error).__name__
