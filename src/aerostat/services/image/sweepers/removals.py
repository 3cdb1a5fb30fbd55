"""Copies of images that were deleted, or taken out of a store: their bytes go, as soon as the store lets them."""

from datetime import timedelta

from aerostat.kernel.house import House
from aerostat.kernel.work import Sweeper

from ..copies import REMOVALS, remove_due


async def sweep(house: House) -> int:
    return await remove_due(house)


SWEEPER = Sweeper(REMOVALS, every=timedelta(minutes=1), sweep=sweep)
