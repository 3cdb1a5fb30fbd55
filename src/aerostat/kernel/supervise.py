"""The supervisor: keeps the daemons of one cloud running, in order, and remembers them across its own death.

What happens after the supervisor itself was killed (`kill -9`): every child was written to `children.json`
with pid and start time *before* it was let go (it waits on a pipe until then), so the next supervisor knows
exactly what is left. Children marked `adopt` (databases and switches, whose interruption guests would notice)
are taken over if they were started with the very same command; all others are ended and started afresh, since
their code, settings and sockets may have changed. Only these recorded processes are ever signalled, one by
one and never by group or session: guests are children of children, and must outlive both.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from aerostat.kernel.clock import now
from aerostat.kernel.processes import Process, boot_id

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 15.0
STEADY_AFTER_S = 30.0
READY_POLL_S = 0.03
LONGEST_LOG_BYTES = 32 * 1024 * 1024

# Holds a new child until its pid is on disk: without the line (supervisor dead) it ends, nothing was started.
_HOLD = 'read -r go && exec "$@" </dev/null'


class SupervisorError(Exception):
    """The supervisor cannot do what was asked: a second one runs, a child does not start."""


@dataclass(frozen=True, kw_only=True)
class Child:
    """One daemon that stays in the foreground.

    `after` names the children that must be ready first; None means «the one added before me».
    `prepare` runs before each start (create files), `ready` is asked until it returns True (an OSError counts
    as «not yet»; None: ready at once), `settle` runs after it was ready (sets the daemon up, idempotent:
    an adopted daemon is settled again). Children that wait for this one wait for `settle` as well.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None
    cwd: str = "/"
    namespace: str | None = None
    after: Sequence[str] | None = None
    prepare: Callable[[], Awaitable[None]] | None = None
    ready: Callable[[], Awaitable[bool]] | None = None
    settle: Callable[[], Awaitable[None]] | None = None
    ready_timeout_s: float = 30.0
    stop_signal: int = signal.SIGTERM
    stop_timeout_s: float = 10.0
    restart: bool = True
    adopt: bool = False

    def command(self) -> list[str]:
        """The argv that is really run."""
        if self.namespace is None:
            return list(self.argv)
        return ["nsenter", f"--net=/run/netns/{self.namespace}", "--", *self.argv]

    def fingerprint(self) -> str:
        """Equal for equal commands: what decides whether a running process may be adopted as this child."""
        what = [self.command(), sorted((self.env or {}).items()), self.cwd]
        return hashlib.sha256(msgspec.json.encode(what)).hexdigest()[:16]


class ChildStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A child as seen; `state`: waiting, starting, running, backing_off, ended, stopping, stopped."""

    name: str
    state: str
    pid: int | None
    since_at: datetime
    restarts: int
    last_exit: str | None
    adopted: bool


class _Left(msgspec.Struct, frozen=True):
    """One line of `children.json`: enough to find, judge and end a child without knowing its `Child`."""

    status: ChildStatus
    start_ticks: int | None
    fingerprint: str
    stop_signal: int
    stop_timeout_s: float


class _Record(msgspec.Struct, frozen=True):
    boot_id: str
    supervisor_pid: int
    children: list[_Left]


class _Slot:
    """A child and what became of it."""

    def __init__(self, child: Child, after: Sequence[str]) -> None:
        self.child = child
        self.after = after
        self.state = "waiting"
        self.since_at = now()
        self.restarts = 0
        self.last_exit: str | None = None
        self.adopted = False
        self.process: Process | None = None
        self.popen: subprocess.Popen[bytes] | None = None
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stopped = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def status(self) -> ChildStatus:
        return ChildStatus(
            name=self.child.name,
            state=self.state,
            pid=self.process.pid if self.process else None,
            since_at=self.since_at,
            restarts=self.restarts,
            last_exit=self.last_exit,
            adopted=self.adopted,
        )


class Supervisor:
    """Starts children, keeps them, ends them. One per state folder, guarded by a lock file."""

    def __init__(
        self,
        children: Sequence[Child],
        state_dir: Path,
        on_change: Callable[[ChildStatus], None] | None = None,
    ) -> None:
        self._initial = children
        self._state_dir = state_dir
        self._on_change = on_change
        self._slots: dict[str, _Slot] = {}
        self._left: dict[str, _Left] = {}
        self._lock: IO[str] | None = None

    def log_path(self, name: str) -> Path:
        return self._state_dir / "log" / f"{name}.log"

    def status(self) -> list[ChildStatus]:
        """All children, in the order in which they were added."""
        return [slot.status() for slot in self._slots.values()]

    async def start(self) -> None:
        """Take over from a predecessor, start all children, return when all are ready.

        Raises SupervisorError if a supervisor runs here already or a child does not come up.
        Nothing is left running then.
        """
        (self._state_dir / "log").mkdir(parents=True, exist_ok=True)
        self._lock = lock_state(self._state_dir)
        wanted = {child.name: child.fingerprint() for child in self._initial if child.adopt}
        left = await end_leftovers(self._state_dir, keep=wanted)
        self._left = {one.status.name: one for one in left}
        try:
            slots = [self._place(child) for child in self._initial]
            await asyncio.gather(*(slot.started for slot in slots))
        except BaseException:
            await self.stop()
            raise

    async def add(self, child: Child) -> None:
        """Add a child to a running supervisor; returns when it is ready. The same name may be added once."""
        slot = self._place(child)
        try:
            await slot.started
        except BaseException:
            await self.remove(child.name)
            raise

    async def remove(self, name: str) -> None:
        """End a child and forget it; a repeat does nothing."""
        if slot := self._slots.get(name):
            await self._end(slot)
            self._slots.pop(name, None)
            self._write_record()

    async def stop(self) -> None:
        """End all children, those that others wait for last. A repeat does nothing."""
        await asyncio.gather(*(self._end_after_dependants(slot) for slot in self._slots.values()))
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _place(self, child: Child) -> _Slot:
        if child.name in self._slots:
            raise SupervisorError(f"child {child.name} is there already")
        after = child.after if child.after is not None else list(self._slots)[-1:]
        for name in after:
            if name not in self._slots:
                raise SupervisorError(f"child {child.name} waits for {name}, which nobody added before it")
        slot = self._slots[child.name] = _Slot(child, after)
        slot.started.add_done_callback(lambda future: future.cancelled() or future.exception())
        slot.task = asyncio.create_task(self._keep(slot), name=f"child {child.name}")
        return slot

    async def _keep(self, slot: _Slot) -> None:
        """The life of one child: start, watch, start again."""
        child, backoff_s = slot.child, FIRST_BACKOFF_S
        try:
            await asyncio.gather(*(self._slots[name].started for name in slot.after))
            while True:
                began_at = now()
                try:
                    await self._bring_up(slot)
                    if not slot.started.done():
                        slot.started.set_result(None)
                except Exception as error:
                    if not slot.started.done():
                        raise
                    slot.last_exit = str(error)
                else:
                    assert slot.process is not None
                    await slot.process.gone.wait()
                    slot.last_exit = self._reap(slot)
                if not child.restart:
                    self._move(slot, "ended")
                    return
                if (now() - began_at).total_seconds() > STEADY_AFTER_S:
                    backoff_s = FIRST_BACKOFF_S
                self._move(slot, "backing_off")
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, LONGEST_BACKOFF_S)
                slot.restarts += 1
        except asyncio.CancelledError:
            slot.started.cancel()
            raise
        except Exception as error:
            self._move(slot, "ended")
            slot.started.set_exception(error)

    async def _bring_up(self, slot: _Slot) -> None:
        """From nothing to ready and settled, or SupervisorError with nothing left running."""
        child = slot.child
        try:
            async with asyncio.timeout(child.ready_timeout_s):
                if not self._adopt(slot):
                    if child.prepare is not None:
                        await child.prepare()
                    self._launch(slot)
                await self._wait_ready(slot)
                if child.settle is not None:
                    await child.settle()
        except TimeoutError:
            await self._end_process(slot)
            raise SupervisorError(
                f"{child.name}: not ready after {child.ready_timeout_s:g} s{self._tail(slot)}"
            ) from None
        except BaseException:
            await self._end_process(slot)
            raise
        self._move(slot, "running")

    def _adopt(self, slot: _Slot) -> bool:
        left = self._left.pop(slot.child.name, None)
        if left is None or left.status.pid is None:
            return False
        slot.process = Process.find(left.status.pid, left.start_ticks)
        slot.adopted = slot.process is not None
        slot.restarts = left.status.restarts
        if slot.adopted:
            self._move(slot, "starting")
        return slot.adopted

    def _launch(self, slot: _Slot) -> None:
        child = slot.child
        path = self.log_path(child.name)
        if path.exists() and path.stat().st_size > LONGEST_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        with open(path, "ab", opener=_open_private) as log:
            try:
                slot.popen = subprocess.Popen(
                    ["/bin/sh", "-c", _HOLD, child.name, *child.command()],
                    env={**os.environ, **(child.env or {})},
                    cwd=child.cwd,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                raise SupervisorError(f"{child.name}: {error}") from error
        slot.process = Process.find(slot.popen.pid)
        slot.adopted = False
        self._move(slot, "starting")
        assert slot.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError), slot.popen.stdin as pipe:
            pipe.write(b"go\n")

    async def _wait_ready(self, slot: _Slot) -> None:
        child, process = slot.child, slot.process
        while True:
            if process is None or process.gone.is_set():
                raise SupervisorError(
                    f"{child.name}: {self._reap(slot)} before it was ready{self._tail(slot)}"
                )
            if child.ready is None:
                return
            try:
                if await child.ready():
                    return
            except OSError:
                pass  # a socket that is not there yet
            await process.wait_gone(READY_POLL_S)

    def _reap(self, slot: _Slot) -> str:
        """How the child ended, in words; frees what we held of it."""
        code = slot.popen.wait() if slot.popen is not None else None
        if slot.process is not None:
            slot.process.close()
        slot.process, slot.popen = None, None
        if code is None:
            return "ended (a predecessor's child: exit unknown)"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"

    async def _end_process(self, slot: _Slot) -> None:
        if slot.process is not None:
            await slot.process.end(slot.child.stop_signal, slot.child.stop_timeout_s)
            self._reap(slot)

    async def _end(self, slot: _Slot) -> None:
        self._move(slot, "stopping")
        if slot.task is not None:
            slot.task.cancel()
            await asyncio.wait([slot.task])
        await self._end_process(slot)
        self._move(slot, "stopped")
        slot.stopped.set()

    async def _end_after_dependants(self, slot: _Slot) -> None:
        dependants = [one for one in self._slots.values() if slot.child.name in one.after]
        for one in dependants:
            await one.stopped.wait()
        if not slot.stopped.is_set():
            await self._end(slot)

    def _tail(self, slot: _Slot) -> str:
        """The last lines of the child's log, for the reader of an error."""
        with contextlib.suppress(OSError):
            lines = self.log_path(slot.child.name).read_bytes()[-2000:].decode(errors="replace").splitlines()
            if lines:
                return "; its last words: " + " | ".join(lines[-3:])
        return ""

    def _move(self, slot: _Slot, state: str) -> None:
        slot.state, slot.since_at = state, now()
        try:
            self._write_record()
        except OSError:
            # Most likely the disk is full, which may pass. What starts must be in the record, or nobody could find
            # it after us; for the rest the last record does.
            if state == "starting":
                raise
        if self._on_change is not None:
            self._on_change(slot.status())

    def _write_record(self) -> None:
        """Every child with a process, ours or still to be adopted, goes into the record."""
        ours = [
            _Left(
                slot.status(),
                slot.process.start_ticks if slot.process else None,
                slot.child.fingerprint(),
                slot.child.stop_signal,
                slot.child.stop_timeout_s,
            )
            for slot in self._slots.values()
        ]
        record = _Record(boot_id(), os.getpid(), [*self._left.values(), *ours])
        path = self._state_dir / "children.json"
        fresh = path.with_suffix(".fresh")
        fresh.write_bytes(msgspec.json.encode(record))
        fresh.replace(path)


