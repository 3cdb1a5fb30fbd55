"""`bench/run --scale`: what a cloud costs when it is large. Thousands of fake hosts and servers in one process.

Everything goes through the rooms' own APIs, without sockets: the process measures itself, so all its threads count.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import select

from aerostat.app import open_house, rooms
from aerostat.kernel import log
from aerostat.kernel.config import ROLES, load
from aerostat.kernel.context import Context
from aerostat.kernel.house import House
from aerostat.kernel.quota import EVERYONE, UNLIMITED
from aerostat.kernel.state_folder import StateFolder
from aerostat.services.compute import model
from aerostat.services.compute.placing import resources_of
from aerostat.services.compute.scheduling import decide

from .processes import Tree

DECISIONS = 200
PAGES = 50
AT_ONCE = 50
SERVERS_OF_A_NETWORK = 1000
SETTLE_S, IDLE_S = 3.0, 65.0  # every reconciler has had a turn
FILL_LIMIT_S = 3600.0
ROUNDS = (
    "compute.power", "compute.orphans", "compute.providers", "compute.interfaces", "network.topology",
    "network.port_status",
)  # fmt: skip


def table(sizes: list[tuple[int, int]]) -> Iterator[str]:
    """A Markdown row for each (hosts, servers), as soon as it is known."""
    yield (
        "| hosts | servers | decision, CPU ms | no host, CPU ms | create, CPU ms | page of 100: first | in the middle "
        "| idle, cores | PSS, MiB | whole topology compared | "
        + " | ".join(f"{name}, CPU ms" for name in ROUNDS)
        + " |"
    )
    yield "|" + "---:|" * (10 + len(ROUNDS))
    for hosts, servers in sizes:
        with tempfile.TemporaryDirectory(prefix="aerostat-scale-") as folder:
            yield asyncio.run(_measure(Path(folder), hosts, servers))


async def _measure(folder: Path, hosts: int, servers: int) -> str:
    environ = {
        "AEROSTAT_IDENTITY_BCRYPT_ROUNDS": "4",
        "AEROSTAT_COMPUTE_FAKE_HOSTS": str(hosts),
        "AEROSTAT_COMPUTE_CPU_RATIO": "1000",
        "AEROSTAT_COMPUTE_RAM_RATIO": "100",
    }
    state = StateFolder(folder)
    state.create()
    state.ensure_secrets()
    log.hand_over("error")
    sections = {door.name: door.config for door in rooms() if door.config is not None}
    config = load(state, sections, environ=environ, fake=True, port=1)
    async with open_house(config, set(ROLES)) as house:
        await _lift_quotas(house)
        user = _user()
        create_ms = await _fill(house, user, servers)
        cells = [
            f"{hosts:,}",
            f"{servers:,}",
            f"{await _decision_ms(house, 1):.2f}",
            f"{await _decision_ms(house, 1000):.1f}",
            f"{create_ms:.1f}",
            *[f"{ms:.1f}" for ms in await _pages_ms(house, user)],
            f"{await _idle_cores():.3f}",
            f"{Tree(os.getpid()).pss_mib():.0f}",
        ]
        house.state["network"].progress.compared_at = None
        cells.append(f"{await _cpu_ms(lambda: house.engine.run_one('network.topology'), 1, warm=False):.0f}")
        for name in ROUNDS:
            cells.append(f"{await _round_ms(house, name):.1f}")
    return "| " + " | ".join(cells) + " |"


async def _lift_quotas(house: House) -> None:
    async with house.store.transaction() as tx:
        for room in house.services.values():
            for quotas in room.quotas:
                await quotas.set_limits(tx, EVERYONE, dict.fromkeys(quotas.names, UNLIMITED))


def _user() -> Context:
    return Context(
        request_id="bench", user_id="bench", project_id="bench", roles=("admin", "member", "reader")
    )


async def _fill(house: House, user: Context, servers: int) -> float:
    """Make the servers, as their user does. Answers CPU ms for each, from the request until it runs."""
    compute, network = house.client("compute", user), house.client("network", user)
    image = (await house.client("image", user).list_images())[0]["id"]
    flavor = min(await compute.list_flavors(), key=lambda one: int(one["ram"]))["id"]
    began_s, spent_s = time.monotonic(), 0.0
    for start in range(0, servers, SERVERS_OF_A_NETWORK):
        net = (await network.create_network(name=f"net-{start}"))["id"]
        await network.create_subnet(network_id=net, ip_version=4, cidr="10.64.0.0/20")
        for first in range(start, min(servers, start + SERVERS_OF_A_NETWORK), AT_ONCE):
            count = min(AT_ONCE, servers - first)
            before_s = time.process_time()
            await compute.create_server(
                name=f"s{first}",
                imageRef=image,
                flavorRef=flavor,
                networks=[{"uuid": net}],
                min_count=count,
                max_count=count,
            )
            while await house.store.count(model.SERVERS, state="active") < first + count:
                if time.monotonic() - began_s > FILL_LIMIT_S:
                    raise TimeoutError("the servers are not there in time")
                await asyncio.sleep(0.1)
            spent_s += time.process_time() - before_s
    return spent_s * 1000 / max(1, servers)


async def _decision_ms(house: House, times_memory: int, count: int = DECISIONS) -> float:
    """CPU ms of one choice of a host; with a thousand times the memory there is none, and all are asked why."""
    server = (await house.store.all(model.SERVERS, limit=1))[0]
    asked = resources_of(server.flavor)
    asked["MEMORY_MB"] *= times_memory * times_memory
    count = count if times_memory == 1 else count // 20

    async def once() -> None:
        decision = await decide(house, house.store, server, asked, "bench")
        assert bool(decision.ranked) == (times_memory == 1), decision.reason

    return await _cpu_ms(once, count)


async def _pages_ms(house: House, user: Context) -> tuple[float, float]:
    caller, path = house.client("compute", user).caller, "/v2.1/servers/detail"
    ids = [
        row.id
        for row in await house.store.fetch(select(model.SERVERS.c.id).order_by(model.SERVERS.c.created_at))
    ]
    middle = ids[len(ids) // 2]
    first = await _cpu_ms(lambda: caller.get(path, limit=100), PAGES)
    return first, await _cpu_ms(lambda: caller.get(path, limit=100, marker=middle), PAGES)


async def _round_ms(house: House, name: str) -> float:
    """One round when nothing changed: the second of two."""
    await house.engine.run_one(name)
    return await _cpu_ms(lambda: house.engine.run_one(name), 3, warm=False)


async def _idle_cores() -> float:
    await asyncio.sleep(SETTLE_S)
    before_s, began_s = time.process_time(), time.monotonic()
    await asyncio.sleep(IDLE_S)
    return (time.process_time() - before_s) / (time.monotonic() - began_s)


async def _cpu_ms(once: Callable[[], Awaitable[Any]], count: int, *, warm: bool = True) -> float:
    """Processor time of this process, all threads, for each of `count` runs."""
    if warm:
        await once()
    before_s = time.process_time()
    for _ in range(count):
        await once()
    return (time.process_time() - before_s) * 1000 / count
