"""Writes: all holders are told at once, a handoff in the place of each that cannot be, until there is a quorum."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

from ..stores.objects import Superseded
from ..stores.protocol import DeviceVerbs
from ..timestamp import Timestamp
from .calls import FAULTS, Calls, Dispose
from .errors import DeviceFull, NoQuorum
from .layout import Layout, Target
from .standing import FULL

T = TypeVar("T")


class Told(Generic[T]):
    """What came of it. `newer`: the latest time of something that was there already, if there was. `blank`: devices
    that answered None: there is nothing there that could do it; that makes no quorum.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.answers: list[tuple[Target, T]] = []
        self.blank: list[Target] = []
        self.newer: Timestamp | None = None
        self._superseded = 0
        self._full = 0

    @property
    def is_enough(self) -> bool:
        return len(self.answers) + self._superseded >= self.wanted

    def take(self, target: Target, task: "asyncio.Task[T | None]") -> bool:
        """What a call has ended with; False when the device could not do it. Raises what is no fault of a device."""
        try:
            return self.answered(target, task.result())
        except Superseded as error:
            self.superseded(error)
            return True
        except FAULTS as error:
            self.failed(error)
            return False

    def answered(self, target: Target, answer: T | None) -> bool:
        if answer is None:
            self.blank.append(target)
            return False
        self.answers.append((target, answer))
        return True

    def superseded(self, error: Superseded) -> None:
        self._superseded += 1
        self.newer = max(self.newer or 0, error.timestamp)

    def failed(self, error: BaseException) -> None:
        self._full += isinstance(error, OSError) and error.errno in FULL

    def check(self, what: str) -> None:
        """It holds. Raises `Superseded`, `DeviceFull`, `NoQuorum`."""
        if len(self.answers) >= self.wanted:
            return
        if self.is_enough and self.newer is not None:
            raise Superseded(self.newer)
        if len(self.answers) + self._full >= self.wanted:
            raise DeviceFull(what)
        raise NoQuorum(what, len(self.answers), self.wanted)

    def is_nowhere(self, layout: Layout, part: int) -> bool:
        """Nobody has it, and so many said so that it is known. Else see `check`."""
        if self.answers or self._superseded:
            return False
        holders = {target.key for target in layout.holders(part)}
        return sum(target.key in holders for target in self.blank) >= layout.read_quorum(part)


async def tell(
    calls: Calls,
    layout: Layout,
    part: int,
    verb: Callable[[DeviceVerbs], Awaitable[T | None]],
    *,
    dispose: Dispose | None = None,
) -> Told[T]:
    """Let the holders do `verb`, and handoffs for those that are away, full or slow, or have nothing to do it with
    (None). `dispose`: of answers that come when nobody waits for them any more. The caller says whether it is enough.
    """
    told: Told[T] = Told(layout.write_quorum(part))
    holders = layout.holders(part)
    if len(holders) == 1 and told.wanted == 1:
        target = holders[0]
        try:
            if told.answered(target, await calls.timed(target, verb(target.device))):
                return told
            holders = []
        except Superseded as error:
            told.superseded(error)
            return told
        except FAULTS as error:
            told.failed(error)
            holders = []
    chosen, spares = _chosen(calls, layout, part, holders)

    def begin(target: Target) -> "asyncio.Task[T | None]":
        return calls.start(target, verb(target.device))

    running = {begin(target): target for target in chosen}
    await gather(calls, told, running, ((begin(target), target) for target in spares), dispose)
    return told


async def gather(
    calls: Calls,
    told: Told[T],
    running: "dict[asyncio.Task[T | None], Target]",
    spares: "Iterator[tuple[asyncio.Task[T | None], Target]]",
    dispose: Dispose | None = None,
) -> None:
    """Wait until it is enough, and a little for the others; of those that fail, or are too slow, `spares` take the
    place. Who is still at it is left to it.
    """
    clock = calls.standings.clock
    deadline = clock() + calls.patience.answer_s
    is_lingering = False
    try:
        while running:
            finished, _ = await asyncio.wait(
                running, timeout=max(0.0, deadline - clock()), return_when=asyncio.FIRST_COMPLETED
            )
            missed = 0
            for task in finished:
                missed += not told.take(running.pop(task), task)
            if not finished and not told.is_enough:
                missed = len(running)
                _leave(calls, running, dispose)
                deadline = clock() + calls.patience.answer_s
            elif not finished:
                return
            running.update(islice(spares, missed))
            if told.is_enough and not is_lingering:
                is_lingering = True
                deadline = clock() + calls.patience.linger_s
                _leave(calls, running, dispose, only_late=True)
    finally:
        _leave(calls, running, dispose)


def _chosen(
    calls: Calls, layout: Layout, part: int, holders: list[Target]
) -> tuple[list[Target], Iterator[Target]]:
    """Who is told first, and who then: holders in good standing, handoffs, and the others if there is nobody else."""
    wanted = layout.holder_count(part)
    good = [target for target in holders if calls.standings.is_for_writing(target)]
    if len(good) == wanted:
        return good, layout.handoffs(part)
    doubtful = [target for target in holders if target not in good]
    for target in layout.handoffs(part):
        (good if calls.standings.is_for_writing(target) else doubtful).append(target)
    order = [*good, *doubtful]
    return order[:wanted], iter(order[wanted:])


def _leave(
    calls: Calls,
    running: "dict[asyncio.Task[T | None], Target]",
    dispose: Dispose | None,
    *,
    only_late: bool = False,
) -> None:
    for task, target in list(running.items()):
        if only_late and not calls.standings.is_late(target.key):
            continue
        del running[task]
        calls.leave(target, task, dispose)
