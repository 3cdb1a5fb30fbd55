"""How much a project may have of what, and the counts of what it has."""

from typing import Any

from sqlalchemy import func, select

from aerostat.kernel.db import Transaction
from aerostat.kernel.quota import Quota, Quotas

from . import model
from .errors import QuotaExceeded

_GONE = ("deleted",)


async def _instances(tx: Transaction, project_id: str) -> int:
    servers = model.SERVERS.c
    rows = await tx.fetch(
        select(func.count().label("total")).where(
            servers.project_id == project_id, servers.state.not_in(_GONE)
        )
    )
    return int(rows[0].total)


async def _sum_of(tx: Transaction, project_id: str, name: str) -> int:
    servers = model.SERVERS.c
    rows = await tx.fetch(
        select(servers.flavor).where(servers.project_id == project_id, servers.state.not_in(_GONE))
    )
    return sum(row.flavor[name] for row in rows)


async def _cores(tx: Transaction, project_id: str) -> int:
    return await _sum_of(tx, project_id, "vcpus")


async def _ram(tx: Transaction, project_id: str) -> int:
    return await _sum_of(tx, project_id, "memory_mib")


async def _server_groups(tx: Transaction, project_id: str) -> int:
    return await tx.count(model.SERVER_GROUPS, project_id=project_id)


async def _none(tx: Transaction, project_id: str) -> int:
    """Limits of one request or one user, of which a project uses nothing."""
    return 0


# Limits that the network room has now. Kept for clients of before 2.36 that set them and look again.
OF_NETWORK = ("fixed_ips", "floating_ips", "security_groups", "security_group_rules")

QUOTAS = Quotas(
    "compute",
    Quota("instances", 10, _instances),
    Quota("cores", 20, _cores),
    Quota("ram", 50 * 1024, _ram),
    Quota("metadata_items", 128, _none),
    Quota("injected_files", 5, _none),
    Quota("injected_file_content_bytes", 10 * 1024, _none),
    Quota("injected_file_path_bytes", 255, _none),
    Quota("key_pairs", 100, _none),
    Quota("server_groups", 10, _server_groups),
    Quota("server_group_members", 10, _none),
    *(Quota(name, -1, _none) for name in OF_NETWORK),
    error=QuotaExceeded,
)


async def limit_of_keypairs(db: Any, project_id: str) -> int:
    """How many key pairs each user may have."""
    return (await QUOTAS.limits(db, project_id))["key_pairs"]
