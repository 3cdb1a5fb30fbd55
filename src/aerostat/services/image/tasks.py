"""Tasks: what clients see of long work on an image. The work itself is a flow.

https://docs.openstack.org/api-ref/image/v2/#tasks
"""

import time
from typing import Any

from aerostat.kernel.clock import now, seconds
from aerostat.kernel.context import Context
from aerostat.kernel.db import Row, Store, Transaction
from aerostat.kernel.house import House

from . import model
from .config import ImageConfig
from .states import TASK

TOLD_EVERY_S = 1.0


async def new_task(
    tx: Transaction, kind: str, context: Context, image_id: str | None, given: dict[str, Any]
) -> Row:
    return await tx.insert(
        model.TASKS,
        type=kind,
        owner=context.project_id,
        user_id=context.user_id,
        request_id=context.request_id,
        image_id=image_id,
        input=given,
        updated_at=now(),
    )


async def end_task(
    tx: Transaction, house: House, task_id: str, event: str, message: str = "", **also: Any
) -> None:
    """`event` is "succeed" or "fail". One that has ended stays as it is; the image is free for the next."""
    life = seconds(house.config.section(ImageConfig).task_life_s)
    if await tx.count(model.TASKS, id=task_id, status=("pending", "processing")):
        ended = {"message": message, "expires_at": now() + life, **also}
        await TASK.move(tx, model.TASKS, task_id, event, **ended)
    await tx.update(model.IMAGES, {"import_task": task_id}, import_task=None)


class Progress:
    """How far the work is, told in the task's message, and not too often."""

    def __init__(self, db: Store, task_id: str, words: str, total: int | None = None) -> None:
        """`words` as in "Copied %s to object"."""
        self._db = db
        self._task_id = task_id
        self._words = words
        self._total = total
        self._bytes = 0
        self._told_at_s = time.monotonic()

    async def add(self, size: int) -> None:
        self._bytes += size
        if self._is_due():
            of = f" of {self._total >> 20}" if self._total is not None else ""
            await self._tell(f"{self._bytes >> 20}{of} MiB")

    async def reach(self, percent: float) -> None:
        if self._is_due():
            await self._tell(f"{percent:.0f} %")

    def _is_due(self) -> bool:
        is_due = time.monotonic() - self._told_at_s >= TOLD_EVERY_S
        if is_due:
            self._told_at_s = time.monotonic()
        return is_due

    async def _tell(self, how_far: str) -> None:
        message = self._words % how_far
        mine = {"id": self._task_id, "status": "processing"}
        await self._db.update(model.TASKS, mine, message=message)
