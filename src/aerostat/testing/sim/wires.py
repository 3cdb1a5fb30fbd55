"""The message queue of a simulated cloud: everything arrives late, in any order, twice, or not at all.

It behaves as RabbitMQ may: a topic's queue outlives those who serve it; a message that was given to a process that
died, or that was cut off, is given to the next. What may happen besides, at the rates of `Temper`: a call, an answer,
a cast or an event is lost; a message comes a second time, at once or much later; a process is cut off for a while,
and either hears nothing or has its connection broken.
"""

import asyncio
import contextvars
import itertools
import random
from dataclasses import dataclass
from typing import Any

import msgspec

from aerostat.kernel.bus import Bus, BusAway, BusGone, BusNobody
from aerostat.kernel.bus.frames import Answer, Call, Cast, Event, Frame, Refusal, undelivered

from .history import History
from .loop import Process, VirtualLoop

LATEST_REPEAT_S = 45.0
TOLD_RATE = 0.7  # of lost calls: those whose callers learn it from a broken connection, and need not wait
LONG_TOLD_RATE = 0.95  # the same of calls that may take long: waiting for each costs the simulation minutes


@dataclass
class Temper:
    """How the wires behave; rates are per message."""

    delay_s: float = 0.01
    loss_rate: float = 0.0
    repeat_rate: float = 0.0
    slow_rate: float = 0.0
    slow_s: float = 5.0


@dataclass
class _Errand:
    """A call or cast on its way: who asked under which id, who has it now, until when it is worth carrying."""

    asker: "SimTransport | None"
    asked_id: int
    frame: Call | Cast
    until_s: float
    server: "SimTransport | None" = None
    rounds: int = 0


