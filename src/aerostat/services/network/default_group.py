"""The default security group: every project has one from the first time it touches ports or groups.

Its members may talk to the world and among themselves; nobody else gets in.
"""

from aerostat.kernel.db import Row, Store, Transaction

from .changes import touch
from .model import SECURITY_GROUP_RULES, SECURITY_GROUPS

NAME = "default"
DESCRIPTION = "Default security group"


async def ensure_default_group(tx: Transaction, project_id: str) -> str:
    """The id of the project's default group, made if it is not there."""
    found = await tx.find(SECURITY_GROUPS, default_for=project_id)
    if found is None:
        await tx.lock(f"network.default_group.{project_id}")
        found = await tx.find(SECURITY_GROUPS, default_for=project_id)
    if found is None:
        found = await tx.insert(
            SECURITY_GROUPS, project_id=project_id, name=NAME, description=DESCRIPTION, default_for=project_id
        )
        await add_egress_rules(tx, found)
        for ethertype in ("IPv4", "IPv6"):
            await tx.insert(
                SECURITY_GROUP_RULES,
                project_id=project_id,
                security_group_id=found.id,
                direction="ingress",
                ethertype=ethertype,
                remote_group_id=found.id,
            )
        await touch(tx, "security_group", found.id)
    return str(found.id)


async def add_egress_rules(tx: Transaction, group: Row) -> None:
    """What a new group lets through: everything outwards."""
    for ethertype in ("IPv4", "IPv6"):
        await tx.insert(
            SECURITY_GROUP_RULES,
            project_id=group.project_id,
            security_group_id=group.id,
            direction="egress",
            ethertype=ethertype,
        )


async def ensure_in(store: Store, project_id: str | None) -> None:
    """`ensure_default_group` for requests that only read: no write transaction once it is there."""
    if project_id and await store.find(SECURITY_GROUPS, default_for=project_id) is None:
        async with store.transaction() as tx:
            await ensure_default_group(tx, project_id)
