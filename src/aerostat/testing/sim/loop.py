"""An event loop whose time is virtual and whose order of events comes from a seed.

Nothing waits: when nobody can go on, the clock jumps to the next timer. Of several callbacks that could run, a seeded
random one does, so that every order which some machine might show comes up sooner or later. There are no sockets and
no threads; whoever asks for a thread gets the work done on the spot.

Each callback belongs to a `Process` (a context variable, inherited by everything that a process begins). A process
that is killed is never run again: its callbacks are thrown away where they stand, without an exception, without
`finally`, as SIGKILL would leave them.
"""

import asyncio
import contextvars
import heapq
import random
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack

from aerostat.kernel.clock import clock

if TYPE_CHECKING:
    from asyncio import SelectorEventLoop as Loop
else:
    # Abstract in all that nobody here may ask for: sockets, pipes, signals, child processes.
    from asyncio import AbstractEventLoop as Loop

Result = TypeVar("Result")
Args = TypeVarTuple("Args")

EPOCH = datetime(2030, 1, 1)
MOST_STEPS_AT_ONCE = 100_000

Exploded = Callable[[dict[str, Any]], None]


class Process:
    """One incarnation of a process of the cloud. `dies_after` steps of its own it is killed, if that is set; until
    `stopped_until_s` it does not run, as after SIGSTOP.
    """

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.alive = True
        self.steps = 0
        self._still_at = 0
        self.dies_after: int | None = None
        self.stopped_until_s = 0.0
        self.gone = asyncio.Event()

    def __repr__(self) -> str:
        return f"{self.name}#{self.number}"

    @property
    def worker(self) -> str:
        """The name under which it holds leases: never used again."""
        return f"{self.name}.{self.number}"

    def context(self) -> contextvars.Context:
        """An empty context that belongs to this process."""
        context = contextvars.Context()
        context.run(PROCESS.set, self)
        return context


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)
"""Whose code runs; None is the world outside: users, wires, misfortune."""


class _Step(asyncio.TimerHandle):
    __slots__ = ("process",)

    def __init__(
        self,
        when: float,
        callback: Callable[..., Any],
        args: Any,
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self.process = context.get(PROCESS)


class VirtualLoop(Loop):
    """See the module. `on_death` is called when a process reaches its `dies_after`."""

    def __init__(self, rng: random.Random, start_s: float = 0.0) -> None:
        self._rng = rng
        self._now_s = start_s
        self.clock_ahead_s = 0.0
        self._ready: list[_Step] = []
        self._timers: list[tuple[float, int, _Step]] = []
        self._timer_number = 0
        self.steps = 0
        self._still_at = 0
        # Kept for as long as the loop: what is thrown away half done must not be tidied up by the interpreter.
        self.tasks: list[asyncio.Task[Any]] = []
        self.on_death: Callable[[Process], None] = lambda process: None
        self.on_explosion: Exploded = lambda context: None
        self._running = False

    # Time

    def time(self) -> float:
        return self._now_s

    def _jump(self, to_s: float) -> None:
        self._now_s = to_s
        self._still_at = self.steps
        clock.stop(EPOCH + timedelta(seconds=to_s + self.clock_ahead_s))

    def set_clock(self, by_s: float) -> None:
        """Set what clocks show; what is waited for does not come sooner or later for it."""
        self.clock_ahead_s += by_s
        clock.put(by_s)

    # Running

    def run_until_complete(self, future: Any) -> Any:
        task = self.spawn(None, future, "the world") if asyncio.iscoroutine(future) else future
        asyncio._set_running_loop(self)
        self._running = True
        self._jump(self._now_s)
        try:
            while not task.done():
                self._run_one()
        finally:
            self._running = False
            asyncio._set_running_loop(None)
        return task.result()

    def _run_one(self) -> None:
        ready, timers = self._ready, self._timers
        while not ready:
            if not timers:
                raise RuntimeError("deadlock: nobody can go on and nobody waits for a time")
            if timers[0][0] > self._now_s:
                self._jump(timers[0][0])
            while timers and timers[0][0] <= self._now_s:
                step = heapq.heappop(timers)[2]
                if not step.cancelled():
                    ready.append(step)
        place = int(self._rng.random() * len(ready))
        step = ready[place]
        ready[place] = ready[-1]
        ready.pop()
        process = step.process
        if step.cancelled() or (process is not None and not process.alive):
            return
        if process is not None and process.stopped_until_s > self._now_s:
            self._push(process.stopped_until_s, step)
            return
        self.steps += 1
        if self.steps > self._still_at + MOST_STEPS_AT_ONCE:
            raise RuntimeError(
                f"{MOST_STEPS_AT_ONCE} steps and no time has passed; it is the turn of {step!r}"
            )
        step._run()
        if process is not None:
            process.steps += 1
            if process.dies_after is not None and process.steps >= process.dies_after and process.alive:
                process.dies_after = None
                self.on_death(process)

    # What asyncio asks of a loop

    def call_soon(
        self,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        step = _Step(self._now_s, callback, args, self, context or contextvars.copy_context())
        self._ready.append(step)
        return step

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now_s + max(0.0, delay), callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        step = _Step(when, callback, args, self, context or contextvars.copy_context())
        self._push(when, step)
        return step

    def _push(self, when: float, step: _Step) -> None:
        self._timer_number += 1
        heapq.heappush(self._timers, (when, self._timer_number, step))

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is skipped when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: object = None, context: contextvars.Context | None = None
    ) -> Any:
        if context is not None and PROCESS not in context:
            context.run(PROCESS.set, PROCESS.get())  # an empty context is still this process's
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, context=context, name=str(name or "task"))
        self.tasks.append(task)
        return task

    def spawn(self, process: Process | None, work: Coroutine[Any, Any, Any], name: str = "") -> Any:
        """A task of `process` (None: of the world)."""
        context = process.context() if process is not None else contextvars.Context()
        if process is None:
            context.run(PROCESS.set, None)
        return self.create_task(work, name=name, context=context)

    def run_in_executor(
        self, executor: Any, func: Callable[[Unpack[Args]], Result], *args: *Args
    ) -> asyncio.Future[Result]:
        future: asyncio.Future[Result] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.on_explosion(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return False
