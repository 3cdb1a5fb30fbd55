"""Taking in an image's bytes: one uploader at a time, one clear outcome.

The row says `saving` (`uploading`, when they are staged for an import) with the upload's token while bytes come. Bytes
are durable first, then the row says `active`: the other order could not be repaired. An upload that ends in any other
way leaves the image queued and no bytes; if its process died, the sweeper does that.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from aerostat.kernel.clock import now
from aerostat.kernel.db import Row, Store, StoreUnavailable
from aerostat.kernel.house import House
from aerostat.kernel.ids import new_id

from . import model
from .config import ImageConfig
from .copies import SEEN_EVERY_S, Copy
from .drivers.protocol import NoRoom
from .errors import ClientSilent, ImageGone, ImageNotFound, ImageNotQueued, OtherSize, StoreIsFull
from .passage import copied, taken
from .states import IMAGE
from .stores import STAGING

SILENT_LIMIT_S = 120.0


async def receive(
    house: House, image: Row, store: str, chunks: AsyncIterator[bytes], declared_bytes: int | None = None
) -> None:
    """Keep `chunks` in a store as the image's data. Raises what refused them; the image is then queued again."""
    claim = Claim(house.store, image.id, new_id())
    image = await claim.take("upload")
    copy: Copy | None = None
    try:
        copy = await Copy.begin(house, image.id, store, claim.token)
        facts = await copied(copy, image, house.config.section(ImageConfig), _timely(chunks), claim.check)
        check_declared(declared_bytes, facts["size"])
        await copy.keep()
        await claim.fulfil("uploaded", facts, copy)
        copy.rest()
    except BaseException as error:
        if copy is not None:
            await copy.discard()
        await claim.give_up()
        if isinstance(error, NoRoom):
            raise StoreIsFull(reason=error.message, detail=error.detail) from error
        raise
    finally:
        claim.rest()


async def stage(
    house: House, image: Row, chunks: AsyncIterator[bytes], declared_bytes: int | None = None
) -> None:
    """Keep `chunks` where an import finds them. Raises what refused them; the image is then queued again."""
    claim = Claim(house.store, image.id, new_id())
    await claim.take("stage")
    copy: Copy | None = None
    try:
        copy = await Copy.begin(house, image.id, STAGING, claim.token)
        size = await taken(copy, house.config.section(ImageConfig).max_image_bytes, _timely(chunks))
        check_declared(declared_bytes, size)
        await copy.keep()
        await claim.fulfil(None, {"staged_bytes": size}, copy)
        copy.rest()
    except BaseException as error:
        if copy is not None:
            await copy.discard()
        await claim.give_up()
        if isinstance(error, NoRoom):
            raise StoreIsFull(reason=error.message, detail=error.detail) from error
        raise
    finally:
        claim.rest()


async def _timely(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, as long as they come: of a client whose machine lost its power nobody hears. Raises `ClientSilent`."""
    while True:
        try:
            async with asyncio.timeout(SILENT_LIMIT_S):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise ClientSilent(seconds=f"{SILENT_LIMIT_S:.0f}") from None
        if chunk is None:
            return
        yield chunk


def check_declared(declared_bytes: int | None, found_bytes: int) -> None:
    """Raises `OtherSize`."""
    if declared_bytes is not None and declared_bytes != found_bytes:
        raise OtherSize(declared=declared_bytes, found=found_bytes)


class Claim:
    """That this upload, told by its token, is the one to fill the image. Renewed until `rest`.

    While it is held the image is as the event of `take` has made it: `saving`, or `uploading` to the place of staging.
    """

    def __init__(self, db: Store, image_id: str, token: str) -> None:
        self.db = db
        self.image_id = image_id
        self.token = token
        self._is_lost = False
        self._renewing: asyncio.Task[None] | None = None

    async def take(self, event: str) -> Row:
        """The image as it is from now on. Raises `ImageNotQueued`, `ImageNotFound`."""
        status = IMAGE.target("queued", event)
        async with self.db.transaction() as tx:
            # The token in the same statement as the state: whoever loses never held it.
            moved = await tx.update(
                model.IMAGES,
                {"id": self.image_id, "status": "queued"},
                status=status,
                upload_token=self.token,
                upload_seen_at=now(),
            )
            present = await tx.find(model.IMAGES, id=self.image_id)
        if present is None:
            raise ImageNotFound(id=self.image_id)
        if not moved:
            raise ImageNotQueued(status=present.status, wanted=status)
        self._renewing = asyncio.create_task(self._renew())
        return present

    def check(self) -> None:
        """Raises `ImageGone` when the image was deleted or given to another."""
        if self._is_lost:
            raise ImageGone(id=self.image_id)

    async def fulfil(self, event: str | None, facts: dict[str, Any], copy: Copy | None = None) -> None:
        """The bytes are kept: the image is moved by `event`, with its `copy`. Raises `ImageGone`."""
        done = {**facts, "upload_token": None, "upload_seen_at": None}
        async with self.db.transaction() as tx:
            mine = {"id": self.image_id, "upload_token": self.token}
            if not await tx.update(model.IMAGES, mine, **done):
                raise ImageGone(id=self.image_id)
            if event is not None:
                await IMAGE.move(tx, model.IMAGES, self.image_id, event)
            if copy is not None:
                await copy.settle(tx)

    async def give_up(self) -> bool:
        """The image is queued again; answers whether bytes kept under its id are nobody's."""
        back = {"status": "queued", "upload_token": None, "upload_seen_at": None}
        if await self.db.update(model.IMAGES, {"id": self.image_id, "upload_token": self.token}, **back):
            return True
        return await self.db.find(model.IMAGES, id=self.image_id) is None

    def rest(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()

    async def _renew(self) -> None:
        """A slow client is not a dead process: say that we live, whether bytes come or not."""
        mine = {"id": self.image_id, "upload_token": self.token}
        while not self._is_lost:
            await asyncio.sleep(SEEN_EVERY_S)
            try:
                self._is_lost = not await self.db.update(model.IMAGES, mine, upload_seen_at=now())
            except StoreUnavailable:
                continue  # the end of the upload finds out whether the image is still ours
