"""The operation record: who asked for what, step by step, and what became of it and why.

Every request that changes something and every flow step leaves a row. Instance actions, stack events, the
timeline and `aerostat explain` are reads of these rows, so a reason is stored as words for people (`reason`)
and as data (`data`): scheduler verdicts, policy clauses, quota sums, driver errors.
"""

from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import delete, func, literal, select

from . import clock, ids
from .context import Context
from .db import Row, Store, Transaction
from .model import flows, leases, operations

Verdict = Literal["accepted", "started", "done", "again", "retry", "failed", "refused", "superseded", "gone"]

PERIODIC = "periodic-"
"""How the request ids of periodic work begin; its name follows."""

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


async def list_waiting(store: Store, limit: int) -> list[Row]:
    """Flows that run and try something again: `name`, and `reason`, the last thing that was written about each."""
    later = operations.alias()
    last = (
        select(func.max(later.c.id))
        .where(later.c.request_id == flows.c.request_id, later.c.subject_id == flows.c.subject_id)
        .scalar_subquery()
    )
    return await store.fetch(
        select(flows.c.name, operations.c.reason)
        .join_from(flows, operations, operations.c.id == last)
        .where(flows.c.state == "running", operations.c.verdict == "retry")
        .limit(limit)
    )


async def list_failing(store: Store) -> list[Row]:
    """Periodic work that failed the last time: `name`, how many `failures` in a row, and the last one's `reason`."""
    last = (
        select(operations.c.reason)
        .where(operations.c.request_id == literal(PERIODIC) + leases.c.name)
        .order_by(operations.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return await store.fetch(
        select(leases.c.name, leases.c.failures, last.label("reason"))
        .where(leases.c.failures > 0)
        .order_by(leases.c.name)
    )


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
