"""Copies of an image's bytes in stores, and the rows that tell of them.

Row first, bytes after, and the other way round when they go: whatever is anywhere has a row that says so, and a process
that dies leaves a row by which the sweeper finds what it began.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from aerostat.kernel.clock import now, seconds
from aerostat.kernel.db import Duplicate, Row, Store, StoreUnavailable, Transaction
from aerostat.kernel.errors import Conflict, DriverError
from aerostat.kernel.house import House
from aerostat.kernel.log import get_logger

from . import model
from .config import ImageConfig
from .drivers.protocol import ImageStore, Upload, UploadToFile
from .errors import ImageGone
from .states import COPY
from .stores import HIDDEN, stores_of

SEEN_EVERY_S = 10.0
REMOVALS = "image.removals"
AGAIN_AFTER = timedelta(minutes=1)

log = get_logger(__name__)


class Copy:
    """A copy on its way into a store. `begin`, then `write`, `keep`, `settle`; or `discard` at any time."""

    def __init__(self, house: House, row: Row, driver: ImageStore, upload: Upload) -> None:
        self.id: str = row.id
        self.image_id: str = row.image_id
        self._token: str = row.token
        self._house, self._db = house, house.store
        self._driver, self._upload = driver, upload
        self._mine = {"image_id": row.image_id, "store": row.store, "token": row.token, "state": "writing"}
        self._is_lost = self._may_be_kept = False
        self._renewing = asyncio.create_task(self._renew())

    @classmethod
    async def begin(cls, house: House, image_id: str, store: str, token: str) -> "Copy":
        """Raises `UnknownStore`, `Conflict` where the store has the image, `DriverError`."""
        driver = stores_of(house).driver(store)
        row = await _claim(house, image_id, store, driver.url(image_id), token)
        try:
            upload = await driver.begin(image_id, token)
        except BaseException:
            await drop_copy(house, row)
            raise
        return cls(house, row, driver, upload)

    @property
    def path(self) -> Path:
        """A file that may be filled in place of `write`. Raises `DriverError` where there is none."""
        if not isinstance(self._upload, UploadToFile):
            raise DriverError("What is on its way into this store is no file.")
        return self._upload.path.absolute()

    async def write(self, chunk: bytes) -> None:
        """Raises `DriverError`, and `ImageGone` once the image was deleted or this upload given up."""
        if self._is_lost:
            raise ImageGone(id=self.image_id)
        await self._upload.write(chunk)

    @property
    def write_now(self) -> Callable[[bytes], None] | None:
        """`write` for threads, where the store has that. Raises as `write` does."""
        if not isinstance(self._upload, UploadToFile):
            return None
        write = self._upload.write_now

        def checked(chunk: bytes) -> None:
            if self._is_lost:
                raise ImageGone(id=self.image_id)
            write(chunk)

        return checked

    async def keep(self) -> None:
        """The bytes are durable; nobody reads them before `settle`."""
        # Kept bytes have one name in a store: they may only be put there by whom the row names.
        if not await self._db.update(model.LOCATIONS, self._mine, seen_at=now()):
            raise ImageGone(id=self.image_id)
        self._may_be_kept = True
        await self._upload.keep()

    async def settle(self, tx: Transaction) -> None:
        """The image has this copy; a repeat does nothing. Raises `ImageGone`."""
        changes = {"state": "kept", "seen_at": None, "place": await next_place(tx, self.image_id)}
        kept = {**self._mine, "state": "kept"}
        if not await tx.update(model.LOCATIONS, self._mine, **changes) and not await tx.count(
            model.LOCATIONS, **kept
        ):
            raise ImageGone(id=self.image_id)

    async def discard(self) -> None:
        """Nothing is left; what cannot be removed now the sweeper removes.

        What the database answered to `settle` may have been lost on the way: a copy that is part of the image stays.
        """
        self.rest()
        try:
            await self._discard()
        except StoreUnavailable as error:
            log.warning("image.copy_not_discarded", image=self.image_id, reason=str(error))
            if not self._may_be_kept:
                await self._upload.discard()
        except DriverError as error:
            log.warning("image.copy_not_discarded", image=self.image_id, reason=error.message)

    async def _discard(self) -> None:
        is_ours = await self._db.update(model.LOCATIONS, self._mine, state="removing", remove_at=now())
        if not is_ours and await self._db.count(model.LOCATIONS, **{**self._mine, "state": "kept"}):
            return
        await self._upload.discard()
        if is_ours:
            await _remove(self._house, await self._db.get(model.LOCATIONS, id=self.id))
        elif not await self._db.count(model.LOCATIONS, image_id=self.image_id, store=self._mine["store"]):
            # The image was deleted, and what it had removed, just before our bytes came to be there.
            await self._driver.remove_upload(self.image_id, self._token)

    def rest(self) -> None:
        self._renewing.cancel()

    async def _renew(self) -> None:
        """A slow client is not a dead process: say that we live, whether bytes come or not."""
        while not self._is_lost:
            await asyncio.sleep(SEEN_EVERY_S)
            try:
                self._is_lost = not await self._db.update(model.LOCATIONS, self._mine, seen_at=now())
            except StoreUnavailable:
                continue  # `keep` finds out whether the copy is still ours


async def _claim(house: House, image_id: str, store: str, url: str, token: str) -> Row:
    """The row of a new copy; what an earlier one left there goes first. Raises `Conflict`."""
    values = {"image_id": image_id, "store": store, "url": url}
    for _ in range(2):
        try:
            return await house.store.insert(model.LOCATIONS, **values, token=token, seen_at=now())
        except Duplicate:
            present = await house.store.find(model.LOCATIONS, **values)
        if present is None:
            continue
        if present.state == "kept" or (present.state == "writing" and present.token != token):
            break
        await drop_copy(house, present)
    raise Conflict(f"Image is already present at store '{store}'")


async def next_place(tx: Transaction, image_id: str) -> int:
    """Behind the image's other copies."""
    kept = await tx.all(model.LOCATIONS, {"image_id": image_id, "state": "kept"})
    return max((row.place for row in kept), default=-1) + 1


