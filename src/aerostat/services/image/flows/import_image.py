"""Importing an image: its bytes are fetched, or were staged, and go from there into each store that was asked for.

https://docs.openstack.org/glance/latest/admin/interoperable-image-import.html

A copy is first a row, then bytes, then part of the image: a process may die in between, and the next one drops what was
begun and begins it again. Where one store cannot and all must, the others give up their copies too. The task's message
tells how far the work is.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.errors import ApiError, DriverError
from aerostat.kernel.work import Fault, Flow, Outcome, Work

from .. import model
from ..config import ImageConfig
from ..conversion import convert as converted_into
from ..conversion import is_needed
from ..copies import Copy, drop_copy, drop_staged
from ..passage import copied, taken
from ..reading import open_bytes
from ..states import IMAGE, TASK
from ..stores import CONVERTED, STAGING, stores_of
from ..tasks import Progress, end_task

LONGEST = timedelta(hours=12)
FETCHED = ("web-download", "glance-download")
COPIED_PROPERTIES = ("hw_", "trait:", "os_distro", "os_secure_boot", "os_type")
"""What of another image's properties goes along, by how their names begin."""
COPIED_FIELDS = ("container_format", "disk_format", "min_disk", "min_ram")


async def failed(work: Work, image: Row | None, fault: Fault) -> None:
    """The steps have given back what they had; now it is said."""

    async def say(tx: Transaction) -> None:
        if image is not None:
            without = ",".join(work.data["stores"])
            await tx.update(model.IMAGES, {"id": image.id}, importing_to="", failed_import=without)
            if await tx.count(model.IMAGES, id=image.id, status="importing"):
                await IMAGE.move(tx, model.IMAGES, image.id, "import_failed", staged_bytes=None)
        await end_task(tx, work.house, work.data["task_id"], "fail", fault.message)

    work.also(say)


import_image = Flow(
    "image.import",
    on=model.IMAGES,
    deadline=LONGEST,
    failed=failed,
    machine=IMAGE,
    without_subject=True,
    attempts=5,
)


@import_image.step
async def begin(work: Work, image: Row | None) -> Outcome | None:
    if image is None:
        return await _gone(work)
    work.also(lambda tx: TASK.move(tx, model.TASKS, work.data["task_id"], "begin"))
    return None


@import_image.step
async def fetch(work: Work, image: Row | None) -> Outcome | None:
    """Bytes that come from elsewhere are staged first, so that a store that fails costs no second way over the net."""
    if image is None:
        return await _gone(work)
    if work.data["method"] not in FETCHED:
        return None
    staged = await Copy.begin(work.house, image.id, STAGING, work.flow_id)
    try:
        chunks = _counted(await _source(work, image), Progress(work.db, work.data["task_id"], "Fetched %s"))
        image.staged_bytes = await taken(staged, _config(work).max_image_bytes, chunks)
        await staged.keep()
    except BaseException:
        await staged.discard()
        raise
    staged.rest()
    work.also(staged.settle)
    return None


@fetch.undo
async def forget_staged(work: Work, image: Row | None) -> None:
    """What was staged by the client too: the image is queued again, without any data."""
    if work.data["method"] != "copy-image":
        await drop_staged(work.house, work.subject_id)


@import_image.step
async def convert(work: Work, image: Row | None) -> Outcome | None:
    """Staged bytes become a second staged file, if the cloud wants its images in one format; which it was is kept."""
    if image is None:
        return await _gone(work)
    wanted = _config(work).output_format
    if work.data["method"] == "copy-image" or not is_needed(
        image.disk_format, image.container_format, wanted
    ):
        return None
    progress = Progress(work.db, work.data["task_id"], f"Converted %s to {wanted}")
    made = await Copy.begin(work.house, image.id, CONVERTED, work.flow_id)
    try:
        await converted_into(
            stores_of(work.house).path(STAGING, image.id),
            image.disk_format,
            made.path,
            wanted,
            most_bytes=_config(work).max_image_bytes,
            progress=progress.reach,
        )
        await made.keep()
    except BaseException:
        await made.discard()
        raise
    made.rest()
    work.data["disk_format"] = image.disk_format
    image.disk_format = wanted
    work.also(made.settle)
    return None


@convert.undo
async def forget_converted(work: Work, image: Row | None) -> None:
    mine = {"image_id": work.subject_id, "token": work.flow_id, "store": CONVERTED}
    for row in await work.db.all(model.LOCATIONS, mine):
        await drop_copy(work.house, row)
    if image is not None and "disk_format" in work.data:
        image.disk_format = work.data["disk_format"]


