"""`bench/run --scale`: what a cloud costs when it is large. Thousands of fake hosts and servers in one process.

Everything goes through the rooms' own APIs, without sockets: the process measures itself, so all its threads count.
Each figure is printed as soon as it is known, and a size that is done is written to a file at once (`--keep`), so a
run that is cut off loses only the size it was at.
"""

import asyncio
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from aerostat.app import open_house, rooms
from aerostat.kernel import log
from aerostat.kernel.config import ROLES, load
from aerostat.kernel.context import Context
from aerostat.kernel.house import House
from aerostat.kernel.model import flows
from aerostat.kernel.quota import EVERYONE, UNLIMITED
from aerostat.kernel.state_folder import StateFolder
from aerostat.services.compute import model
from aerostat.services.compute.host.protocol import digest_of
from aerostat.services.compute.placing import resources_of
from aerostat.services.compute.scheduling import decide
from aerostat.services.network.reconcilers import port_status

from .processes import Tree

BATCHES = 9  # of each figure the least of so many is taken: neighbours on the machine only ever add
DECISIONS, REFUSALS, PAGES = 20, 1, 5  # in a batch
AT_ONCE = 50
SERVERS_OF_A_NETWORK = 1000
HOSTS_LIMIT_S, SETTLE_S, IDLE_S = 300.0, 3.0, 65.0  # within IDLE_S every frequent reconciler has had a turn
STALL_LIMIT_S = 120.0
# In their rounds each host is asked for a digest of its guests.
ASK_HOSTS = ("compute.cards", "compute.orphans", "compute.power")
# What remembers earlier rounds, and compares everything every ten minutes to six hours all the same.
LOOKS_ANEW = (
    "compute.cards", "compute.orphans", "compute.power", "compute.providers", "network.agents", "network.port_status",
    "network.topology",
)  # fmt: skip


class Size(msgspec.Struct, kw_only=True):
    """What was measured of one size of cloud. All figures are CPU ms unless their names say otherwise.

    `rounds`: a round of each reconciler and sweeper when nothing has changed. `looks`: those that compare everything,
    which they do every ten minutes to six hours. `fills_ms`: a server's creation, for each thousand in turn.
    """

    hosts: int
    servers: int
    commit: str
    figures: dict[str, float] = {}
    rounds: dict[str, float] = {}
    looks: dict[str, float] = {}
    fills_ms: list[float] = []


Tell = Callable[[str], object]


def measure(hosts: int, servers: int, commit: str, keep: Path | None, tell: Tell) -> None:
    """Measure this size and tell each figure as soon as it is known. What `keep` has of this commit stands."""
    known = {(one.hosts, one.servers): one for one in read_sizes(keep)}
    name = f"{hosts:,} hosts, {servers:,} servers"
    if (hosts, servers) in known and known[hosts, servers].commit == commit:
        tell(f"{name}: measured already")
        return
    size = Size(hosts=hosts, servers=servers, commit=commit)
    with tempfile.TemporaryDirectory(prefix="aerostat-scale-") as folder:
        asyncio.run(_measure(Path(folder), size, lambda line: tell(f"{name}: {line}")))
    if keep is not None:
        known[hosts, servers] = size
        write_sizes(keep, [known[key] for key in sorted(known)])


def read_sizes(path: Path | None) -> list[Size]:
    """The sizes that a file of `write_sizes` holds; none if there is no such file."""
    if path is None or not path.exists():
        return []
    return msgspec.json.Decoder(Size).decode_lines(path.read_bytes())


def write_sizes(path: Path, sizes: list[Size]) -> None:
    """One JSON object in each line; a file that is there is replaced at once."""
    beside = path.with_suffix(".new")
    beside.write_bytes(msgspec.json.Encoder().encode_lines(sizes))
    beside.replace(path)


async def _measure(folder: Path, size: Size, tell: Tell) -> None:
    environ = {
        "AEROSTAT_IDENTITY_BCRYPT_ROUNDS": "4",
        "AEROSTAT_COMPUTE_FAKE_HOSTS": str(size.hosts),
        "AEROSTAT_COMPUTE_CPU_RATIO": "1000",
        "AEROSTAT_COMPUTE_RAM_RATIO": "100",
    }
    state = StateFolder(folder)
    state.create()
    state.ensure_secrets()
    log.hand_over("error")
    sections = {door.name: door.config for door in rooms() if door.config is not None}
    config = load(state, sections, environ=environ, fake=True, port=1)

    def put(name: str, value: float) -> None:
        size.figures[name] = value
        tell(f"{name.replace('_', ' ')} {value:,.2f}")

    async with open_house(config, set(ROLES)) as house:
        user = _user()
        await _lift_quotas(house)
        await _wait_for_providers(house, size.hosts)
        put("start_cpu_s", time.process_time())
        empty_mib = _pss_mib()
        put("pss_empty_mib", empty_mib)
        await _fill(house, user, size, tell)
        put("create_ms", statistics.fmean(size.fills_ms))
        put("pss_mib", _pss_mib())
        put("pss_of_1000_servers_mib", (size.figures["pss_mib"] - empty_mib) * 1000 / size.servers)
        put("decision_ms", await _decision_ms(house, DECISIONS, too_large=False))
        put("refusal_ms", await _decision_ms(house, REFUSALS, too_large=True))
        for name, ms in (await _pages_ms(house, user)).items():
            put(name, ms)
        put("digests_on_hosts_ms", await _cpu_ms(lambda: _digests(house), 1))
        for name in LOOKS_ANEW:
            size.looks[name] = await _look_ms(house, name)
            tell(f"{name}, all anew: {size.looks[name]:.0f}")
        for name in sorted(house.engine.periodics):
            size.rounds[name] = await _cpu_ms(lambda: house.engine.run_one(name), 1)  # noqa: B023
            tell(f"{name}, a round: {size.rounds[name]:.1f}")
        put("idle_cores", await _idle_cores())


