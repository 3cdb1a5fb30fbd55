"""The fake world with a temper: hosts and switches that answer late, refuse, or lose their answer.

Verbs take virtual time before and after they act, so that whoever asked can die, be cut off or be overtaken on either
side of the deed.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aerostat.kernel.errors import DriverError
from aerostat.services.compute.drivers import fake as hypervisors
from aerostat.services.network.drivers import fake as switches
from aerostat.services.network.host.protocol import PortUp

from .history import History
from .loop import PROCESS, VirtualLoop

# Verbs that only look do not refuse for good: there is nothing they could refuse.
MAY_REFUSE = frozenset(
    {"ensure_domain", "ensure_base_image", "ensure_interface", "export_disk", "ensure_power", "send"}
)


@dataclass
class Temper:
    """How the world behaves; rates are per verb."""

    delay_s: float = 0.05
    failure_rate: float = 0.0
    refusal_rate: float = 0.0
    hang_rate: float = 0.0
    hang_s: float = 20.0


class Moods:
    """What every verb of a fake goes through."""

    def __init__(self, rng: random.Random, history: History) -> None:
        self.temper = Temper()
        self._rng = rng
        self._history = history

    async def before(self, verb: str) -> None:
        temper, rng = self.temper, self._rng
        if rng.random() < temper.hang_rate:
            self._history.fault("drivers hang", "world", "", quiet=True)
            await asyncio.sleep(rng.random() * temper.hang_s)
        await asyncio.sleep(rng.random() * temper.delay_s)
        if rng.random() < temper.failure_rate / 2:
            self._fail(verb, retry=True)
        if verb in MAY_REFUSE and rng.random() < temper.refusal_rate:
            self._fail(verb, retry=False)

    async def after(self, verb: str) -> None:
        """The deed is done; its answer may be lost."""
        await asyncio.sleep(self._rng.random() * self.temper.delay_s)
        if self._rng.random() < self.temper.failure_rate / 2:
            self._fail(verb, retry=True)

    def _fail(self, verb: str, *, retry: bool) -> None:
        self._history.fault("drivers fail" if retry else "drivers refuse", "world", "", quiet=True)
        raise DriverError(f"The fake world {'fails' if retry else 'refuses'} to {verb}.", retry=retry)


class HostFaults(hypervisors.Faults):
    """In the place of a fake hypervisor's planted faults."""

    def __init__(self, moods: Moods) -> None:
        super().__init__()
        self._moods = moods

    @contextlib.asynccontextmanager
    async def around(self, verb: str) -> AsyncIterator[None]:
        await self._moods.before(verb)
        yield
        await self._moods.after(verb)


class SwitchFaults(switches.Faults):
    """In the place of the fake switches' planted faults. They stand before each deed only."""

    def __init__(self, moods: Moods) -> None:
        super().__init__()
        self._moods = moods

    async def meet(self, verb: str) -> None:
        await self._moods.before(verb)


class SimNetworkDriver(switches.FakeNetworkDriver):
    """The driver in one control process; what it hears of ports reaches that process only while it lives."""

    def __init__(self, world: switches.FakeWorld, loop: VirtualLoop) -> None:
        super().__init__(world)
        self._loop = loop

    def on_port_up(self, callback: PortUp) -> None:
        process = PROCESS.get()
        assert process is not None

        def tell(port_id: str, is_up: bool) -> None:
            self._loop.call_soon(callback, port_id, is_up, context=process.context())

        self.world.watch(tell)
