"""One question to many devices, round after round: some first, others when those cannot tell enough."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from ..stores.object_file import Damaged
from ..stores.protocol import DeviceVerbs, Place
from .calls import FAULTS, Calls, Dispose
from .layout import Target

T = TypeVar("T")

OnDamage = Callable[[Target, Damaged], None]


def quarantine(calls: Calls, store: str, place: Place) -> OnDamage:
    """What to do with damage: put it aside on its device, where its replicator will bring a copy of another's."""

    def put_aside(target: Target, damage: Damaged) -> None:
        calls.later(target.device.quarantine(store, place, damage.reason))

    return put_aside


class Asking(Generic[T]):
    """`take`: what is done with an answer, also None. `quorum`: after so many answers the others may take
    `Patience.linger_s` longer, and no more. `dispose`: of answers that come too late.
    """

    def __init__(
        self,
        calls: Calls,
        ask: Callable[[DeviceVerbs], Awaitable[T | None]],
        take: Callable[[Target, T | None], None],
        quorum: int,
        *,
        dispose: Dispose | None = None,
        on_damage: OnDamage | None = None,
    ) -> None:
        self._calls = calls
        self._ask, self._take, self._quorum = ask, take, quorum
        self._dispose, self._on_damage = dispose, on_damage
        self._running: dict[asyncio.Task[T | None], Target] = {}
        self.answered = 0

    async def one(self, target: Target) -> None:
        """Ask a single device, without a task of its own."""
        try:
            answer = await self._calls.timed(target, self._ask(target.device))
        except FAULTS as error:
            self._failed(target, error)
        else:
            self.answered += 1
            self._take(target, answer)

    async def round(
        self, targets: Sequence[Target], patience_s: float, is_enough: Callable[[], bool]
    ) -> None:
        """Ask them as well. Returns when it is enough, all have answered, or it takes too long."""
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
                    self.answered += 1
                    self._take(target, answer)
            if is_enough():
                return
            if not is_lingering and self.answered >= self._quorum:
                is_lingering = True
                deadline = min(deadline, clock() + self._calls.patience.linger_s)

    def _failed(self, target: Target, error: BaseException) -> None:
        if isinstance(error, Damaged) and self._on_damage is not None:
            self._on_damage(target, error)

    def leave(self) -> None:
        """Who has not answered yet is not waited for any more."""
        for task, target in self._running.items():
            self._calls.leave(target, task, self._dispose)
        self._running.clear()
