"""The processes of a simulated cloud: control processes and hosts, begun, killed and begun again.

Each is put together from the same parts as a real one (`app.assembled`, `HostAgent`) over a store, a bus and drivers
of the simulation. What they share by accident, because they are one Python process in truth: the rooms' doors, caches
of modules, the clock.
"""

import asyncio
import random
from pathlib import Path
from typing import Any, Protocol

import msgspec

from aerostat.kernel.config import Config, load
from aerostat.kernel.db import Seal, Store
from aerostat.kernel.house import House
from aerostat.kernel.state_folder import StateFolder
from aerostat.kernel.work.lease import void_leases_of
from aerostat.services.compute.drivers import fake as hypervisors
from aerostat.services.compute.host.agent import HostAgent
from aerostat.services.network.drivers import fake as switches

from . import wires as wires_
from . import worlds
from .database import SimBackend, SimDatabase
from .history import History
from .loop import Process, VirtualLoop

BOOT_LIMIT_S = 120.0
REQUEST_LIMIT_S = 300.0
SETTINGS = {"AEROSTAT_IDENTITY_BCRYPT_ROUNDS": "4"}


class ConnectionLost(Exception):
    """The request got no answer; what became of it is unknown."""


class Asked(msgspec.Struct, kw_only=True):
    """One HTTP request; a body that is no bytes goes as JSON."""

    method: str
    path: str
    body: Any = None
    token: str | None = None
    headers: dict[str, str] = {}

    @property
    def sent_headers(self) -> dict[str, str]:
        return self.headers if self.token is None else {**self.headers, "x-auth-token": self.token}


class Reply(msgspec.Struct):
    status: int
    headers: dict[str, str]
    data: Any
    text: str


class Reached(Protocol):
    """A cloud as its users know it, simulated or real."""

    history: History

    async def request(self, asked: Asked) -> Reply:
        """Raises `ConnectionLost`."""


class Lasting:
    """What no process takes with it: hosts, switches. Inherited from the founded cloud by each history."""

    def __init__(self) -> None:
        self.hosts: dict[str, hypervisors.FakeHypervisor] = {}
        self.network = switches.FakeWorld()


