"""Copies of images on this machine, of those that lie in stores elsewhere: read once over the net, then from here.

Each machine that answers requests has a cache of its own, a folder below that of the images; `node` tells whose a row
is. A row without its file is dropped when it is read, a file without its row by `clean`: the cache may be deleted as a
whole. https://docs.openstack.org/api-ref/image/v2/#cache-manage
"""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aerostat.kernel.clock import now
from aerostat.kernel.db import Row
from aerostat.kernel.errors import DriverError
from aerostat.kernel.house import House
from aerostat.kernel.ids import new_id
from aerostat.kernel.log import get_logger

from . import model
from .config import ImageConfig, folder_of
from .drivers.file.store import FileStore

FILLING = "image.cache"
STALLED_S = 3600.0
"""A file on its way into the cache that was not written to for this long is nobody's."""

log = get_logger(__name__)


class ImageCache:
    def __init__(self, house: House) -> None:
        self._db = house.store
        self.node: str = house.config.kernel.host_name
        self._folder: Path = folder_of(house.config) / "cache"
        self._limit_bytes = house.config.section(ImageConfig).cache_mib << 20
        self._kept: FileStore | None = None

    @property
    def is_on(self) -> bool:
        return self._limit_bytes > 0

    @property
    def _files(self) -> FileStore:
        """Made when something is first cached."""
        if self._kept is None:
            self._kept = FileStore(self._folder)
        return self._kept

    async def find(self, image_id: str) -> Row | None:
        """The row of an image that is here whole."""
        if not self.is_on:
            return None
        row = await self._db.find(model.CACHED, image_id=image_id, node=self.node, state="cached")
        if row is not None and not self._path(image_id).exists():
            await self.drop(image_id)
            return None
        return row

    def read(self, image_id: str, start: int, length: int | None) -> AsyncIterator[bytes]:
        return self._files.read(image_id, start, length)

    async def note_hit(self, row: Row) -> None:
        changes = {"hits": row.hits + 1, "accessed_at": now()}
        await self._db.update(model.CACHED, {"image_id": row.image_id, "node": self.node}, **changes)

    async def filling(self, image: Row, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks; once they have all gone by, the image is here. A cache that fails harms nobody."""
        upload: Any = None
        size = 0
        try:
            upload = await self._files.begin(image.id, new_id())
        except (DriverError, OSError) as error:
            log.warning("image.not_cached", image=image.id, reason=str(error))
        try:
            async for chunk in chunks:
                size += len(chunk)
                if upload is not None:
                    try:
                        await upload.write(chunk)
                    except DriverError as error:
                        log.warning("image.not_cached", image=image.id, reason=error.message)
                        await upload.discard()
                        upload = None
                yield chunk
            if upload is not None and size == image.size:
                await upload.keep()
                upload = None
                await self._note(image, size)
                await self.prune()
        finally:
            if upload is not None:
                await upload.discard()

    async def queue(self, image_id: str) -> None:
        """To be fetched by this machine's upkeep."""
        async with self._db.transaction() as tx:
            if await tx.find(model.CACHED, image_id=image_id, node=self.node) is None:
                await tx.insert(model.CACHED, image_id=image_id, node=self.node, state="queued")
            tx.nudge(FILLING)

    async def drop(self, image_id: str) -> bool:
        """Out of the cache and of its queue."""
        dropped = await self._db.delete(model.CACHED, image_id=image_id, node=self.node)
        if self._folder.exists():
            await self._files.remove_image(image_id)
        return bool(dropped)

    async def rows(self, state: str | None = None) -> list[Row]:
        where = {"node": self.node, **({"state": state} if state is not None else {})}
        return await self._db.all(model.CACHED, where, order="accessed_at")

    async def prune(self) -> tuple[int, int]:
        """Those least recently read go until the rest fits; answers how many files, and bytes."""
        cached = await self.rows("cached")
        total = sum(row.size for row in cached)
        files = pruned = 0
        for row in cached:
            if total - pruned <= self._limit_bytes:
                break
            await self.drop(row.image_id)
            files, pruned = files + 1, pruned + row.size
        return files, pruned

    async def clean(self) -> int:
        """What is nobody's: files without a row, what broke off long ago, images that are no more."""
        if not self._folder.exists():
            return 0
        rows = {row.image_id: row for row in await self.rows()}
        there = {row.id for row in await self._db.all(model.IMAGES, {"id": list(rows)})} if rows else set()
        dropped = [image_id for image_id in rows if image_id not in there]
        for image_id in dropped:
            await self.drop(image_id)
        stray = [path for path in self._folder.glob("??/*") if path.name not in there]
        stalled_at_s = time.time() - STALLED_S
        stalled = [path for path in self._folder.glob("uploads/*") if path.stat().st_mtime < stalled_at_s]
        for path in (*stray, *stalled):
            path.unlink(missing_ok=True)
        return len(dropped) + len(stray) + len(stalled)

    async def _note(self, image: Row, size: int) -> None:
        async with self._db.transaction() as tx:
            if not await tx.count(model.IMAGES, id=image.id):
                return  # deleted meanwhile: `clean` finds the file
            await tx.delete(model.CACHED, image_id=image.id, node=self.node)
            values = {"state": "cached", "size": size, "accessed_at": now(), "checksum": image.checksum}
            await tx.insert(model.CACHED, image_id=image.id, node=self.node, **values)

    def _path(self, image_id: str) -> Path:
        return self._folder / image_id[:2] / image_id


def cache_of(house: House) -> ImageCache:
    cache: ImageCache = house.state["image"]["cache"]
    return cache
