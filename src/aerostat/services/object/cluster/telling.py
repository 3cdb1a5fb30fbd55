"""Writes: all holders are told at once, a handoff in the place of each that cannot be, until there is a quorum."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from ..stores.objects import Superseded
from ..stores.protocol import DeviceVerbs
from ..timestamp import Timestamp
from .calls import FAULTS, Calls, Dispose
from .errors import DeviceFull, NoQuorum
from .layout import Layout, Target
from .standing import FULL

T = TypeVar("T")


class Slot(NamedTuple):
    """One of those who are told. `number`: of the holder that it is, or stands in for."""

    target: Target
    number: int


class Told(Generic[T]):
    """What came of it. `newer`: the latest time of something that was there already, if there was. `blank`: devices
    that answered None: there is nothing there that could do it; that makes no quorum.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.answers: list[tuple[Slot, T]] = []
        self.blank: list[Target] = []
        self.newer: Timestamp | None = None
        self._superseded = 0
        self._full = 0

    @property
    def is_enough(self) -> bool:
        return len(self.answers) + self._superseded >= self.wanted

    def take(self, slot: Slot, task: "asyncio.Task[T | None]") -> bool:
        """What a call has ended with; False when the device could not do it. Raises what is no fault of a device."""
        try:
            return self.answered(slot, task.result())
        except Superseded as error:
            self.superseded(error)
            return True
        except FAULTS as error:
            self.failed(error)
            return False

    def answered(self, slot: Slot, answer: T | None) -> bool:
        if answer is None:
            self.blank.append(slot.target)
            return False
        self.answers.append((slot, answer))
        return True

    def superseded(self, error: Superseded) -> None:
        self._superseded += 1
        self.newer = max(self.newer or 0, error.timestamp)

    def failed(self, error: BaseException) -> None:
        self._full += isinstance(error, OSError) and error.errno in FULL

    def check(self, what: str) -> None:
        """It holds. Raises `Superseded`, `DeviceFull`, `NoQuorum`. One that has something newer counts for all: they
        will have it, and what was written is as if it had never been.
        """
        if self.is_enough and self.newer is not None:
            raise Superseded(self.newer)
        if len(self.answers) >= self.wanted:
            return
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
    holders: list[Target | None] = [*layout.holders(part)]
    if len(holders) == 1 == layout.holder_count(part) and (target := holders[0]) is not None:
        try:
            if told.answered(Slot(target, 0), await calls.timed(target, verb(target.device))):
                return told
        except Superseded as error:
            told.superseded(error)
            return told
        except FAULTS as error:
            told.failed(error)
        holders = []
    holders += [None] * (layout.holder_count(part) - len(holders))
    await spread(calls, told, holders, layout.handoffs(part), lambda device, _: verb(device), dispose=dispose)
    return told


async def spread(
    calls: Calls,
    told: Told[T],
    holders: Sequence[Target | None],
    handoffs: Iterable[Target],
    verb: Callable[[DeviceVerbs, int], Awaitable[T | None]],
    *,
    dispose: Dispose | None = None,
) -> None:
    """Let each holder do `verb` with its number, handoffs for those that are not there or cannot do it."""
    chosen, spares = _chosen(calls, holders, handoffs)

    def begin(slot: Slot) -> "asyncio.Task[T | None]":
        return calls.start(slot.target, verb(slot.target.device, slot.number))

    await gather(calls, told, {begin(slot): slot for slot in chosen}, spares, begin, dispose)


async def gather(
    calls: Calls,
    told: Told[T],
    running: "dict[asyncio.Task[T | None], Slot]",
    spares: Iterator[Target] = iter(()),
    begin: "Callable[[Slot], asyncio.Task[T | None]] | None" = None,
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
            missed = [slot.number for task in finished if not told.take(slot := running.pop(task), task)]
            if not finished and not told.is_enough:
                missed = [slot.number for slot in running.values()]
                _leave(calls, running, dispose)
                deadline = clock() + calls.patience.answer_s
            elif not finished:
                return
            if begin is not None:
                for number, target in zip(missed, spares, strict=False):
                    running[begin(Slot(target, number))] = Slot(target, number)
            if told.is_enough and not is_lingering:
                is_lingering = True
                deadline = clock() + calls.patience.linger_s
                _leave(calls, running, dispose, only_late=True)
    finally:
        _leave(calls, running, dispose)


def _chosen(
    calls: Calls, holders: Sequence[Target | None], handoffs: Iterable[Target]
) -> tuple[list[Slot], Iterator[Target]]:
    """Who is told first, and who then: holders in good standing, handoffs, and the others if there is nobody else."""
    is_good = calls.standings.is_for_writing
    good = {number: one for number, one in enumerate(holders) if one is not None and is_good(one)}
    if len(good) == len(holders):
        return [Slot(target, number) for number, target in good.items()], iter(handoffs)
    spares: list[Target] = []
    doubtful: list[Target] = []
    for target in handoffs:
        (spares if is_good(target) else doubtful).append(target)
    for number, holder in enumerate(holders):
        if number in good:
            continue
        if spares:
            good[number] = spares.pop(0)
            if holder is not None:
                doubtful.append(holder)
        elif holder is not None:
            good[number] = holder
        elif doubtful:
            good[number] = doubtful.pop(0)
    chosen = [Slot(target, number) for number, target in good.items()]
    return chosen, iter([*spares, *doubtful])


def _leave(
    calls: Calls,
    running: "dict[asyncio.Task[T | None], Slot]",
    dispose: Dispose | None,
    *,
    only_late: bool = False,
) -> None:
    for task, slot in list(running.items()):
        if only_late and not calls.standings.is_late(slot.target.key):
            continue
        del running[task]
        calls.leave(slot.target, task, dispose)