class Wires:
    """The queue's server."""

    def __init__(self, loop: VirtualLoop, rng: random.Random, history: History) -> None:
        self.loop = loop
        self.rng = rng
        self.history = history
        self.temper = Temper()
        self._members: list[SimTransport] = []
        self._queues: dict[str, list[_Errand]] = {}
        self._open: dict[int, _Errand] = {}
        self._ids = itertools.count(1)

    def bus_for(self, process: Process) -> Bus:
        """The bus of one process; nothing has to be opened."""
        transport = SimTransport(self, process)
        transport.bus = bus = Bus(transport)
        self._members.append(transport)
        return bus

    # What members hand over

    def submit(self, asker: "SimTransport", frame: Call | Cast) -> None:
        life_s = frame.timeout_s if isinstance(frame, Call) else 10.0
        errand = _Errand(asker, frame.id if isinstance(frame, Call) else 0, frame, self.loop.time() + life_s)
        if self._is_lost("messages lost"):
            if isinstance(frame, Call) and self.rng.random() < (
                TOLD_RATE if life_s < 300 else LONG_TOLD_RATE
            ):
                self._later(self._deliver, asker, undelivered(frame.id, BusGone("the connection broke")))
            return
        self._later(self._enqueue, errand)
        if self._chance(self.temper.repeat_rate):
            self.history.fault("messages repeated", "bus", "", quiet=True)
            again = self.rng.choice((0.1, 1.0, LATEST_REPEAT_S)) * self.rng.random()
            repeated = _Errand(asker, errand.asked_id, frame, errand.until_s + again)
            self._world_later(again, self._repeat, repeated)

    def knows(self, topic: str) -> bool:
        return topic in self._queues

    def announce(self, event: Event) -> None:
        for member in self._members:
            if member.follows and not self._is_lost("events lost"):
                self._later(self._deliver, member, event)

    def reply(self, server: "SimTransport", frame: Answer | Refusal) -> None:
        errand = self._open.get(frame.id)
        if errand is None or errand.server is not server:
            return
        del self._open[frame.id]
        if errand.asker is not None and not self._is_lost("messages lost"):
            self._later(self._deliver, errand.asker, msgspec.structs.replace(frame, id=errand.asked_id))

    def declare(self, topic: str) -> None:
        waiting = self._queues.setdefault(topic, [])
        errands, waiting[:] = list(waiting), []
        for errand in errands:
            self._later(self._enqueue, errand)

    # Carrying

    def _repeat(self, errand: _Errand) -> None:
        if self.temper.repeat_rate:  # not once all is healed: the reconcilers run once more only
            self._enqueue(errand)

    def _enqueue(self, errand: _Errand) -> None:
        """Into the queue of its topic, and on to one of those who serve it, if any is there."""
        if self.loop.time() > errand.until_s:
            return
        topic = errand.frame.topic
        servers = [member for member in self._members if topic in member.topics and member.connected]
        if not servers:
            self._queues.setdefault(topic, []).append(errand)
            return
        errand.server = self.rng.choice(servers)
        errand.rounds += 1
        frame: Frame = errand.frame
        if isinstance(frame, Call):
            id = next(self._ids)
            self._open[id] = errand
            frame = msgspec.structs.replace(frame, id=id)
        self._deliver(errand.server, frame)

    def _deliver(self, member: "SimTransport", frame: Frame) -> None:
        if member.connected:
            self.loop.call_soon(member.bus.receive, frame, context=member.process.context())

    def forget(self, process: Process) -> None:
        """The process is gone: what it had taken and not answered goes to the next, as if nobody had seen it."""
        for member in [one for one in self._members if one.process is process]:
            self._members.remove(member)
            self._take_back(member)
        for errand in self._open.values():
            if errand.asker is not None and errand.asker.process is process:
                errand.asker = None

    def _take_back(self, member: "SimTransport") -> None:
        for id, errand in list(self._open.items()):
            if errand.server is member:
                del self._open[id]
                if errand.rounds < 5:
                    self._later(self._enqueue, errand)

    # Partitions

    def cut(self, process: Process, for_s: float, *, told: bool) -> None:
        """Nothing passes to or from the process. `told`: its connection breaks, so it knows."""
        for member in self._members:
            if member.process is process:
                member.cut_until_s = max(member.cut_until_s, self.loop.time() + for_s)
                if told:
                    broken = f"the connection of {process.name} broke"
                    self.loop.call_soon(member.bus.lose, broken, context=process.context())
                self._take_back(member)
                self._world_later(for_s + 0.001, self._back_again, member)

    def heal(self) -> None:
        self.temper = Temper(delay_s=self.temper.delay_s)
        for member in self._members:
            member.cut_until_s = 0.0
            self._back_again(member)

    def _back_again(self, member: "SimTransport") -> None:
        for topic in sorted(member.topics):
            self.declare(topic)

    # Chance

    def _chance(self, rate: float) -> bool:
        return rate > 0 and self.rng.random() < rate

    def _is_lost(self, kind: str) -> bool:
        lost = self._chance(self.temper.loss_rate)
        if lost:
            self.history.fault(kind, "bus", "", quiet=True)
        return lost

    def _later(self, act: Any, *args: Any) -> None:
        delay_s = self.rng.random() * self.temper.delay_s
        if self._chance(self.temper.slow_rate):
            delay_s += self.rng.random() * self.temper.slow_s
        self._world_later(delay_s, act, *args)

    def _world_later(self, delay_s: float, act: Any, *args: Any) -> None:
        """Wires belong to nobody: what is on its way survives its sender."""
        self.loop.call_later(delay_s, act, *args, context=_world())


class SimTransport:
    """One process's connection to the wires."""

    bus: Bus

    def __init__(self, wires: Wires, process: Process) -> None:
        self._wires = wires
        self.process = process
        self.topics: set[str] = set()
        self.follows = False
        self.cut_until_s = 0.0

    @property
    def connected(self) -> bool:
        return self.process.alive and self._wires.loop.time() >= self.cut_until_s

    async def open(self, bus: Bus) -> None:
        """It is open from the start."""

    async def send(self, call: Call) -> None:
        if not self.connected:
            await asyncio.sleep(self._wires.rng.random() * 5.0)
            if not self.connected:
                raise BusAway("the message queue cannot be reached")
        if not self._wires.knows(call.topic):
            raise BusNobody(f"nobody serves {call.topic}")
        self._wires.submit(self, call)

    def nudge(self, frame: Frame) -> None:
        if not self.connected:
            return
        match frame:
            case Cast():
                self._wires.submit(self, frame)
            case Event():
                self._wires.announce(frame)
            case Answer() | Refusal():
                self._wires.reply(self, frame)
            case _:
                raise TypeError(f"{type(frame).__name__} is for hubs")

    async def serve(self, topic: str) -> None:
        self.topics.add(topic)
        self._wires.declare(topic)

    async def follow(self) -> None:
        self.follows = True

    async def close(self) -> None:
        self._wires.forget(self.process)


def _world() -> contextvars.Context:
    """A context that belongs to no process."""
    return contextvars.Context()
