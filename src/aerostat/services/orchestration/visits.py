"""Going round the resources of a stack: checking, suspending and resuming them. Nothing is made or deleted."""

import asyncio
from datetime import timedelta
from typing import Any

from aerostat.kernel import clock
from aerostat.kernel.clock import hours
from aerostat.kernel.db import Row, StoreUnavailable, Transaction
from aerostat.kernel.work import Fault, Flow, Outcome, Work

from . import model
from .endings import complete_stack, fail_stack
from .failures import understood
from .ledger import add_resource_event, record_failure
from .reading import OpenStack, open_stack
from .secrecy import conceal
from .states import STACK, complete, failed, progress
from .thing import Thing

_POLL_S = 1.0


def visit_flow(name: str, action: str, *, backwards: bool = False) -> Flow:
    """A flow that does `action` to each resource in the order of dependencies, or against it."""

    async def give_up(work: Work, stack: Any, fault: Fault) -> None:
        if stack.generation == work.data["generation"]:
            work.also(lambda tx: fail_stack(tx, work, stack, fault.message))

    flow = Flow(name, on=model.STACKS, machine=STACK, deadline=hours(24 * 30), failed=give_up)

    @flow.step
    async def visit(work: Work, stack: Any) -> Outcome | None:
        if stack.generation != work.data["generation"]:
            return work.finish()
        opened = await open_stack(work.house, work.context, stack)
        return await _Visit(work, stack, action, opened, backwards).run()

    return flow


class _Visit:
    """One run of the step; what was done before stands in the rows."""

    def __init__(self, work: Work, stack: Row, action: str, opened: OpenStack, backwards: bool) -> None:
        self.work = work
        self.stack = stack
        self.action = action
        self.opened = opened
        self.backwards = backwards
        self.failures: list[str] = []

    async def run(self) -> Outcome | None:
        if self.stack.deadline_at is not None and self.work.left_s(self.stack.deadline_at) <= 0:
            self.work.also(lambda tx: fail_stack(tx, self.work, self.stack, "Timed out"))
            return self.work.finish()
        graph = self.opened.plan.graph
        things = self.opened.things
        done = {name for name, one in things.items() if self._is_done(one.row)}
        absent = {name for name in graph if name not in things}
        while not self.failures:
            ready = graph.ready_to_delete if self.backwards else graph.ready_to_create
            if self.action == "CHECK":
                names = [name for name in things if name not in done]
            else:
                names = [name for name in ready(done | absent) if name in things]
            if not names:
                break
            finished = await asyncio.gather(*(self._visit(things[name]) for name in names))
            done.update(name for name, is_done in zip(names, finished, strict=True) if is_done)
            if not all(finished) and not self.failures:
                return self.work.again(timedelta(seconds=_POLL_S))
        if self.failures:
            reason = f"Resource {self.failures[0]}"
            self.work.also(lambda tx: fail_stack(tx, self.work, self.stack, reason))
        else:
            self.work.also(lambda tx: complete_stack(tx, self.work, self.stack))
        return self.work.finish()

    def _is_done(self, row: Row) -> bool:
        return bool(row.state == complete(self.action) and row.generation == self.stack.generation)

    async def _visit(self, thing: Thing) -> bool:
        """Begin, or look how far it is. Answers whether it is done."""
        row, kind = thing.row, thing.kind
        try:
            if row.state != progress(self.action) or row.generation != self.stack.generation:
                await self._write(row, progress(self.action), "state changed")
                if self.action == "CHECK":
                    await kind.check_health(thing)
                elif self.action == "SUSPEND":
                    await kind.suspend(thing)
                else:
                    await kind.resume(thing)
            if self.action == "SUSPEND" and not await kind.is_suspended(thing):
                return False
            if self.action == "RESUME" and not await kind.is_resumed(thing):
                return False
        except StoreUnavailable:
            raise
        except Exception as error:
            failure = understood(error)
            plan = self.opened.plan
            reason = await conceal(self.work.house, self.stack, plan, failure.at(thing.name))
            detail = failure.detail and await conceal(self.work.house, self.stack, plan, failure.detail)
            record_failure(self.work, thing.name, failed(self.action), reason, detail=detail)
            await self._write(row, failed(self.action), reason)
            self.failures.append(f"{self.action} failed: {reason}")
            return False
        await self._write(row, complete(self.action), "state changed")
        return True

    async def _write(self, row: Row, state: str, reason: str) -> None:
        row.state, row.generation = state, self.stack.generation

        async def change(tx: Transaction) -> None:
            await tx.update(
                model.RESOURCES,
                {"id": row.id},
                state=state,
                state_reason=reason,
                generation=row.generation,
                changed_at=clock.now(),
            )
            await add_resource_event(tx, row, state, reason)

        async with self.work.db.transaction() as tx:
            await change(tx)
