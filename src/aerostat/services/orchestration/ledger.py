"""Writes about many resources in few transactions, and their events.

Resources are worked on in parallel; what they have to write while the loop goes round once is written together.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aerostat.kernel import clock, ids
from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.work import Work

from . import model

Change = Callable[[Transaction], Awaitable[object]]


class Superseded(Exception):
    """Something else was asked of the stack meanwhile: begin nothing more."""


class Ledger:
    """Writes for one run of a stack's flow."""

    def __init__(self, work: Work, stack: Row) -> None:
        self._store = work.db
        self._work = work
        self._stack = stack
        self._queue: list[tuple[Change, bool, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def write(self, change: Change) -> None:
        """Have `change` written; facts about the world are written whatever was asked of the stack since."""
        await self._enter(change, guarded=False)

    async def begin(self, change: Change) -> None:
        """Have `change` written if the stack is still to be as this run knows, and the run still its flow's.

        Raises `Superseded`. A worker that was stopped for longer than its lease may begin nothing: another went on.
        """
        await self._enter(change, guarded=True)

    async def _enter(self, change: Change, *, guarded: bool) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((change, guarded, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._flush())
        await done

    async def _flush(self) -> None:
        await asyncio.sleep(0)  # others that are ready now come along
        while self._queue:
            batch, self._queue = self._queue, []
            stale: list[asyncio.Future[None]] = []
            try:
                async with self._store.transaction() as tx:
                    stack = await tx.find(model.STACKS, id=self._stack.id)
                    fresh = stack is not None and stack.generation == self._stack.generation
                    fresh = fresh and await self._work.is_ours(tx)
                    for change, guarded, done in batch:
                        if guarded and not fresh:
                            stale.append(done)
                        else:
                            await change(tx)
            except Exception as error:
                for _, _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            for _, _, done in batch:
                if not done.done():
                    if done in stale:
                        done.set_exception(Superseded())
                    else:
                        done.set_result(None)


async def add_resource_event(tx: Transaction, row: Row, state: str, reason: str) -> None:
    await tx.insert(
        model.EVENTS,
        id=ids.ascending_id(),
        stack_id=row.stack_id,
        at=clock.now(),
        resource_name=row.name,
        resource_type=row.type,
        physical_id=row.physical_id,
        state=state,
        reason=reason,
        properties=row.properties or None,
    )


async def add_stack_event(tx: Transaction, stack: Row, state: str, reason: str) -> None:
    await tx.insert(
        model.EVENTS,
        id=ids.ascending_id(),
        stack_id=stack.id,
        at=clock.now(),
        resource_name=stack.name,
        resource_type="OS::Heat::Stack",
        physical_id=stack.id,
        state=state,
        reason=reason,
        properties=None,
    )


def record_failure(work: Work, name: str, state: str, reason: str, **data: Any) -> None:
    """Leave a resource's failure in the operation record."""
    work.record("failed", step=f"{name} {state}"[:64], reason=reason, data={"resource": name, **data})
