"""Who sees what: an administrator everything, others what is theirs, shared with them, or external.

The same condition limits lists and finds single things, so that «it is not in your list» and «404» are one rule.
"""

from typing import Any

from sqlalchemy import Select, Table, or_, select
from sqlalchemy.sql import ColumnElement

from aerostat.kernel.context import Context
from aerostat.kernel.db import Row, Transaction

from .model import NETWORKS, PORTS, RBAC

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


async def may_use(tx: Transaction, context: Context, table: Table, thing_id: str) -> Row | None:
    """The thing, if the caller owns it or was given it."""
    thing = await tx.find(table, id=thing_id)
    if thing is None or sees_all(context) or thing.project_id == context.project_id:
        return thing
    given = await tx.fetch(granted(context, SHARED).where(RBAC.c.object_id == thing_id).limit(1))
    return thing if given else None


def visible_ports(context: Context) -> list[ColumnElement[bool]]:
    """One's own, and whatever stands on one's own networks."""
    if sees_all(context):
        return []
    own = select(NETWORKS.c.id).where(NETWORKS.c.project_id == context.project_id)
    return [or_(PORTS.c.project_id == context.project_id, PORTS.c.network_id.in_(own))]
