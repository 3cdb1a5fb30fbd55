"""Reads: the best holder is asked, then the others, then handoffs; what is newest among what was heard is taken."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from ..stores.protocol import DeviceVerbs
from .asking import Asking, OnDamage
from .calls import Calls, Dispose
from .errors import NoQuorum
from .layout import Layout, Target

T = TypeVar("T")

Age = tuple[int, ...]
"""The larger the newer."""


class Looking(Generic[T]):
    """One question. `age`: how new an answer is; `is_gone`: it tells that there is nothing any more. `dispose`: of
    answers that are not taken. `newest`: all holders and handoffs are heard before one is taken.
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
        self._calls, self._layout, self._part, self._ask = calls, layout, part, ask
        self._age, self._is_gone, self._dispose, self._on_damage = age, is_gone, dispose, on_damage
        self._newest = newest
        self._wanted = layout.read_quorum(part)
        self._best: T | None = None
        self.source: Target | None = None
        """Who gave what was taken."""

    async def find(self, what: str) -> T | None:
        """The answer; None when there is nothing. Raises `NoQuorum` when too few could tell."""
        layout, part = self._layout, self._part
        # not kept with us: two that hold each other would hold what was found until it is looked for garbage
        asking = Asking(
            self._calls, self._ask, self._take, self._wanted, dispose=self._dispose, on_damage=self._on_damage
        )
        try:
            holders = layout.holders(part)
            if len(holders) == 1 == layout.holder_count(part):
                await asking.one(holders[0])
            else:
                await self._ask_holders(asking, holders)
            answered = asking.answered
            is_sure = self._is_found() or (self._best is not None and answered >= layout.holder_count(part))
            if self._newest or not is_sure:
                asking.leave()
                handoffs = list(layout.handoffs(part))
                await asking.round(handoffs, self._patience_s(answered), self._is_enough)
        finally:
            asking.leave()
        if not self._is_found() and answered < self._wanted:
            if self._best is not None:
                self._put_away(self._best)
            raise NoQuorum(what, answered, self._wanted)
        return self._best

    def _patience_s(self, answered: int) -> float:
        """With handoffs: of something that a quorum of holders has told, they may know more, if they are quick."""
        patience = self._calls.patience
        is_known = self._is_found() and answered >= self._wanted
        return patience.linger_s if is_known else patience.answer_s

    async def _ask_holders(self, asking: Asking[T], holders: list[Target]) -> None:
        patience = self._calls.patience
        holders = self._calls.standings.for_reading(holders)
        if not self._newest:
            await asking.round(holders[:1], patience.hedge_s, self._is_enough)
            holders = holders[1:]
        if not self._is_enough():
            await asking.round(holders, patience.answer_s, self._is_enough)

    def _is_enough(self) -> bool:
        return not self._newest and self._is_found()

    def _is_found(self) -> bool:
        return self._best is not None and not self._is_gone(self._best)

    def _take(self, target: Target, answer: T | None) -> None:
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

    def _put_away(self, answer: T) -> None:
        if self._dispose is not None:
            self._calls.later(self._dispose(answer))
