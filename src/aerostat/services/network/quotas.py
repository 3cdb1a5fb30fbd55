"""How much a project may have, with upstream's names and defaults. Use is counted from the rows."""

from collections.abc import Awaitable, Callable

from sqlalchemy import Table

from aerostat.kernel.db import Transaction
from aerostat.kernel.quota import Quota, Quotas

from . import model
from .errors import OverQuota


def _rows_of(table: Table) -> Callable[[Transaction, str], Awaitable[int]]:
    async def count(tx: Transaction, project_id: str) -> int:
        return await tx.count(table, project_id=project_id)

    return count


def _over(resource: str, asked: int, used: int, limit: int) -> OverQuota:
    return OverQuota(overs=[resource], detail=f"{resource}: {used} in use, {asked} asked, limit {limit}")


QUOTAS = Quotas(
    "network",
    Quota("network", 100, _rows_of(model.NETWORKS)),
    Quota("subnet", 100, _rows_of(model.SUBNETS)),
    Quota("subnetpool", -1, _rows_of(model.SUBNET_POOLS)),
    Quota("port", 500, _rows_of(model.PORTS)),
    Quota("router", 10, _rows_of(model.ROUTERS)),
    Quota("floatingip", 50, _rows_of(model.FLOATING_IPS)),
    Quota("security_group", 10, _rows_of(model.SECURITY_GROUPS)),
    Quota("security_group_rule", 100, _rows_of(model.SECURITY_GROUP_RULES)),
    Quota("rbac_policy", 10, _rows_of(model.RBAC)),
    error=_over,
)
