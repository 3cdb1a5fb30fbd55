"""A storm over a cloud of many processes: the simulator's users and questions, real processes and real kills.

Users live in a thread with a loop of their own; the test's thread kills and stops what the cloud is made of.
"""

import asyncio
import contextlib
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from aerostat.cli.settings import room_sections
from aerostat.kernel.config import load
from aerostat.kernel.db import Seal, Store, StoreUnavailable, open_store
from aerostat.kernel.state_folder import StateFolder
from aerostat.services.compute.drivers.fake_kept import KeptFakeHypervisor
from aerostat.services.network.drivers.fake_shared import SharedFakeWorld
from aerostat.testing.sim import invariants
from aerostat.testing.sim.cloud import Asked, ConnectionLost, Lasting, Reply
from aerostat.testing.sim.founding import Founded, found_tenant, login
from aerostat.testing.sim.history import History
from aerostat.testing.sim.life import UNDERSTOOD
from aerostat.testing.sim.memory import Memory
from aerostat.testing.sim.operator import Mover
from aerostat.testing.sim.users import SERVERS, User
from tests.metal.killing import children_of
from tests.metal.many_processes import ManyProcesses, Role
from tests.waiting import eventually

ANSWER_LIMIT_S = 30.0  # who has waited longer goes on without an answer
LOOK_EVERY_S = 2.0
PAUSE_S = 1.0
QUOTA = {"instances": 20, "cores": 30}
TENANTS = ("ant", "bee")
MOST_LINES = 200
STACKS = "/orchestration/v1/"


def _names(kind: type) -> set[str]:
    return {kind.__name__}.union(*map(_names, kind.__subclasses__()))


FORESEEN = set().union(*map(_names, UNDERSTOOD))


class ReachedCloud:
    """What the simulator's users and questions need of a cloud, from a real one."""

    def __init__(self, cloud: ManyProcesses, history: History) -> None:
        self.cloud = cloud
        self.history = history
        self.operations = 0
        """Accepted ones on servers and stacks."""
        self.config = load(StateFolder(cloud.control), room_sections(), file=cloud.settings)
        self.lasting = Lasting()
        self._http = httpx.AsyncClient(
            base_url=cloud.url, timeout=ANSWER_LIMIT_S, trust_env=False, headers={"connection": "close"}
        )

    async def request(self, asked: Asked) -> Reply:
        self.history.requests += 1
        method, path = asked.method, asked.path
        try:
            answer = await self._http.request(method, path, json=asked.body, headers=asked.sent_headers)
        except httpx.TransportError as error:
            raise ConnectionLost(f"no answer: {type(error).__name__} {error}") from None
        if answer.status_code == 503 and not answer.headers.get("retry-after"):
            self.history.violated(f"{method} {path}: 503 without Retry-After: {answer.text[:200]}")
        elif method != "GET" and answer.status_code < 300 and path.startswith((SERVERS, STACKS)):
            self.operations += 1
        try:
            data = msgspec.json.decode(answer.content) if answer.content else None
        except msgspec.DecodeError:
            data = None
        return Reply(answer.status_code, dict(answer.headers), data, answer.text)

    async def look_at_the_world(self) -> None:
        """What hosts keep and what the switches hold, as an onlooker sees them now."""
        self.lasting = Lasting()
        self.lasting.network = SharedFakeWorld(self.cloud.world)
        for host in self.cloud.hosts:
            machine = KeptFakeHypervisor(host.name, host.state / "instances")
            await machine.recall()
            self.lasting.hosts[host.name] = machine

    async def open_store(self) -> Store:
        return await open_store(self.cloud.database_url, Seal(self.config.folder.secrets().sealing_key))


