"""`serve --workers N`: one listening socket, N processes that take connections from it.

The parent only keeps the socket and the children. A child that dies is started again, at growing distances; what it
had not yet taken from the socket the others take. All end when none can begin, or one not after several attempts.
SIGHUP replaces them one after another, each when its successor answers, so that new code or settings come into use
without a refused connection. SIGTERM ends all, after they have answered what they had accepted.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

from aerostat.cli import CommandError
from aerostat.cli.parts import own_environment, ready_file_of, write_ready
from aerostat.kernel import log
from aerostat.kernel.config import Config

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 15.0
READY_LIMIT_S = 60.0
END_LIMIT_S = 25.0
STEADY_AFTER_S = 30.0
MOST_BEGINNINGS = 5
"""Who has never been ready after so many attempts will not be."""

logger = log.get_logger(__name__)


def serve_in_workers(config: Config, process: str, roles: set[str], args: argparse.Namespace) -> int:
    """Keep `args.workers` processes on one port until told to end; returns the exit code."""
    from aerostat.app_http import listen

    try:
        listener = listen(config.kernel.listen_address, config.kernel.port)
    except OSError as error:
        raise CommandError(f"cannot listen on port {config.kernel.port}: {error.strerror}") from None
    words = ["serve", *(word for role in sorted(roles) for word in ("--role", role))]
    for name in ("state", "config"):
        if value := getattr(args, name):
            words += [f"--{name}", value]
    return Pool(config, process, words, listener, args.workers).keep()


class Pool:
    """`count` processes `aerostat WORDS --process NAME --listen-fd … --parent-fd …`. `beside`: further sockets on which
    all of them listen, by the option that tells them.
    """

    def __init__(
        self,
        config: Config,
        process: str,
        words: list[str],
        listener: socket.socket,
        count: int,
        beside: Mapping[str, socket.socket] | None = None,
    ) -> None:
        self._beside = beside or {}
        self._config = config
        self._process = process
        self._words = words
        self._listener = listener
        self._seats = [_Seat(number) for number in range(1, count + 1)]
        self._stopping = asyncio.Event()
        self._replacing: asyncio.Task[None] | None = None
        self._why = ""
        """What ended them all, in words."""
        self._alive_read, self._alive_write = os.pipe()  # closed when we die: the workers end as well

    def keep(self, parent_fd: int | None = None) -> int:
        """Until told to end, or `parent_fd` closes; answers the exit code. Raises `CommandError`: one never begins."""
        try:
            return asyncio.run(self.run(parent_fd))
        finally:
            ready_file_of(self._config.folder, self._process).unlink(missing_ok=True)

    async def run(self, parent_fd: int | None = None) -> int:
        loop = asyncio.get_running_loop()
        if parent_fd is not None:
            loop.add_reader(parent_fd, self._orphaned, parent_fd)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._begin_replacing)
        keepers = [asyncio.create_task(self._keep(seat)) for seat in self._seats]
        stopped = asyncio.create_task(self._stopping.wait())
        ready = asyncio.gather(*(seat.ready.wait() for seat in self._seats))
        beginning: list[asyncio.Future[Any]] = [stopped, ready, *keepers]
        await asyncio.wait(beginning, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            facts = {"workers": len(self._seats), "url": self._config.kernel.public_url}
            write_ready(self._config.folder, self._process, facts)
        await asyncio.wait([stopped, *keepers], return_when=asyncio.FIRST_COMPLETED)
        self._stopping.set()
        if self._replacing is not None:
            self._replacing.cancel()
        await asyncio.gather(*(self._end(seat) for seat in self._seats))
        codes = await asyncio.gather(*keepers)
        ready.cancel()
        await asyncio.wait([ready])
        with contextlib.suppress(asyncio.CancelledError):  # they ended before all of them were
            ready.result()
        if self._why:
            raise CommandError(self._why)
        return max(codes)

    def _orphaned(self, parent_fd: int) -> None:
        asyncio.get_running_loop().remove_reader(parent_fd)
        self._stopping.set()

    async def _keep(self, seat: "_Seat") -> int:
        """One worker after another; answers the exit code of one that could not even begin."""
        pause_s, beginnings = FIRST_PAUSE_S, 0
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began_s = loop.time()
            if seat.successor is not None:
                seat.child, seat.successor = seat.successor, None
            else:
                seat.child = await self._start(seat)
            code = await seat.child.wait()
            if self._stopping.is_set() or seat.successor is not None:
                continue
            if not seat.ready.is_set():
                beginnings += 1
                if code >= 0 and not any(one.ready.is_set() for one in self._seats):
                    return code or 1  # it has said what keeps them all from beginning
                if beginnings == MOST_BEGINNINGS:
                    self._why = f"worker {seat.number} {_ended(code)} {beginnings} times before it was ready"
                    return 1
            logger.warning("worker.ended", worker=seat.number, exit=code, again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            steady = loop.time() - began_s > STEADY_AFTER_S
            pause_s = FIRST_PAUSE_S if steady else min(2 * pause_s, LONGEST_PAUSE_S)
        return 0

    async def _start(self, seat: "_Seat") -> asyncio.subprocess.Process:
        seat.turns += 1
        name = f"{self._process}.{seat.number}{'ab'[seat.turns % 2]}"  # a worker and its successor differ
        ready_file = ready_file_of(self._config.folder, name)
        ready_file.unlink(missing_ok=True)
        handles = [
            self._listener.fileno(),
            self._alive_read,
            *(one.fileno() for one in self._beside.values()),
        ]
        told = [word for option, one in self._beside.items() for word in (option, str(one.fileno()))]
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "aerostat", *self._words, "--process", name),
            *("--listen-fd", str(handles[0]), "--parent-fd", str(handles[1]), *told),
            env=own_environment(),
            pass_fds=handles,
        )
        ended = asyncio.create_task(child.wait())
        # One that was killed leaves its file, and would be called missing although another has its seat.
        ended.add_done_callback(lambda _: ready_file.unlink(missing_ok=True))
        give_up_at = asyncio.get_running_loop().time() + READY_LIMIT_S
        while not (ready_file.exists() or ended.done() or self._stopping.is_set()):
            if asyncio.get_running_loop().time() > give_up_at:
                child.kill()
            await asyncio.wait([ended], timeout=0.05)
        if ready_file.exists():
            seat.ready.set()
        return child

    def _begin_replacing(self) -> None:
        if self._replacing is None or self._replacing.done():
            self._replacing = asyncio.create_task(self._replace())

    async def _replace(self) -> None:
        for seat in self._seats:
            successor = await self._start(seat)
            if successor.returncode is not None:
                logger.error("worker.successor_failed", worker=seat.number, exit=successor.returncode)
                return  # the old ones go on
            old, seat.successor = seat.child, successor
            if old is not None:
                await _end(old)
        logger.info("workers.replaced", count=len(self._seats))

    async def _end(self, seat: "_Seat") -> None:
        await asyncio.gather(*(_end(child) for child in (seat.child, seat.successor) if child is not None))


class _Seat:
    """A place for one worker, and who has it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.turns = 0
        self.child: asyncio.subprocess.Process | None = None
        self.successor: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()


def _ended(code: int) -> str:
    return f"ended with {code}" if code >= 0 else f"was killed ({signal.Signals(-code).name})"


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.terminate()
        try:
            await asyncio.wait_for(child.wait(), END_LIMIT_S)
        except TimeoutError:
            child.kill()
            await child.wait()
