"""Revocations whose tokens have all expired by themselves."""

from datetime import timedelta

from aerostat.kernel.house import House
from aerostat.kernel.work import Sweeper

from ..tokens import Tokens


async def sweep(house: House) -> int:
    tokens: Tokens = house.state["identity"]
    return await tokens.forget_old_revocations()


SWEEPER = Sweeper("identity.old_revocations", every=timedelta(hours=1), sweep=sweep)