async def _lift_quotas(house: House) -> None:
    async with house.store.transaction() as tx:
        for room in house.services.values():
            for quotas in room.quotas:
                await quotas.set_limits(tx, EVERYONE, dict.fromkeys(quotas.names, UNLIMITED))


def _user() -> Context:
    return Context(
        request_id="bench", user_id="bench", project_id="bench", roles=("admin", "member", "reader")
    )


async def _wait_for_providers(house: House, hosts: int) -> None:
    """Every host has reported, and is in placement with what it has."""
    placement = house.client("placement", _user())

    async def all_there() -> bool:
        return len(await placement.list_providers()) >= hosts

    await _until(all_there, HOSTS_LIMIT_S)
    await asyncio.sleep(SETTLE_S)


async def _fill(house: House, user: Context, size: Size, tell: Tell) -> None:
    """Make the servers, as their user does. Notes CPU ms for each, from the request until it runs."""
    compute, network = house.client("compute", user), house.client("network", user)
    image = (await house.client("image", user).list_images())[0]["id"]
    flavor = min(await compute.list_flavors(), key=lambda one: int(one["ram"]))["id"]

    async def at_rest() -> bool:
        return not await house.store.count(flows, state="running")

    for start in range(0, size.servers, SERVERS_OF_A_NETWORK):
        began_s, before_s = time.monotonic(), time.process_time()
        end = min(size.servers, start + SERVERS_OF_A_NETWORK)
        net = (await network.create_network(name=f"net-{start}"))["id"]
        await network.create_subnet(network_id=net, ip_version=4, cidr="10.64.0.0/20")
        for first in range(start, end, AT_ONCE):
            count = min(AT_ONCE, end - first)
            await compute.create_server(
                name=f"s{first}",
                imageRef=image,
                flavorRef=flavor,
                networks=[{"uuid": net}],
                min_count=count,
                max_count=count,
            )
            await _until(at_rest, STALL_LIMIT_S)
        size.fills_ms.append((time.process_time() - before_s) * 1000 / (end - start))
        wall_s = time.monotonic() - began_s
        tell(f"{end:,} servers are there, create ms {size.fills_ms[-1]:.1f}, wall s {wall_s:.0f}")
    if (active := await house.store.count(model.SERVERS, state="active")) != size.servers:
        raise RuntimeError(f"{active} of {size.servers} servers run")


async def _decision_ms(house: House, count: int, *, too_large: bool) -> float:
    """One choice of a host. With more memory than any has there is none, and all are asked why."""
    server = (await house.store.all(model.SERVERS, limit=1))[0]
    asked = resources_of(server.flavor)
    asked["MEMORY_MB"] *= 1_000_000 if too_large else 1

    async def once() -> None:
        decision = await decide(house, house.store, server, asked, "bench")
        assert bool(decision.ranked) != too_large, decision.reason

    return await _cpu_ms(once, count)


async def _pages_ms(house: House, user: Context) -> dict[str, float]:
    """A page of a hundred servers: the first, and one in the middle; of a project, and of all as administrators ask."""
    caller, path = house.client("compute", user).caller, "/v2.1/servers/detail"
    ids = await house.store.fetch(select(model.SERVERS.c.id).order_by(model.SERVERS.c.created_at))
    middle = ids[len(ids) // 2].id
    asked: dict[str, dict[str, Any]] = {
        "page_first_ms": {},
        "page_middle_ms": {"marker": middle},
        "page_of_all_first_ms": {"all_tenants": 1},
        "page_of_all_middle_ms": {"all_tenants": 1, "marker": middle},
    }
    return {
        name: await _cpu_ms(lambda: caller.get(path, limit=100, **query), PAGES)  # noqa: B023
        for name, query in asked.items()
    }


async def _digests(house: House) -> None:
    """What hosts do in a round of theirs, each for itself. Here they share our process."""
    for agent in house.state["compute"].agents:
        digest_of(await agent.hypervisor.list_domains())


async def _look_ms(house: House, name: str) -> float:
    """A round that knows nothing of earlier ones."""
    compute, network = house.state["compute"], house.state["network"]
    for watch in ("power_watch", "orphan_watch", "card_watch"):
        getattr(compute, watch).forget_all()
    compute.providers_seen.clear()
    network.progress.compared_at = None
    network.ports_compared_at = network.agents_looked_at = port_status.NEVER
    before_s = time.process_time()
    await house.engine.run_one(name)
    return (time.process_time() - before_s) * 1000


async def _idle_cores() -> float:
    await asyncio.sleep(SETTLE_S)
    before_s, began_s = time.process_time(), time.monotonic()
    await asyncio.sleep(IDLE_S)
    return (time.process_time() - before_s) / (time.monotonic() - began_s)


async def _until(done: Callable[[], Awaitable[bool]], limit_s: float) -> None:
    async with asyncio.timeout(limit_s):
        while True:
            if await done():
                return
            await asyncio.sleep(0.1)


async def _cpu_ms(once: Callable[[], Awaitable[Any]], count: int) -> float:
    """Processor time of this process, all threads, for each run: the least of some batches after a first run."""
    await once()
    batches = []
    for _ in range(BATCHES):
        before_s = time.process_time()
        for _ in range(count):
            await once()
        batches.append((time.process_time() - before_s) * 1000 / count)
    return min(batches)


def _pss_mib() -> float:
    gc.collect()
    return Tree(os.getpid()).pss_mib()
