"""What tenants are told they use is what they use: the answers of the quota APIs, held against rows."""

from collections.abc import Callable, Iterable
from typing import Any

from aerostat.kernel.db import Row, Store
from aerostat.services.compute import model as compute
from aerostat.services.network import model as network

from .users import NET, User

NETWORK = {
    "network": network.NETWORKS,
    "subnet": network.SUBNETS,
    "port": network.PORTS,
    "router": network.ROUTERS,
    "floatingip": network.FLOATING_IPS,
    "security_group": network.SECURITY_GROUPS,
}


async def check_usage(user: User, store: Store) -> list[str]:
    """Ask as this user. Answers what is another than it should be."""
    project_id, tenant = user.tenant.project_id, user.tenant.name
    servers = [
        one
        for one in await store.all(compute.SERVERS, {"project_id": project_id})
        if one.state not in ("deleted", "shelved_offloaded")
    ]
    counts: dict[str, int] = {
        "totalInstancesUsed": len(servers),
        "totalCoresUsed": _sum(servers, lambda one: one.flavor["vcpus"]),
        "totalRAMUsed": _sum(servers, lambda one: one.flavor["memory_mib"]),
    }
    reply = await user.ask("GET", "/compute/v2.1/limits", what="limits")
    if reply is None or reply.status != 200:
        return [f"{tenant} is not told what it may use"]
    broken = _differences(tenant, counts, reply.data["limits"]["absolute"])
    counts = {
        name: len(await store.all(table, {"project_id": project_id})) for name, table in NETWORK.items()
    }
    reply = await user.ask("GET", f"{NET}/quotas/{project_id}/details", what="network quotas")
    if reply is None or reply.status != 200:
        return [*broken, f"{tenant} is not told what it may use of the network"]
    told = {name: reply.data["quota"][name]["used"] for name in counts}
    return [*broken, *_differences(tenant, counts, told)]


def _sum(rows: Iterable[Row], amount: Callable[[Row], int]) -> int:
    return sum(amount(row) for row in rows)


def _differences(tenant: str, counts: dict[str, int], told: dict[str, Any]) -> list[str]:
    return [
        f"{tenant} is told it uses {told[name]} of {name}, and uses {count}"
        for name, count in counts.items()
        if told[name] != count
    ]