@import_image.step
async def copy(work: Work, image: Row | None) -> Outcome | None:
    """Into one store after the other; what it is and how it hashes is found out by the way, each time."""
    if image is None:
        return await _gone(work)
    done, broken = await _done(work), work.data.setdefault("failed", [])
    left = [name for name in work.data["stores"] if name not in (*done, *broken)]
    if not left:
        return None
    try:
        facts, made = await _copy(work, image, left[0])
    except (DriverError, ApiError) as error:
        is_passing = isinstance(error, DriverError) and error.retry and work.attempt < import_image.attempts
        if is_passing or work.data["all_must_succeed"]:
            raise
        broken.append(left[0])
        work.data["reason"] = getattr(error, "message", None) or str(error)
        image.failed_import = ",".join(broken)
        image.importing_to = ",".join(left[1:])
        if len(broken) == len(work.data["stores"]):
            raise
        return work.goto("copy") if left[1:] else None
    image.importing_to = ",".join(left[1:])
    for name, value in facts.items():
        image[name] = value
    work.also(made.settle)
    made.rest()
    return work.goto("copy") if left[1:] else None


@copy.undo
async def forget_copies(work: Work, image: Row | None) -> None:
    """Of this import: what another one made stays."""
    mine = {"image_id": work.subject_id, "token": work.flow_id, "state": ("writing", "kept", "removing")}
    for row in await work.db.all(model.LOCATIONS, mine):
        await drop_copy(work.house, row)
    if image is not None and work.data["method"] != "copy-image":
        for name in ("size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value"):
            image[name] = None


@import_image.step
async def finish(work: Work, image: Row | None) -> Outcome | None:
    if image is None:
        return await _gone(work)
    if work.data["method"] != "copy-image":
        await drop_staged(work.house, image.id)
        work.move("imported", staged_bytes=None)
    image.importing_to = ""
    image.failed_import = ",".join(work.data.get("failed", []))
    result = {"image_id": image.id, **work.data.get("result", {})}
    message = work.data.get("reason", "")
    work.also(lambda tx: end_task(tx, work.house, work.data["task_id"], "succeed", message, result=result))
    return None


async def _copy(work: Work, image: Row, store: str) -> tuple[dict[str, Any], Copy]:
    """The bytes are in the store, but not yet part of the image."""
    progress = Progress(
        work.db, work.data["task_id"], f"Copied %s to {store}", image.staged_bytes or image.size
    )
    made = await Copy.begin(work.house, image.id, store, work.flow_id)
    try:
        bytes_ = await _bytes_of(work, image, progress)
        facts = await copied(made, image, _config(work), bytes_)
        known = {name: image[name] for name in facts if image[name] is not None}
        if any(facts[name] != value for name, value in known.items()):
            raise DriverError("What was read is not what the image was.", detail=f"{known} is now {facts}")
        await made.keep()
    except BaseException:
        await made.discard()
        raise
    return facts, made


async def _bytes_of(work: Work, image: Row, progress: Progress) -> AsyncIterator[bytes]:
    if work.data["method"] == "copy-image":
        return _counted(await open_bytes(work.house, image), progress)
    staged = CONVERTED if "disk_format" in work.data else STAGING
    return _counted(stores_of(work.house).driver(staged).read(image.id), progress)


async def _counted(chunks: AsyncIterator[bytes], progress: Progress) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk
        await progress.add(len(chunk))


async def _source(work: Work, image: Row) -> AsyncIterator[bytes]:
    given = work.data["given"]
    if work.data["method"] == "web-download":
        chunks: AsyncIterator[bytes] = stores_of(work.house).web.read(given["uri"])
        return chunks
    client = work.client("image")
    if given["glance_region"] != work.house.config.kernel.region:
        raise DriverError(f"There is no region {given['glance_region']} from which images can be taken.")
    source = await client.get_image(given["glance_image_id"])
    if source["status"] != "active":
        raise DriverError(f"Image {source['id']} is not active there.")
    await _take_over(work, image, source)
    downloaded: AsyncIterator[bytes] = await client.download(source["id"])
    return downloaded


async def _take_over(work: Work, image: Row, source: dict[str, Any]) -> None:
    """What another image says of its bytes is true of these as well."""
    for name in COPIED_FIELDS:
        image[name] = source[name]
    found = {
        name: value
        for name, value in source.items()
        if isinstance(value, str) and name.startswith(COPIED_PROPERTIES) and not hasattr(model.IMAGES.c, name)
    }

    async def write(tx: Transaction) -> None:
        for name, value in found.items():
            await tx.delete(model.PROPERTIES, image_id=image.id, name=name)
            await tx.insert(model.PROPERTIES, image_id=image.id, name=name, value=value)

    work.also(write)


async def _gone(work: Work) -> Outcome:
    """The image was deleted: what was being made for it goes with it."""
    await drop_staged(work.house, work.subject_id)
    await forget_copies(work, None)
    message = "The image was deleted."
    work.also(lambda tx: end_task(tx, work.house, work.data["task_id"], "fail", message))
    return work.finish()


async def _done(work: Work) -> list[str]:
    """Stores that have the image by this import."""
    mine = {"image_id": work.subject_id, "token": work.flow_id, "state": "kept"}
    return [row.store for row in await work.db.all(model.LOCATIONS, mine)]


def _config(work: Work) -> ImageConfig:
    config: ImageConfig = work.house.config.section(ImageConfig)
    return config
