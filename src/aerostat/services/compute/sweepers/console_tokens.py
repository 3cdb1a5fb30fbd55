"""Tokens of consoles whose time is over."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete

from aerostat.kernel import clock
from aerostat.kernel.work import Sweeper

from .. import model


async def _sweep(house: Any) -> int:
    tokens = model.CONSOLE_TOKENS
    async with house.store.transaction() as tx:
        return int(await tx.execute(delete(tokens).where(tokens.c.expires_at <= clock.now())))


SWEEPER = Sweeper("compute.console_tokens", every=timedelta(minutes=10), sweep=_sweep)