class Crowd(threading.Thread):
    """Everybody who uses the cloud, from the seed, until told to go home; and who watches them."""

    def __init__(self, cloud: ManyProcesses, seed: int) -> None:
        super().__init__(name="crowd")
        self.history = History(_Since())
        self.memory = Memory(self.history)
        self.real = ReachedCloud(cloud, self.history)
        self._rng = random.Random(seed)
        self._home = threading.Event()
        self._error: BaseException | None = None

    def go_home(self) -> None:
        """Let everybody end what they do. What went wrong with them is raised."""
        self._home.set()
        self.join(2 * ANSWER_LIMIT_S)
        assert not self.is_alive(), "a user does not come home"
        if self._error is not None:
            raise self._error

    def run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:
            self._error = error

    async def _live(self) -> None:
        founded = await self._found()
        store = await self.real.open_store()
        users = [
            User(f"{tenant.name}{number}", self.real, founded, tenant, self.memory, self._draw())
            for tenant in founded.tenants
            for number in range(1, 5)
        ]
        users.append(Mover(self.real, founded, self.memory, self._draw()))
        tasks = [asyncio.create_task(self._use(user)) for user in users]
        tasks.append(asyncio.create_task(self._watch(store)))
        await asyncio.gather(*tasks)
        await store.close()

    async def _found(self) -> Founded:
        password = self.real.cloud.passwords["admin_password"]
        token = await login(self.real, "admin", password, "admin")

        async def ask(method: str, path: str, body: Any = None) -> Any:
            reply = await self.real.request(Asked(method=method, path=path, body=body, token=token))
            assert reply.status < 300, f"{method} {path}: {reply.status} {reply.text}"
            return reply.data

        roles = {one["name"]: one["id"] for one in (await ask("GET", "/identity/v3/roles"))["roles"]}
        networks = (await ask("GET", "/networking/v2.0/networks?router:external=true"))["networks"]
        tenants = [
            await found_tenant(ask, name, roles["member"], networks[0]["id"], number + 30, QUOTA)
            for number, name in enumerate(TENANTS)
        ]
        images = (await ask("GET", "/image/v2/images?name=aerostat-test"))["images"]
        return Founded(0.0, tenants, networks[0]["id"], images[0]["id"], password)

    async def _use(self, user: User) -> None:
        while not self._home.is_set():
            await user.live(1, PAUSE_S)

    async def _watch(self, store: Store) -> None:
        """As in the simulator: what is broken at two looks in a row is broken."""
        before: set[str] = set()
        while not self._home.is_set():
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.real.look_at_the_world()
                broken = set(await invariants.check_always(self.real, store))
                await invariants.note_disks(self.real, store, self.memory)
            except StoreUnavailable:
                continue
            for one in sorted(broken & before):
                self.history.violated(one)
            before = broken

    def _draw(self) -> random.Random:
        return random.Random(self._rng.getrandbits(64))