async def plan_removal(tx: Transaction, image_id: str, delay_s: float = 0.0, **where: object) -> None:
    """Its copies are to go; the sweeper is told when this is committed."""
    for row in await tx.all(model.LOCATIONS, {"image_id": image_id, **where}):
        await COPY.move(tx, model.LOCATIONS, row.id, "remove", remove_at=now() + seconds(delay_s))
    tx.nudge(REMOVALS)


async def drop_copy(house: House, row: Row) -> bool:
    """Remove one copy, whatever its state: its bytes, then its row. False when that has to wait."""
    async with house.store.transaction() as tx:
        if await tx.find(model.LOCATIONS, id=row.id) is None:
            return True
        await COPY.move(tx, model.LOCATIONS, row.id, "remove", remove_at=now())
    return await _remove(house, row)


async def remove_due(house: House, image_id: str | None = None, *, only_local: bool = False) -> int:
    """Remove the bytes of copies that are to go, of one image or of all; answers how many are gone."""
    where = {"state": "removing", **({"image_id": image_id} if image_id is not None else {})}
    gone = 0
    for row in await house.store.all(model.LOCATIONS, where, order="remove_at"):
        if row.remove_at is not None and row.remove_at > now():
            continue
        found = stores_of(house).find(row.store)
        if only_local and (found is None or found.driver is None or not found.driver.is_local):
            continue
        gone += await _remove(house, row)
    return gone


async def _remove(house: House, row: Row) -> bool:
    found = stores_of(house).find(row.store)
    try:
        if found is None:
            raise DriverError(f"There is no store {row.store} any more.")
        if found.driver is not None:
            if row.token is not None:
                await found.driver.remove_upload(row.image_id, row.token)
            await found.driver.remove_image(row.image_id)
    except DriverError as error:
        log.warning("image.copy_not_removed", image=row.image_id, store=row.store, reason=error.message)
        later = {"remove_at": now() + AGAIN_AFTER, "problem": error.detail or error.message}
        await house.store.update(model.LOCATIONS, {"id": row.id}, **later)
        return False
    await house.store.delete(model.LOCATIONS, id=row.id)
    return True


async def give_up_silent(house: House) -> int:
    """Copies whose upload has not been heard of for long are to go."""
    silent_since = now() - seconds(house.config.section(ImageConfig).upload_silence_s)
    given_up = 0
    for row in await house.store.all(model.LOCATIONS, {"state": "writing"}):
        if row.seen_at is None or row.seen_at < silent_since:
            mine = {"id": row.id, "state": "writing", "seen_at": row.seen_at}
            given_up += await house.store.update(model.LOCATIONS, mine, state="removing", remove_at=now())
    return given_up


async def kept_copies(db: Store | Transaction, image_id: str) -> list[Row]:
    """Those from which the image can be read."""
    rows = await db.all(model.LOCATIONS, {"image_id": image_id, "state": "kept"}, order="place")
    return [row for row in rows if row.store not in HIDDEN]


async def drop_staged(house: House, image_id: str) -> None:
    """As it came, and in another format."""
    for row in await house.store.all(model.LOCATIONS, {"image_id": image_id, "store": HIDDEN}):
        await drop_copy(house, row)
