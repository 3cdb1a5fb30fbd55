"""The operation record: who asked for what, step by step, and what became of it and why.

Every request that changes something and every flow step leaves a row. Instance actions, stack events, the
timeline and `aerostat explain` are reads of these rows, so a reason is stored as words for people (`reason`)
and as data (`data`): scheduler verdicts, policy clauses, quota sums, driver errors.
"""

from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import delete, select

from . import clock, ids
from .context import Context
from .db import Row, Store, Transaction
from .model import operations

Verdict = Literal["accepted", "started", "done", "again", "retry", "failed", "refused", "superseded", "gone"]

_TRIM_CHUNK = 5_000


async def record(
    to: Transaction | Store,
    context: Context | None,
    action: str,
    verdict: Verdict,
    *,
    subject_kind: str | None = None,
    subject_id: str | None = None,
    subject_name: str | None = None,
    step: str | None = None,
    reason: str | None = None,
    data: Any = None,
    took_ms: float | None = None,
    request_id: str | None = None,
) -> None:
    """Write one row: into the caller's transaction, or into one of its own when given the store."""
    await to.insert(
        operations,
        id=ids.ascending_id(),
        request_id=request_id or (context.request_id if context else "-"),
        at=clock.now(),
        actor=context.user_id if context else None,
        project_id=context.project_id if context else None,
        subject_kind=subject_kind,
        subject_id=subject_id,
        subject_name=subject_name,
        action=action,
        step=step,
        verdict=verdict,
        reason=reason,
        data=data,
        took_ms=took_ms,
    )


async def list_for(
    store: Store | Transaction,
    *,
    subject_id: str | None = None,
    request_id: str | None = None,
    project_id: str | None = None,
    limit: int = 1000,
) -> list[Row]:
    """Rows of a subject or a request (at least one of the two), oldest first; the newest `limit` of them."""
    if subject_id is None and request_id is None:
        raise ValueError("say whose record: subject_id or request_id")
    where = {"subject_id": subject_id, "request_id": request_id, "project_id": project_id}
    rows = await store.all(
        operations,
        {name: value for name, value in where.items() if value is not None},
        order="-id",
        limit=limit,
    )
    return rows[::-1]


async def trim(store: Store, keep: timedelta, max_rows: int) -> int:
    """Delete rows older than `keep`, then the oldest above `max_rows`; answers how many."""
    removed = 0
    too_old = clock.now() - keep
    while True:
        excess = max(0, await store.count(operations) - max_rows)
        oldest = await store.fetch(
            select(operations.c.id, operations.c.at).order_by(operations.c.id).limit(_TRIM_CHUNK)
        )
        doomed = [row.id for place, row in enumerate(oldest) if row.at < too_old or place < excess]
        if not doomed:
            return removed
        async with store.transaction() as tx:
            removed += await tx.execute(delete(operations).where(operations.c.id.in_(doomed)))
        if len(doomed) < _TRIM_CHUNK:
            return removed
