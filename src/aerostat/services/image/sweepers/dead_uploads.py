"""Uploads whose process died: their images are queued again, and what they left is removed."""

from datetime import timedelta

from aerostat.kernel.clock import now, seconds
from aerostat.kernel.house import House
from aerostat.kernel.work import Sweeper

from .. import model
from ..config import ImageConfig
from ..copies import give_up_silent, remove_due


async def sweep(house: House) -> int:
    swept = await _queue_again(house)
    given_up: int = await give_up_silent(house)
    if given_up:
        await remove_due(house)
    return swept + given_up


async def _queue_again(house: House) -> int:
    silent_since = now() - seconds(house.config.section(ImageConfig).upload_silence_s)
    swept = 0
    for row in await house.store.all(model.IMAGES, {"status": ("saving", "uploading")}):
        token = row.upload_token
        if token is None or (row.upload_seen_at is not None and row.upload_seen_at >= silent_since):
            continue
        where = {"id": row.id, "upload_token": token, "status": row.status}
        again = {"status": "queued", "upload_token": None, "upload_seen_at": None}
        swept += await house.store.update(model.IMAGES, where, **again)
    return swept


SWEEPER = Sweeper("image.dead_uploads", every=timedelta(minutes=1), sweep=sweep)
