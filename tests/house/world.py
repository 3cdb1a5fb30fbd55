"""Looking at a fake cloud from behind: what its world holds, what its records tell."""

from typing import Any

from sqlalchemy import func, select

from aerostat.kernel.model import flows
from aerostat.services.compute.model import SERVERS
from aerostat.services.placement.model import ALLOCATIONS
from aerostat.testing import Cloud
from tests.waiting import eventually

SETTLED_S = 5.0


def explain(cloud: Cloud, subject_id: str) -> list[dict[str, Any]]:
    """The operation record of a thing or a request, oldest first."""
    answer = cloud.connection.session.get(f"{cloud.url}/aerostat/v1/explain/{subject_id}")
    timeline: list[dict[str, Any]] = answer.json()["timeline"]
    return timeline


def left_over(cloud: Cloud) -> dict[str, Any]:
    """What there is of servers anywhere, empty values left out."""
    hosts = cloud.house.state["compute"].fake_world.hosts
    world = cloud.house.state["network"].driver.world
    servers = select(func.count()).select_from(SERVERS).where(SERVERS.c.state != "deleted")
    counts = {
        "servers": servers,
        "allocations": select(func.count()).select_from(ALLOCATIONS),
        "running flows": select(func.count()).select_from(flows).where(flows.c.state == "running"),
    }
    found = {name: cloud.call(_count(cloud, query)) for name, query in counts.items()}
    found["domains"] = [one.id for host in hosts.values() for one in cloud.call(host.list_domains())]
    found["plugged"] = [port_id for ports in world.plugged.values() for port_id in ports]
    found["guest ports"] = [
        key.id for key, thing in world.things.items() if key.kind == "port" and thing.kind == "guest"
    ]
    for user in ("admin", "demo"):
        limits = cloud.connect(user).compute.get_limits().absolute
        found[f"use of {user}"] = limits.instances_used + limits.total_cores_used + limits.total_ram_used
    return {name: value for name, value in found.items() if value}


def assert_nothing_is_left(cloud: Cloud) -> None:
    """No trace of a server in the worlds, the records and the quotas, soon if not at once."""
    eventually(lambda: not left_over(cloud), SETTLED_S, every_s=0.05, why=str(left_over(cloud)))


async def _count(cloud: Cloud, query: Any) -> int:
    (row,) = await cloud.house.store.fetch(query)
    return int(next(iter(row.values())))
