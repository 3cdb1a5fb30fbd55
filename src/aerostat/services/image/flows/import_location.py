"""An image that lies on a web server of somebody else's: it is read once, to know its size and its checksums.

https://docs.openstack.org/api-ref/image/v2/#add-location
"""

import hashlib
from datetime import timedelta
from typing import Any

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.errors import DriverError
from aerostat.kernel.work import Fault, Flow, Outcome, Work

from .. import model
from ..config import ImageConfig
from ..copies import next_place
from ..errors import ImageTooLarge
from ..states import IMAGE, TASK
from ..stores import stores_of
from ..tasks import Progress, end_task

DEFAULT_ALGORITHM = "sha512"


async def failed(work: Work, image: Row | None, fault: Fault) -> None:
    async def say(tx: Transaction) -> None:
        if await tx.count(model.IMAGES, id=work.subject_id, status="importing"):
            await IMAGE.move(tx, model.IMAGES, work.subject_id, "import_failed")
            # Shown as long as the image has no other data, so that its owner sees what it was; nobody reads it.
            await _locate(tx, work, "refused")
        await end_task(tx, work.house, work.data["task_id"], "fail", fault.message)

    work.also(say)


import_location = Flow(
    "image.import_location",
    on=model.IMAGES,
    deadline=timedelta(hours=12),
    failed=failed,
    machine=IMAGE,
    without_subject=True,
    attempts=3,
)


@import_location.step
async def begin(work: Work, image: Row | None) -> None:
    if image is not None:
        work.also(lambda tx: TASK.move(tx, model.TASKS, work.data["task_id"], "begin"))


@import_location.step
async def read(work: Work, image: Row | None) -> Outcome | None:
    task_id, url = work.data["task_id"], work.data["url"]
    if image is None:
        work.also(lambda tx: end_task(tx, work.house, task_id, "fail", "The image was deleted."))
        return work.finish()
    facts = await _facts(work, url)
    wanted = work.data["validation"].get("os_hash_value")
    if wanted is not None and facts.get("os_hash_value", wanted) != wanted.lower():
        raise DriverError("What is at the location does not have the hash that was given.")
    for name, value in facts.items():
        image[name] = value

    async def locate(tx: Transaction) -> None:
        await _locate(tx, work, "kept")
        await end_task(tx, work.house, task_id, "succeed", result={"image_id": image.id})

    work.also(locate)
    work.move("imported")
    return None


async def _locate(tx: Transaction, work: Work, state: str) -> None:
    row = {"image_id": work.subject_id, "store": work.data["store"], "url": work.data["url"]}
    await tx.delete(model.LOCATIONS, **row)
    await tx.insert(model.LOCATIONS, **row, state=state, place=await next_place(tx, work.subject_id))


async def _facts(work: Work, url: str) -> dict[str, Any]:
    config: ImageConfig = work.house.config.section(ImageConfig)
    async with stores_of(work.house).web.open(url) as answer:
        if not config.hash_locations:
            return {"size": answer.size, **work.data["validation"]}  # what the client says, unseen
        algorithm = work.data["validation"].get("os_hash_algo", DEFAULT_ALGORITHM)
        md5, chosen = hashlib.md5(usedforsecurity=False), hashlib.new(algorithm)
        progress = Progress(work.db, work.data["task_id"], "Read %s", answer.size)
        size = 0
        async for chunk in answer.chunks:
            size += len(chunk)
            if size > config.max_image_bytes:
                raise ImageTooLarge(limit=config.max_image_bytes)
            md5.update(chunk)
            chosen.update(chunk)
            await progress.add(len(chunk))
    return {
        "size": size,
        "checksum": md5.hexdigest(),
        "os_hash_algo": algorithm,
        "os_hash_value": chosen.hexdigest(),
    }
