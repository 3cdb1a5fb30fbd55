"""The cache of this machine: what is queued is fetched, what is too much or nobody's goes."""

from datetime import timedelta

from aerostat.kernel.errors import DriverError
from aerostat.kernel.house import House
from aerostat.kernel.log import get_logger
from aerostat.kernel.work import Sweeper

from .. import model
from ..caching import FILLING, cache_of
from ..reading import open_uncached

log = get_logger(__name__)


async def sweep(house: House) -> int:
    cache = cache_of(house)
    if not cache.is_on:
        return 0
    done = 0
    for row in await cache.rows("queued"):
        image = await house.store.find(model.IMAGES, id=row.image_id, status="active")
        if image is None:
            await cache.drop(row.image_id)
            continue
        try:
            async for _ in cache.filling(image, await open_uncached(house, image)):
                pass
        except DriverError as error:
            log.warning("image.not_cached", image=image.id, reason=error.message)
            continue
        done += 1
    files, _ = await cache.prune()
    return done + files + await cache.clean()


SWEEPER = Sweeper(FILLING, every=timedelta(minutes=5), sweep=sweep)