class SimCloud:
    """See the module."""

    def __init__(
        self, loop: VirtualLoop, rng: random.Random, history: History, folder: Path, lasting: Lasting
    ) -> None:
        self.loop = loop
        self.rng = rng
        self.history = history
        self.config = _config(folder)
        self.seal = Seal(self.config.folder.secrets().sealing_key)
        self.lasting = lasting
        self.database = SimDatabase(loop, rng, history, self.config.folder.database)
        self.wires = wires_.Wires(loop, rng, history)
        self.moods = worlds.Moods(rng, history)
        self.processes: dict[str, Process] = {}
        self.houses: dict[str, House] = {}
        self.agents: dict[str, HostAgent] = {}
        self._roles: dict[str, frozenset[str]] = {}
        self._boots: dict[str, asyncio.Task[Any]] = {}
        self._pending: dict[Process, set[asyncio.Future[Reply]]] = {}
        lasting.network.faults = worlds.SwitchFaults(self.moods)
        loop.on_death = self.kill

    # Beginning and ending

    def add(self, name: str, *roles: str) -> None:
        """Begin a process for the first time. Role `host`: a compute host."""
        self._roles[name] = frozenset(roles)
        self.start(name)

    def start(self, name: str) -> None:
        before = self.processes.get(name)
        process = self.processes[name] = Process(name, before.number + 1 if before else 1)
        self._pending[process] = set()
        boot = self._run_host(process) if "host" in self._roles[name] else self._run_control(process)
        self._boots[name] = self.loop.spawn(process, boot, f"boot of {name}")

    def kill(self, process: Process) -> None:
        """SIGKILL: nothing of it runs again. Its database and its queue notice; so do those who wait for it."""
        process.alive = False
        process.gone.set()
        self.houses.pop(process.name, None)
        self.agents.pop(process.name, None)
        self.database.forget(process)
        self.wires.forget(process)
        for future in self._pending.pop(process):
            if not future.done():
                future.set_exception(ConnectionLost(f"{process.name} died"))

    def alive(self, *roles: str) -> list[str]:
        """Names of the processes that run and have one of these roles."""
        return [
            name
            for name, process in self.processes.items()
            if process.alive and not self._roles[name].isdisjoint(roles)
        ]

    async def up(self) -> None:
        """Wait until every process that is not dead has come up; one that gave up is begun again, as by a
        supervisor.
        """
        give_up_at = self.loop.time() + BOOT_LIMIT_S
        while not all(name in self.houses or name in self.agents for name in self.processes):
            if self.loop.time() > give_up_at:
                down = [name for name in self.processes if name not in {**self.houses, **self.agents}]
                raise TimeoutError(f"{', '.join(down)} did not come up")
            for name, process in list(self.processes.items()):
                if not process.alive:
                    self.start(name)
                elif self._boots[name].done():
                    self._restart_after_failure(name)
            await asyncio.sleep(0.1)

    def supervise(self) -> None:
        """Begin processes again that ended by themselves, because the database was away when they began."""
        for name in list(self.processes):
            if self.processes[name].alive and self._boots[name].done():
                self._restart_after_failure(name)

    def _restart_after_failure(self, name: str) -> None:
        self.history.note(name, f"ended by itself: {self._boots[name].exception()}")
        self.kill(self.processes[name])
        self.start(name)

    async def _run_control(self, process: Process) -> None:
        from aerostat import app

        roles = self._roles[process.name]
        store = Store(SimBackend(self.database), self.seal)
        for number in range(1, process.number):
            await void_leases_of(store, f"{process.name}.{number}")
        bus = self.wires.bus_for(process)
        driver = worlds.SimNetworkDriver(self.lasting.network, self.loop)
        state = {"network.driver": driver}
        async with app.assembled(self.config, roles, store, bus, name=process.worker, state=state) as house:
            self.houses[process.name] = house
            await asyncio.Event().wait()

    async def _run_host(self, process: Process) -> None:
        name = process.name
        machine = self.lasting.hosts.get(name)
        machine = machine.after_crash() if machine is not None else hypervisors.FakeHypervisor(name, vcpus=4)
        machine.faults = worlds.HostFaults(self.moods)
        self.lasting.hosts[name] = machine
        machine.moves.neighbours = self.lasting.hosts
        half = switches.FakeHostNetworkDriver(self.lasting.network, name)
        bus = self.wires.bus_for(process)
        agent = HostAgent(name, bus, machine, half, report_s=10.0)
        await agent.start()
        self.agents[name] = agent
        await asyncio.Event().wait()

    # Requests

    async def request(self, asked: Asked, *, at: str | None = None) -> Reply:
        """Ask an API process (`at`, or any). Raises `ConnectionLost`."""
        await asyncio.sleep(self.rng.random() * 0.01)
        serving = [name for name in self.alive("api") if name in self.houses]
        name = at or (self.rng.choice(serving) if serving else None)
        if name is None or name not in self.houses:
            raise ConnectionLost("no API process answers")
        process, house = self.processes[name], self.houses[name]
        future: asyncio.Future[Reply] = self.loop.create_future()
        self._pending[process].add(future)
        self.history.requests += 1
        sent = {"content-type": "application/json", "host": "cloud.test", **asked.sent_headers}
        path, _, query = asked.path.partition("?")
        body = asked.body
        data = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        scope = {
            "type": "http",
            "method": asked.method,
            "scheme": "http",
            "path": path,
            "query_string": query.encode(),
            "headers": [(key.lower().encode(), value.encode()) for key, value in sent.items()],
        }
        self.loop.spawn(process, _answer(house, scope, data, future), f"{asked.method} {path}")
        try:
            async with asyncio.timeout(REQUEST_LIMIT_S):
                return await future
        except TimeoutError:
            raise ConnectionLost("no answer in time") from None
        finally:
            self._pending.get(process, set()).discard(future)


async def _answer(house: House, scope: dict[str, Any], body: bytes, future: asyncio.Future[Reply]) -> None:
    """What an HTTP server does with a request, in the process that serves it."""
    events = iter([{"type": "http.request", "body": body, "more_body": False}])
    begun: dict[str, Any] = {}
    pieces: list[bytes] = []

    async def receive() -> Any:
        return next(events, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            begun.update(message)
        else:
            pieces.append(message.get("body", b""))

    await house.dispatch(scope, receive, send)
    if future.done():
        return
    raw = b"".join(pieces)
    text = raw.decode(errors="replace")
    try:
        data = msgspec.json.decode(raw) if raw else None
    except msgspec.DecodeError:
        data = None
    headers = {key.decode(): value.decode("latin-1") for key, value in begun["headers"]}
    future.set_result(Reply(begun["status"], headers, data, text))


def _config(folder: Path) -> Config:
    from aerostat import app

    state = StateFolder(folder)
    state.create()
    state.ensure_secrets()
    sections = {door.name: door.config for door in app.rooms() if door.config is not None}
    return load(
        state,
        sections,
        environ=SETTINGS,
        port=1,
        database_url=f"sqlite:///{state.database}",
        bus_url="memory:",
        public_url="http://cloud.test",
        guest_url="http://cloud.test",
        host_name="network-1",
        drivers={"compute": "simulated", "network": "simulated"},
    )
