"""The bus of a single process: a switchboard and nothing else."""

from .frames import Call, Frame
from .interface import Bus
from .switchboard import Switchboard


async def open_memory_bus(switchboard: Switchboard | None = None) -> Bus:
    """A bus for roles of this process. Buses on one switchboard hear each other, as processes would."""
    bus = Bus(transport := MemoryTransport(switchboard or Switchboard()))
    await transport.open(bus)
    return bus


class MemoryTransport:
    """A member of the switchboard that lives in this process."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._topics: set[str] = set()
        self._events = False
        self._bus: Bus | None = None

    async def open(self, bus: Bus) -> None:
        self._bus = bus

    async def send(self, call: Call) -> None:
        self._switchboard.route(self, call)

    def nudge(self, frame: Frame) -> None:
        self._switchboard.route(self, frame)

    async def serve(self, topic: str) -> None:
        self._topics.add(topic)
        self._switchboard.join(self, self._topics, self._events)

    async def follow(self) -> None:
        self._events = True
        self._switchboard.join(self, self._topics, self._events)

    async def close(self) -> None:
        self._switchboard.leave(self)

    def deliver(self, frame: Frame) -> None:
        assert self._bus is not None
        self._bus.receive(frame)
