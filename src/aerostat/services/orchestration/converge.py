"""Bringing the resources of a stack in line with a template: the heart of orchestration.

One run goes on as far as it can without waiting: what is independent goes in parallel, what requires others after
them. What is done with one resource is in `resource_life.py`.

1. Forward: each resource of the target is made, changed in place, or replaced: another row beside the old one.
2. Cleaning: rows that the target does not have, and those that were replaced, are deleted, in reverse order.

A target of nothing (deleting a stack, rolling back its creation) is cleaning alone. Rolling back an update is
going forward to the template before, with replaced rows taken into use again.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from aerostat.kernel.db import Row, StoreUnavailable, Transaction
from aerostat.kernel.work import Outcome, Work

from .endings import complete_stack, fail_stack
from .errors import RequestLimitExceeded
from .ledger import Superseded
from .resource_life import ResourceLife
from .run import FINISHED, Run
from .states import action_of, status_of

_TIMED_OUT = "Timed out"


async def converge_stack(work: Work, stack: Row) -> Outcome | None:
    """One run of the step. Answers what the flow does next."""
    return await _Convergence(Run(work, stack)).go()


class _Convergence:
    """The order in which the resources of one run have their turn."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._life = ResourceLife(run)
        self._superseded = False

    async def go(self) -> Outcome | None:
        try:
            await self._run.load()
        except RequestLimitExceeded as error:
            return await self._give_up(error.text)
        deadline_at = self._run.stack.deadline_at
        if deadline_at is not None and self._run.work.left_s(deadline_at) <= 0:
            return await self._give_up(_TIMED_OUT)
        if not self._run.to_nothing:
            await self._go_forward()
            if (outcome := await self._not_done()) is not None:
                return outcome
        await self._clean()
        if (outcome := await self._not_done()) is not None:
            return outcome
        self._run.work.also(lambda tx: complete_stack(tx, self._run.work, self._run.stack))
        return self._run.work.finish()

    async def _not_done(self) -> Outcome | None:
        """What to do when a phase has not come to its good end."""
        if self._superseded:
            return self._run.work.finish()
        if self._run.failures and not (self._run.waiting and self._run.action == "DELETE"):
            return await self._give_up(f"Resource {self._run.failures[0]}")
        if self._run.waiting:
            wait_s = min(self._run.waiting.values())
            if self._run.stack.deadline_at is not None:
                wait_s = min(wait_s, max(0.0, self._run.work.left_s(self._run.stack.deadline_at)))
            return self._run.work.again(wait_s)
        return None

    async def _give_up(self, reason: str) -> Outcome:
        """The action failed: whatever is still going on is not waited for."""
        unfinished = [row for row in self._run.rows.values() if status_of(row.state) == "IN_PROGRESS"]

        async def write(tx: Transaction) -> None:
            for row in unfinished:
                await self._run.mark_failed(tx, row, f"{action_of(row.state)} aborted ({reason})"[:1000])
            await fail_stack(tx, self._run.work, self._run.stack, reason)

        self._run.work.also(write)
        return self._run.work.finish()

    # Forward

    async def _go_forward(self) -> None:
        graph = self._run.plan.graph
        names = set(self._run.plan.blueprint.resources)
        for name in names:
            row = self._run.current[name]
            mine = row.generation == self._run.generation
            if mine and row.state in FINISHED and not self._run.gate.holds_done(row):
                self._run.done.add(name)
        started: set[str] = set(self._run.done)

        def ready() -> list[tuple[str, Coroutine[Any, Any, None]]]:
            if self._run.failures or self._superseded:
                return []
            found = graph.ready_to_create(self._run.done, started)
            started.update(found)
            return [(self._run.current[name].id, self._life.bring(name)) for name in found]

        await self._in_parallel(ready)

    async def _in_parallel(self, ready: Callable[[], list[tuple[str, Coroutine[Any, Any, None]]]]) -> None:
        """Run what is ready, and what becomes so by that, until nothing more is."""
        tasks: dict[asyncio.Task[None], str] = {}
        try:
            while True:
                for key, work in ready():
                    tasks[asyncio.create_task(self._guarded(key, work))] = key
                if not tasks:
                    return
                finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    del tasks[task]
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _guarded(self, row_id: str, work: Coroutine[Any, Any, None]) -> None:
        """What goes wrong with one resource is that resource's failure."""
        try:
            await work
        except Superseded:
            self._superseded = True
        except StoreUnavailable:
            raise
        except Exception as error:
            await self._run.cope(self._run.rows[row_id], error)

    # Cleaning

    async def _clean(self) -> None:
        target = set() if self._run.to_nothing else set(self._run.plan.blueprint.resources)
        doomed = {row.id: row for row in self._run.rows.values() if not row.current or row.name not in target}
        gone: set[str] = set()
        started: set[str] = set()

        async def delete(row: Row) -> None:
            if await self._life.delete(row):
                gone.add(row.id)

        def ready() -> list[tuple[str, Coroutine[Any, Any, None]]]:
            if self._superseded:
                return []
            left = [row for row in doomed.values() if row.id not in gone]
            needed = {one for row in left for one in row.requires}
            found = [row for row in left if row.id not in started and row.id not in needed]
            if not found and left and not started - gone:
                found = left[:1]  # rows of an update that was cut off may require each other
            started.update(row.id for row in found)
            return [(row.id, delete(row)) for row in found]

        await self._in_parallel(ready)
