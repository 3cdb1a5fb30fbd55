"""Reading an image's bytes, wherever they are: the best copy that can be opened."""

from collections.abc import AsyncIterator

from aerostat.kernel.db import Row
from aerostat.kernel.errors import DriverError
from aerostat.kernel.house import House
from aerostat.kernel.log import get_logger

from .copies import kept_copies
from .stores import stores_of

log = get_logger(__name__)


async def open_bytes(
    house: House, image: Row, start: int = 0, length: int | None = None
) -> AsyncIterator[bytes]:
    """The bytes from `start` on; the first of them are read, so what is not there is known before anything is answered.

    Raises `DriverError` when no copy can be opened.
    """
    copies = best_first(house, await kept_copies(house.store, image.id))
    error = DriverError("The image's data is not there.")
    for copy in copies:
        try:
            return await begun(_read(house, copy, start, length))
        except DriverError as failure:
            log.warning("image.copy_not_read", image=image.id, store=copy.store, reason=failure.message)
            error = failure
    raise error


def best_first(house: House, copies: list[Row]) -> list[Row]:
    """Copies as they are to be tried: by weight, those of this machine first, then in the order of their making."""
    stores = stores_of(house)

    def key(copy: Row) -> tuple[int, bool, int]:
        found = stores.find(copy.store)
        weight = found.settings.weight if found is not None else 0
        is_far = found is None or found.driver is None or not found.driver.is_local
        return (-weight, is_far, copy.place)

    return sorted(copies, key=key)


def _read(house: House, copy: Row, start: int, length: int | None) -> AsyncIterator[bytes]:
    stores = stores_of(house)
    found = stores.find(copy.store)
    if found is not None and found.driver is not None:
        return found.driver.read(copy.image_id, start, length)
    return stores.web.read(copy.url, start, length)


async def begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, the first of them read."""
    first = await anext(chunks, None)

    async def replayed() -> AsyncIterator[bytes]:
        if first is not None:
            yield first
            async for chunk in chunks:
                yield chunk

    return replayed()
