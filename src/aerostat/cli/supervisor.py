"""The process behind `up`: holds the state folder, keeps the cloud running, answers on the control socket.

It reports its progress as plain dictionaries: `{"step": …}` while it starts, then `{"ready": facts}` or
`{"failed": reason}`, once. What the processes found out about the machine comes from their ready files
(`serve.py`).
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import msgspec

from aerostat.cli import parts
from aerostat.cli.confinement import Confined, confine
from aerostat.cli.control import Answer, ControlServer
from aerostat.cli.guests import shut_down_guests
from aerostat.kernel import log
from aerostat.kernel.config import Config
from aerostat.kernel.state_folder import Lock
from aerostat.kernel.supervise import ChildStatus, Supervisor, SupervisorError, end_leftovers

Report = Callable[[dict[str, Any]], None]

logger = log.get_logger(__name__)


class CloudSupervisor:
    """One run of a cloud, from start to stop."""

    def __init__(self, config: Config, *, fake: bool, report: Report) -> None:
        self._config = config
        self._fake = fake
        self._report = report
        self._stop = asyncio.Event()
        self._state = "starting"
        self._began_at = time.time()
        self._supervisor: Supervisor | None = None
        self._confined: Confined | None = None

    async def run(self, lock: Lock) -> None:
        """Start everything, wait to be told to stop, stop everything. The caller made `lock`; it is
        released.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        lock.record_pid()
        answers = {"status": self._answer_status, "stop": self._answer_stop}
        try:
            async with ControlServer(self._config.folder, answers):
                try:
                    await self._start()
                    await self._stop.wait()
                finally:
                    self._state = "stopping"
                    await self._end()
        finally:
            lock.release()

    async def _start(self) -> None:
        logger.info("cloud.starting", fake=self._fake, prefix=self._config.folder.prefix)
        try:
            if not self._fake:
                self._confined = await asyncio.to_thread(confine, self._config)
                logger.info("control.user", **self._confined.user.facts())
            children = await parts.children(self._config, self._confined)
            self._supervisor = Supervisor(children, self._config.state, self._on_change)
            await _unless(self._stop, self._supervisor.start())
        except (SupervisorError, parts.PartError) as error:
            logger.error("cloud.failed", reason=str(error))
            self._report({"failed": str(error)})
            self._stop.set()
            return
        if self._stop.is_set():
            self._report({"failed": "it was told to stop before it was ready"})
            return
        self._state = "running"
        facts = self._facts()
        logger.info("cloud.ready", seconds=round(time.time() - self._began_at, 2), **facts)
        self._report({"ready": facts})

    async def _end(self) -> None:
        logger.info("cloud.stopping")
        if self._supervisor is not None:
            await self._supervisor.stop()
        await remove_everything(self._config)
        logger.info("cloud.stopped")

    def _on_change(self, status: ChildStatus) -> None:
        logger.info("process." + status.state, child=status.name, child_pid=status.pid, exit=status.last_exit)
        self._report({"step": status.name, "state": status.state})

    async def _answer_status(self) -> Answer:
        children = self._supervisor.status() if self._supervisor else []
        return {
            "state": self._state,
            "pid": os.getpid(),
            "fake": self._fake,
            "began_at": self._began_at,
            "processes": [msgspec.to_builtins(child) for child in children],
            "facts": self._facts(),
        }

    def _facts(self) -> dict[str, Any]:
        own = self._confined.user.facts() if self._confined else {}
        return {**parts.read_facts(self._config.folder), **own}

    async def _answer_stop(self) -> Answer:
        self._stop.set()
        return {"stopping": True}


async def remove_everything(config: Config) -> None:
    """Guests, namespaces and sockets of a cloud whose processes have ended. A repeat does nothing.

    The order matters: guests first, for they hold taps in the namespaces.
    """
    await shut_down_guests(config.folder)
    await parts.remove_network(config)
    parts.remove_runtime_files(config.folder)


async def stop_orphans(config: Config) -> None:
    """End what a supervisor that was killed left behind. The caller holds the folder's lock."""
    await end_leftovers(config.state)
    await remove_everything(config)


async def _unless(stop: asyncio.Event, work: Any) -> None:
    """Wait for `work`, or cancel it when `stop` comes first. Raises what `work` raised."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return
    await task
