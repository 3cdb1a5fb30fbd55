"""Uploads whose process died, and bytes that belong to no image."""

from datetime import timedelta
from typing import Any

from aerostat.kernel.clock import now, seconds
from aerostat.kernel.house import House
from aerostat.kernel.work import Sweeper

from .. import model
from ..config import ImageConfig


async def sweep(house: House) -> int:
    store: Any = house.state["image"]["store"]
    silent_since = now() - seconds(house.config.section(ImageConfig).upload_silence_s)
    swept: int = 0
    alive: set[str] = set()
    for row in await house.store.all(model.IMAGES, {"status": "saving"}):
        if row.upload_seen_at is not None and row.upload_seen_at >= silent_since:
            alive.add(row.upload_token)
            continue
        where = {"id": row.id, "upload_token": row.upload_token, "status": "saving"}
        swept += await house.store.update(
            model.IMAGES, where, status="queued", upload_token=None, upload_seen_at=None
        )
    died: int = await store.remove_uploads(alive)
    swept += died
    # Kept bytes come before the row says active, so look at the bytes first and the rows afterwards.
    kept = await store.list_images()
    known = {
        row.id
        for row in await house.store.all(model.IMAGES)
        if row.status in ("active", "deactivated", "saving")
    }
    for image_id in kept - known:
        await store.remove_image(image_id)
        swept += 1
    return swept


SWEEPER = Sweeper("image.dead_uploads", every=timedelta(minutes=1), sweep=sweep)
