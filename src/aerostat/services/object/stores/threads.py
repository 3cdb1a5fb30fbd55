"""Threads of a device, for work that blocks, called from an event loop.

A small PUT costs about as much as two passes through `concurrent.futures`: each wakes a second thread for nothing and
makes two futures with their locks. Here the thread that was busy last gets the work from hand to hand, and the caller
waits on one future of its own loop. `docs/decisions/0016-threads-of-a-device.md` has the figures.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
Dispose = Callable[[Any], None]


class _Job(NamedTuple):
    work: Callable[[], Any]
    future: "asyncio.Future[Any]"
    dispose: Dispose | None


class Threads:
    """At most `most` of them, made when they are needed, until `close`."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._lock = threading.Lock()
        self._all: list[_Thread] = []
        self._idle: list[_Thread] = []
        self._waiting: deque[_Job] = deque()
        self._is_closed = False

    def run(self, work: Callable[[], T], dispose: Callable[[T], None] | None = None) -> "asyncio.Future[T]":
        """What `work` answers or raises. Work that has begun goes on when nobody waits for it any more: `dispose` gets
        its answer, in any thread. Raises RuntimeError after `close`.
        """
        job = _Job(work, asyncio.get_running_loop().create_future(), dispose)
        with self._lock:
            if self._is_closed:
                raise RuntimeError(f"{self._name} is closed")
            if self._idle:
                self._idle.pop().hand(job)
            elif len(self._all) < self._most:
                thread = _Thread(f"{self._name}-{len(self._all)}", self._next)
                self._all.append(thread)
                thread.hand(job)
                thread.start()
            else:
                self._waiting.append(job)
        return job.future

    def _next(self, thread: "_Thread") -> None:
        """The thread has nothing to do: it gets what waits, or is called when something comes."""
        with self._lock:
            if self._waiting:
                thread.hand(self._waiting.popleft())
            elif self._is_closed:
                thread.hand(None)
            else:
                self._idle.append(thread)

    def close(self) -> None:
        """Blocks until all work is done that was given."""
        with self._lock:
            self._is_closed = True
            for thread in self._idle:
                thread.hand(None)
            self._idle.clear()
        for thread in self._all:
            thread.join()


class _Thread(threading.Thread):
    """A daemon: a process may end without it, as it may be killed at any line."""

    def __init__(self, name: str, next_job: Callable[["_Thread"], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._next_job = next_job
        self._job: _Job | None = None
        self._has_job = threading.Lock()
        self._has_job.acquire()

    def hand(self, job: _Job | None) -> None:
        """None: there will be no more."""
        self._job = job
        self._has_job.release()

    def run(self) -> None:
        while True:
            self._has_job.acquire()
            job, self._job = self._job, None
            if job is None:
                return
            if job.future.cancelled():
                self._next_job(self)
                continue
            answer, error = None, None
            try:
                answer = job.work()
            except BaseException as raised:  # told to whoever waits
                error = raised
            # Before it is told: who hears it may have more work at once, and need not wake another for it.
            self._next_job(self)
            _tell(job, answer, error)
            del job, answer, error  # what they hold is not held while nothing is to do


def _tell(job: _Job, answer: Any, error: BaseException | None) -> None:
    try:
        job.future.get_loop().call_soon_threadsafe(_settle, job, answer, error)
    except RuntimeError:  # the loop is closed: nobody waits
        _dispose(job, answer)


def _settle(job: _Job, answer: Any, error: BaseException | None) -> None:
    if job.future.cancelled():
        _dispose(job, answer)
    elif error is None:
        job.future.set_result(answer)
    else:
        job.future.set_exception(error)


def _dispose(job: _Job, answer: Any) -> None:
    if job.dispose is not None and answer is not None:
        job.dispose(answer)
