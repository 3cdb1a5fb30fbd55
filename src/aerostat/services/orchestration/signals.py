"""Signals: what guests and users tell resources that wait for them.

A guest has no account. The handle that it is given carries a token of its own, good for that one resource. Nobody
vouches for what is in a guest, so what one can make us keep has a bound.
"""

import hmac
import json
import secrets
from typing import Any

from aerostat.kernel.db import Duplicate, Row, Transaction
from aerostat.kernel.house import House
from aerostat.kernel.work import wake

from . import model
from .config import OrchestrationConfig
from .errors import RequestLimitExceeded

_KEY = "signal_token"
_LEAST_BYTES = 1024  # what a signal costs with nothing in it
_LONGEST_IN_EVENT = 1000


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


def shortened(reason: str) -> str:
    """What an event quotes of a reason that came with a signal."""
    return reason if len(reason) <= _LONGEST_IN_EVENT else reason[:_LONGEST_IN_EVENT] + " …"


def _size(reason: str, data: Any) -> int:
    return max(_LEAST_BYTES, len(reason) + len(json.dumps(data)))


async def add_signal(
    house: House, tx: Transaction, row: Row, *, key: str | None, status: str, reason: str, data: Any
) -> str:
    """Store one; a key that was there is told anew. Answers its key. Flows that wait are woken.

    Raises `RequestLimitExceeded` when the resource has been told too much already.
    """
    told = await tx.all(model.SIGNALS, {"resource_id": row.id})
    if key is None:
        key = str(len(told) + 1)
    kept = sum(_size(one.reason, one.data) for one in told if one.key != key)
    if kept + _size(reason, data) > house.config.section(OrchestrationConfig).most_signals_bytes:
        raise RequestLimitExceeded(reason="the signals to this resource are too many or too large.")
    try:
        await tx.insert(model.SIGNALS, resource_id=row.id, key=key, status=status, reason=reason, data=data)
    except Duplicate:
        where = {"resource_id": row.id, "key": key}
        await tx.update(model.SIGNALS, where, status=status, reason=reason, data=data)
    await wake(tx, model.STACKS, row.stack_id)
    return key
