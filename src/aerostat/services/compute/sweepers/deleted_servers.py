"""Rows of servers that were deleted long ago."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete

from aerostat.kernel import clock
from aerostat.kernel.work import Sweeper

from .. import model
from ..room import room_of


async def _sweep(house: Any) -> int:
    servers = model.SERVERS
    horizon = clock.now() - timedelta(days=room_of(house).config.keep_deleted_days)
    async with house.store.transaction() as tx:
        over = delete(servers).where(servers.c.state == "deleted", servers.c.deleted_at < horizon)
        return int(await tx.execute(over))


SWEEPER = Sweeper("compute.deleted_servers", every=timedelta(hours=6), sweep=_sweep)
