"""Tasks that ended long ago are forgotten."""

from datetime import timedelta

from sqlalchemy import delete

from aerostat.kernel.clock import now
from aerostat.kernel.house import House
from aerostat.kernel.work import Sweeper

from .. import model


async def sweep(house: House) -> int:
    async with house.store.transaction() as tx:
        return await tx.execute(delete(model.TASKS).where(model.TASKS.c.expires_at < now()))


SWEEPER = Sweeper("image.old_tasks", every=timedelta(hours=1), sweep=sweep)
