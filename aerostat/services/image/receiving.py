"""Taking in an image's bytes: one uploader at a time, one clear outcome.

The row says `saving` with the upload's token while bytes come. Bytes are durable first, then the row says `active`: the
other order could not be repaired. An upload that ends in any other way leaves the image queued and no bytes; if its
process died, the sweeper does that.
"""

import hashlib
import time
from collections.abc import AsyncIterator

from aerostat.kernel.clock import now
from aerostat.kernel.db import Row, Store
from aerostat.kernel.ids import new_id

from . import model
from .config import ImageConfig
from .drivers.protocol import ImageStore
from .errors import ImageNotFound, ImageNotQueued, ImageTooLarge
from .inspection import Inspection
from .states import IMAGE

SEEN_EVERY_S = 10.0


async def receive(
    db: Store, store: ImageStore, config: ImageConfig, image: Row, chunks: AsyncIterator[bytes]
) -> None:
    """Store `chunks` as the image's data. Raises what refused them; the image is then queued again."""
    token = new_id()
    async with db.transaction() as tx:
        # The token in the same statement as the state: whoever loses never held it.
        moved = await tx.update(
            model.IMAGES,
            {"id": image.id, "status": "queued"},
            status="saving",
            upload_token=token,
            upload_seen_at=now(),
        )
        if not moved:
            present = await tx.find(model.IMAGES, id=image.id)
            raise ImageNotQueued(status=present.status) if present else ImageNotFound(id=image.id)
    upload = await store.begin(image.id, token)
    md5, sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()
    inspection = Inspection(image.disk_format)
    size, seen_at = 0, time.monotonic()
    try:
        async for chunk in chunks:
            size += len(chunk)
            if size > config.max_image_bytes:
                raise ImageTooLarge(limit=config.max_image_bytes)
            md5.update(chunk)
            sha512.update(chunk)
            inspection.take(chunk)
            await upload.write(chunk)
            if time.monotonic() - seen_at > SEEN_EVERY_S:
                seen_at = time.monotonic()
                if not await db.update(
                    model.IMAGES, {"id": image.id, "upload_token": token}, upload_seen_at=now()
                ):
                    raise ImageNotFound(id=image.id)
        virtual_size = inspection.finish()
        await upload.keep()
        async with db.transaction() as tx:
            if not await tx.count(model.IMAGES, id=image.id, upload_token=token):
                raise ImageNotFound(id=image.id)  # deleted, or given up by the sweeper, meanwhile
            await IMAGE.move(
                tx,
                model.IMAGES,
                image.id,
                "uploaded",
                size=size,
                virtual_size=virtual_size,
                checksum=md5.hexdigest(),
                os_hash_algo="sha512",
                os_hash_value=sha512.hexdigest(),
                upload_token=None,
                upload_seen_at=None,
            )
    except BaseException:
        await upload.discard()
        back = {"status": "queued", "upload_token": None, "upload_seen_at": None}
        if await db.update(
            model.IMAGES, {"id": image.id, "upload_token": token}, **back
        ) or not await db.find(model.IMAGES, id=image.id):
            await store.remove_image(image.id)
        raise
