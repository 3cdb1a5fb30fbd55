"""Reads: the best holder is asked, then the others, then handoffs; what is newest among what was heard is taken."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from ..stores.object_file import Damaged
from ..stores.protocol import DeviceVerbs
from .calls import FAULTS, Calls, Dispose
from .errors import NoQuorum
from .layout import Layout, Target

T = TypeVar("T")

Age = tuple[int, ...]
"""The larger the newer."""

OnDamage = Callable[[Target, Damaged], None]


class Looking(Generic[T]):
    """One question. `age`: how new an answer is; `is_gone`: it tells that there is nothing any more. `dispose`: of
    answers that are not taken. `newest`: all holders are heard before one is taken.
    """

    def __init__(
        self,
        calls: Calls,
        layout: Layout,
        part: int,
        ask: Callable[[DeviceVerbs], Awaitable[T | None]],
        *,
        age: Callable[[T], Age],
        is_gone: Callable[[T], bool] = lambda _: False,
        dispose: Dispose | None = None,
        on_damage: OnDamage | None = None,
        newest: bool = False,
    ) -> None:
        self._calls, self._layout, self._part = calls, layout, part
        self._ask, self._age, self._is_gone = ask, age, is_gone
        self._dispose, self._on_damage = dispose, on_damage
        self._newest = newest
        self._running: dict[asyncio.Task[T | None], Target] = {}
        self._answered = 0
        self._best: T | None = None
        self.source: Target | None = None
        """Who gave what was taken."""

    async def find(self, what: str) -> T | None:
        """The answer; None when there is nothing. Raises `NoQuorum` when too few could tell."""
        layout, part = self._layout, self._part
        holders = layout.holders(part)
        wanted = layout.read_quorum(part)
        if len(holders) == 1 == layout.holder_count(part):
            await self._ask_one(holders[0])
        else:
            holders = self._calls.standings.for_reading(holders)
            try:
                await self._ask_many(holders)
            finally:
                self._leave()
        answered = self._answered
        if (not self._is_found and answered < layout.holder_count(part)) or self._best is None:
            try:
                handoffs = list(layout.handoffs(part))
                await self._round(handoffs, self._calls.patience.answer_s)
            finally:
                self._leave()
        if not self._is_found and answered < wanted:
            if self._best is not None:
                self._put_away(self._best)
            raise NoQuorum(what, answered, wanted)
        return self._best

    @property
    def _is_found(self) -> bool:
        return self._best is not None and not self._is_gone(self._best)

    async def _ask_one(self, target: Target) -> None:
        try:
            answer = await self._calls.timed(target, self._ask(target.device))
        except FAULTS as error:
            self._failed(target, error)
        else:
            self._take(target, answer)

    async def _ask_many(self, holders: Sequence[Target]) -> None:
        patience = self._calls.patience
        if self._newest:
            await self._round(holders, patience.answer_s)
            return
        await self._round(holders[:1], patience.hedge_s)
        if not self._is_found:
            await self._round(holders[1:], patience.answer_s)

    async def _round(self, targets: Sequence[Target], patience_s: float) -> None:
        """Ask them as well; back when there is an answer that will do, or all have told, or it takes too long."""
        for target in targets:
            self._running[self._calls.start(target, self._ask(target.device))] = target
        clock = self._calls.standings.clock
        deadline = clock() + patience_s
        is_lingering = False
        while self._running:
            finished, _ = await asyncio.wait(
                self._running, timeout=max(0.0, deadline - clock()), return_when=asyncio.FIRST_COMPLETED
            )
            if not finished:
                return
            for task in finished:
                target = self._running.pop(task)
                try:
                    answer = task.result()
                except FAULTS as error:
                    self._failed(target, error)
                else:
                    self._take(target, answer)
            if self._is_found and not self._newest:
                return
            if not is_lingering and self._answered >= self._layout.read_quorum(self._part):
                is_lingering = True
                deadline = min(deadline, clock() + self._calls.patience.linger_s)

    def _take(self, target: Target, answer: T | None) -> None:
        self._answered += 1
        if answer is None:
            return
        if self._best is None:
            self._best, self.source = answer, target
        elif self._rank(answer) > self._rank(self._best):
            self._put_away(self._best)
            self._best, self.source = answer, target
        else:
            self._put_away(answer)

    def _rank(self, answer: T) -> tuple[Age, bool]:
        return self._age(answer), self._is_gone(answer)

    def _failed(self, target: Target, error: BaseException) -> None:
        if isinstance(error, Damaged) and self._on_damage is not None:
            self._on_damage(target, error)

    def _put_away(self, answer: T) -> None:
        if self._dispose is not None:
            self._calls.later(self._dispose(answer))

    def _leave(self) -> None:
        for task, target in self._running.items():
            self._calls.leave(target, task, self._dispose)
        self._running.clear()
