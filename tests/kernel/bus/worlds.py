"""Places in which buses meet, one for each transport, all with the same handles for tests."""

import asyncio
import contextlib
import secrets
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aerostat.kernel.bus import Bus, BusError, open_local_bus, open_local_hub, open_memory_bus
from aerostat.kernel.bus.amqp import open_amqp_bus
from aerostat.kernel.bus.switchboard import Switchboard

ROOT = Path(__file__).parents[3]


class World:
    """Opens buses that hear each other, as so many processes, and closes them all in the end."""

    kind = ""

    def __init__(self) -> None:
        self.buses: list[Bus] = []

    async def bus(self) -> Bus:
        bus = await self.open()
        self.buses.append(bus)
        return bus

    async def open(self) -> Bus:
        raise NotImplementedError

    def address(self) -> list[str]:
        """How a child process finds this world."""
        raise NotImplementedError

    async def close(self) -> None:
        for bus in reversed(self.buses):
            await bus.close()

    @asynccontextmanager
    async def child(self):
        """A process that serves `host.child`; it may be killed by the test."""
        command = [sys.executable, "-m", "tests.kernel.bus.child", self.kind, *self.address()]
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class MemoryWorld(World):
    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.switchboard = Switchboard()

    async def open(self) -> Bus:
        return await open_memory_bus(self.switchboard)


class LocalWorld(World):
    """The first bus is the hub's own."""

    kind = "local"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / "control.sock"

    async def open(self) -> Bus:
        return await (open_local_bus(self.path) if self.buses else open_local_hub(self.path))

    def address(self) -> list[str]:
        return [str(self.path)]


class AmqpWorld(World):
    kind = "amqp"

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.prefix = f"test-{secrets.token_hex(4)}"

    async def open(self) -> Bus:
        return await open_amqp_bus(self.url, prefix=self.prefix)

    def address(self) -> list[str]:
        return [self.url, self.prefix]


async def call_until_answered(
    bus: Bus, topic: str, verb: str, body: object = None, *, limit_s: float = 20
) -> Any:
    """Ask again while the bus cannot deliver, as a flow would."""
    async with asyncio.timeout(limit_s):
        while True:
            try:
                return await bus.call(topic, verb, body, timeout_s=5)
            except BusError:
                await asyncio.sleep(0.02)