def _open_private(path: str, flags: int) -> int:
    """A log that its owner alone reads; a link in its place is not followed."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def lock_state(state_dir: Path) -> IO[str]:
    """Hold the folder's lock until the returned file is closed; SupervisorError if it is taken."""
    state_dir.mkdir(parents=True, exist_ok=True)
    lock = (state_dir / "supervisor.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise SupervisorError(f"a supervisor already runs in {state_dir}") from None
    return lock


def find_supervisor_pid(state_dir: Path) -> int | None:
    """The pid of the supervisor that runs in this folder, None if none does."""
    try:
        lock_state(state_dir).close()
    except SupervisorError:
        record = _read_record(state_dir)
        return record.supervisor_pid if record else None
    return None


def read_status(state_dir: Path) -> list[ChildStatus]:
    """The children as last recorded, for other processes to show; [] when nothing was ever started."""
    record = _read_record(state_dir)
    return [one.status for one in record.children] if record else []


async def end_leftovers(state_dir: Path, keep: Mapping[str, str] | None = None) -> list[_Left]:
    """End what a dead supervisor left running, last started first; the caller holds the lock.

    `keep` maps names to fingerprints: such children are left running and returned.
    """
    record = _read_record(state_dir)
    if record is None or record.boot_id != boot_id():
        return []
    kept: list[_Left] = []
    for left in reversed(record.children):
        if left.status.pid is None:
            continue
        if keep is not None and keep.get(left.status.name) == left.fingerprint:
            kept.append(left)
        elif process := Process.find(left.status.pid, left.start_ticks):
            await process.end(left.stop_signal, left.stop_timeout_s)
    return kept[::-1]


def _read_record(state_dir: Path) -> _Record | None:
    try:
        return msgspec.json.decode((state_dir / "children.json").read_bytes(), type=_Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
