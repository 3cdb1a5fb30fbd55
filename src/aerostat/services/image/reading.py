"""Reading an image's bytes, wherever they are: the best copy that can be opened."""

import hashlib
from collections.abc import AsyncIterator

from aerostat.kernel.db import Row
from aerostat.kernel.errors import DriverError
from aerostat.kernel.house import House
from aerostat.kernel.log import get_logger

from .caching import cache_of
from .copies import kept_copies
from .stores import stores_of

log = get_logger(__name__)


async def open_bytes(
    house: House, image: Row, start: int = 0, length: int | None = None
) -> AsyncIterator[bytes]:
    """The bytes from `start` on; the first of them are read, so what is not there is known before anything is answered.

    What lies elsewhere is read from the cache of this machine, or goes into it by the way. Raises `DriverError` when no
    copy can be opened.
    """
    cache = cache_of(house)
    if (cached := await cache.find(image.id)) is not None:
        try:
            chunks = await begun(cache.read(image.id, start, length))
            if start == 0:
                await cache.note_hit(cached)
            return chunks
        except DriverError as failure:
            log.warning("image.cache_not_read", image=image.id, reason=failure.message)
            await cache.drop(image.id)
    copies = best_first(house, await kept_copies(house.store, image.id))
    is_far = bool(copies) and not is_local(house, copies[0])
    if not is_far or not cache.is_on or image.size is None:
        return await _open(house, image, copies, start, length)
    if start == 0 and length in (None, image.size):
        return await begun(cache.filling(image, await _open(house, image, copies)))
    await cache.queue(image.id)
    return await _open(house, image, copies, start, length)


async def open_uncached(house: House, image: Row) -> AsyncIterator[bytes]:
    """All of its bytes, out of a store. Raises `DriverError`."""
    return await _open(house, image, best_first(house, await kept_copies(house.store, image.id)))


async def _open(
    house: House, image: Row, copies: list[Row], start: int = 0, length: int | None = None
) -> AsyncIterator[bytes]:
    error = DriverError("The image's data is not there.")
    for copy in copies:
        try:
            return await begun(_read(house, image, copy, start, length))
        except DriverError as failure:
            log.warning("image.copy_not_read", image=image.id, store=copy.store, reason=failure.message)
            error = failure
    raise error


def best_first(house: House, copies: list[Row]) -> list[Row]:
    """Copies as they are to be tried: by weight, those of this machine first, then in the order of their making."""
    return sorted(copies, key=lambda copy: (-_weight(house, copy), not is_local(house, copy), copy.place))


def by_weight(house: House, copies: list[Row]) -> list[Row]:
    """Copies as they are shown."""
    return sorted(copies, key=lambda copy: (-_weight(house, copy), copy.place))


def _weight(house: House, copy: Row) -> int:
    found = stores_of(house).find(copy.store)
    return found.settings.weight if found is not None else 0


def is_local(house: House, copy: Row) -> bool:
    found = stores_of(house).find(copy.store)
    return found is not None and found.driver is not None and found.driver.is_local


def _read(house: House, image: Row, copy: Row, start: int, length: int | None) -> AsyncIterator[bytes]:
    stores = stores_of(house)
    found = stores.find(copy.store)
    if found is not None and found.driver is not None:
        return found.driver.read(copy.image_id, start, length)
    chunks = stores.web.read(copy.url, start, length)
    is_whole = start == 0 and length in (None, image.size)
    return _unchanged(image, chunks) if is_whole and image.os_hash_value is not None else chunks


async def _unchanged(image: Row, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What a web server of somebody else's gives, as long as it is what it was; the end is missing if it is not."""
    digest = hashlib.new(image.os_hash_algo)
    held = b""
    async for chunk in chunks:
        if held:
            yield held
        digest.update(chunk)
        held = chunk
    if digest.hexdigest() != image.os_hash_value:
        raise DriverError("What is at the image's location is no longer what it was.")
    if held:
        yield held


async def begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, the first of them read."""
    first = await anext(chunks, None)

    async def replayed() -> AsyncIterator[bytes]:
        if first is not None:
            yield first
            async for chunk in chunks:
                yield chunk

    return replayed()