class _Since:
    """Seconds since the storm began."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    def time(self) -> float:
        return time.monotonic() - self._began_s


class Misfortune:
    """Kills and stops, one after the other, each undone before the next; the seed says in what order and for how long.

    It runs in the main thread: what it starts dies with the thread that started it.
    """

    def __init__(self, cloud: ManyProcesses, history: History, rng: random.Random) -> None:
        self._cloud = cloud
        self._history = history
        self._rng = rng
        engines, hosts = cloud.engines, cloud.hosts
        self.kinds: dict[str, Callable[[], None]] = {
            "api killed": lambda: self._kill(cloud.api),
            "api stopped": lambda: self._stop("api", self._tree(cloud.api.pid), 8),
            "api workers killed": self._kill_worker,
            "api workers stopped": lambda: self._stop("an api worker", self._workers()[:1], 12),
            "engines killed": lambda: self._kill(rng.choice(engines)),
            "engines stopped": lambda: self._stop_role(rng.choice(engines), 20),  # leases last 15
            "hosts killed": lambda: self._kill(rng.choice(hosts)),
            "hosts stopped": lambda: self._stop_role(rng.choice(hosts), 12),  # after 8 they count as down
            "queue killed": lambda: self._crash(cloud.rabbitmq),
            "queue stopped": lambda: self._stop("the queue", self._tree(cloud.rabbitmq.pid), 8),
            "database killed": lambda: self._crash(cloud.postgres),
            "database stopped": lambda: self._stop("the database", self._tree(cloud.postgres.pid), 8),
        }

    def round(self) -> None:
        """Each kind once; engines and hosts are killed twice."""
        plan = [*self.kinds, "engines killed", "hosts killed"]
        for kind in self._rng.sample(plan, len(plan)):
            time.sleep(self._rng.uniform(0.5, 2.5))
            self.kinds[kind]()
            self._history.faults[kind] += 1

    def _kill(self, role: Role) -> None:
        self._note(f"{role.name} is killed")
        role.end(signal.SIGKILL)
        time.sleep(self._rng.uniform(0.0, 3.0))
        begin_again(role)
        self._note(f"{role.name} is back")

    def _kill_worker(self) -> None:
        pid = self._rng.choice(self._workers())
        self._note("an api worker is killed")
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: pid not in self._workers() and len(self._workers()) == 2, 60.0, why="two workers")

    def _stop_role(self, role: Role, for_s: float) -> None:
        self._stop(role.name, [role.pid], for_s)

    def _stop(self, name: str, pids: list[int], for_s: float) -> None:
        for_s *= self._rng.uniform(0.6, 1.0)
        self._note(f"{name} stands still for {for_s:.1f} s")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        time.sleep(for_s)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._note(f"{name} goes on")

    def _crash(self, server: Any) -> None:
        self._note(f"{server.name} is killed")
        server.stop(signal.SIGKILL)
        time.sleep(self._rng.uniform(0.0, 3.0))
        ends_s = time.monotonic() + 30.0
        while True:
            try:
                server.launch()
                break
            except AssertionError:  # its children have yet to notice
                if time.monotonic() > ends_s:
                    raise
        self._note(f"{server.name} is back")

    def _workers(self) -> list[int]:
        return sorted(children_of(self._cloud.api.pid))

    def _tree(self, pid: int) -> list[int]:
        return [pid, *(one for child in children_of(pid) for one in self._tree(child))]

    def _note(self, what: str) -> None:
        self._history.note("** storm", what)


def begin_again(role: Role, limit_s: float = 60.0) -> None:
    """Start it as a supervisor does: again, when what it needs is not free yet."""
    ends_s = time.monotonic() + limit_s
    while True:
        try:
            role.start()
            return
        except AssertionError:
            role.end(signal.SIGKILL)
            if time.monotonic() > ends_s:
                raise


async def come_to_rest(
    cloud: ManyProcesses, history: History, memory: Memory, limit_s: float
) -> tuple[list[str], float]:
    """What is still broken when nothing has happened for `limit_s`, and how long it took to be nothing."""
    real = ReachedCloud(cloud, history)
    store = await real.open_store()
    began_s = time.monotonic()
    try:
        while True:
            await real.look_at_the_world()
            broken = await invariants.check_at_rest(real, store, memory)
            took_s = time.monotonic() - began_s
            if not broken or took_s > limit_s:
                return broken, took_s
            await asyncio.sleep(1.0)
    finally:
        await store.close()


def lines_about(history: History) -> list[str]:
    """What happened to the things that violations speak of, and what was killed meanwhile."""
    words = {word for line in history.violations for word in re.findall(r"[\w-]{8,}", line) if "-" in word}
    kept = [
        line for line in history.lines if "** storm" in line or words & set(re.findall(r"[\w-]{8,}", line))
    ]
    return kept[-MOST_LINES:]


def errors_logged(cloud: ManyProcesses) -> list[str]:
    """What processes of the cloud logged as errors that nobody foresaw: no 503s, nothing that is merely away."""
    found = []
    for file in sorted(cloud.path.glob("*/log/*.jsonl")):
        for line in file.read_bytes().splitlines():
            with contextlib.suppress(msgspec.DecodeError):  # half a line of a process that was killed
                entry = msgspec.json.decode(line)
                refused = entry["event"] == "request" and entry["status"] == 503
                if entry["level"] == "error" and not refused:
                    why = _last_error(entry.get("exception") or entry.get("error") or "")
                    if re.split(r"\W", why.partition(":")[0])[-1] not in FORESEEN:
                        found.append(f"{entry['process']} logged: {entry['event'][:200]} {why[:200]}")
    return found


def _last_error(trace: str) -> str:
    """What stands behind the last frame."""
    lines: list[str] = []
    for line in trace.splitlines():
        lines = [] if line.startswith(" ") else [*lines, line]
    return " ".join(filter(None, lines))
