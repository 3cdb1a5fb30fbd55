"""Signals: what guests and users tell resources that wait for them.

A guest has no account. The handle that it is given carries a token of its own, good for that one resource.
"""

import hmac
import secrets
from typing import Any

from aerostat.kernel.db import Duplicate, Row, Transaction
from aerostat.kernel.house import House
from aerostat.kernel.work import wake

from . import model

_KEY = "signal_token"


def new_token(row: Row) -> str:
    """The token of a resource row, made on first use; the caller stores the row."""
    if _KEY not in row.data:
        row.data[_KEY] = f"{row.id}.{secrets.token_urlsafe(32)}"
    return str(row.data[_KEY])


def is_token_of(row: Row, token: str | None) -> bool:
    known = row.data.get(_KEY)
    return bool(known and token) and hmac.compare_digest(str(known).encode(), str(token).encode())


def signal_url(house: House, stack: Row, resource_name: str) -> str:
    """Where guests send signals for a resource."""
    base = house.url("orchestration", guest=True)
    return f"{base}/v1/{stack.project_id}/stacks/{stack.name}/{stack.id}/resources/{resource_name}/signal"


async def add_signal(
    tx: Transaction, row: Row, *, key: str | None, status: str, reason: str, data: Any
) -> str:
    """Store one; a key that was there is told anew. Answers its key. Flows that wait are woken."""
    if key is None:
        key = str(await tx.count(model.SIGNALS, resource_id=row.id) + 1)
    try:
        await tx.insert(model.SIGNALS, resource_id=row.id, key=key, status=status, reason=reason, data=data)
    except Duplicate:
        where = {"resource_id": row.id, "key": key}
        await tx.update(model.SIGNALS, where, status=status, reason=reason, data=data)
    await wake(tx, model.STACKS, row.stack_id)
    return key
