"""Deleted stacks can be shown for a while; then they and their events go for good."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select

from aerostat.kernel import clock
from aerostat.kernel.clock import minutes
from aerostat.kernel.work import Sweeper

from .. import model
from ..config import OrchestrationConfig

_CHUNK = 200


async def _sweep(house: Any) -> int:
    kept = timedelta(seconds=house.config.section(OrchestrationConfig).keep_deleted_s)
    stacks = model.STACKS
    due = await house.store.fetch(
        select(stacks.c.id).where(stacks.c.deleted_at < clock.now() - kept).limit(_CHUNK)
    )
    if not due:
        return 0
    doomed = [row.id for row in due]
    async with house.store.transaction() as tx:
        for table in (model.EVENTS, model.TEMPLATES, model.RESOURCES):
            await tx.execute(delete(table).where(table.c.stack_id.in_(doomed)))
        await tx.execute(delete(stacks).where(stacks.c.id.in_(doomed)))
    return len(doomed)


SWEEPER = Sweeper("orchestration.deleted_stacks", every=minutes(10), sweep=_sweep)
