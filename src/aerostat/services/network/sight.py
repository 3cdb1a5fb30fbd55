"""Who sees what: an administrator everything, others what is theirs, shared with them, or external.

The same condition limits lists and finds single things, so that «it is not in your list» and «404» are one rule.
"""

from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.sql import ColumnElement

from aerostat.kernel.context import Context
from aerostat.kernel.db import Row, Transaction

from .model import NETWORKS, RBAC

SHARED, EXTERNAL = "access_as_shared", "access_as_external"
EVERYBODY = "*"


def sees_all(context: Context) -> bool:
    return context.is_admin or "advsvc" in context.roles


def granted(context: Context, *actions: str) -> Select[Any]:
    """Ids of the things that an RBAC policy opens to the caller's project."""
    return select(RBAC.c.object_id).where(
        RBAC.c.action.in_(actions), RBAC.c.target_tenant.in_((EVERYBODY, context.project_id or ""))
    )


def visible_networks(context: Context) -> list[ColumnElement[bool]]:
    if sees_all(context):
        return []
    return [
        or_(
            NETWORKS.c.project_id == context.project_id,
            NETWORKS.c.shared,
            NETWORKS.c.external,
            NETWORKS.c.id.in_(granted(context, SHARED, EXTERNAL)),
        )
    ]


async def open_to_all(
    tx: Transaction, object_type: str, thing: Row, action: str, *, is_open: bool = True
) -> None:
    """The RBAC policy that says what a thing's own `shared` or `external` says."""
    key = {"object_id": thing.id, "action": action, "target_tenant": EVERYBODY}
    if not is_open:
        await tx.delete(RBAC, **key)
    elif not await tx.count(RBAC, **key):
        await tx.insert(RBAC, project_id=thing.project_id, object_type=object_type, **key)


def networks_of(context: Context) -> Select[Any]:
    return select(NETWORKS.c.id).where(NETWORKS.c.project_id == context.project_id)
