"""All daemons of one process, each in a task of its own, as long as the process lives.

Several processes may have the same devices: one at a time cares for each, the one that holds its lock. When that ends,
however it ends, another takes over.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from ..cluster.cluster import Cluster
from ..http.request import Handler
from ..stores.device import LocalDevice
from ..stores.protocol import DeviceAway
from .auditor import Auditor
from .expirer import Expirer
from .presence import Presence
from .progress import FOLDER
from .reaper import Reaper
from .reconstructor import Reconstructor
from .replicator import Replicator
from .retelling import Retelling
from .settings import DaemonConfig
from .sharder import Sharder
from .station import Station
from .sums import SumsTeller
from .updater import Updater

log = structlog.get_logger(__name__)

LOCK_S = 10.0
"""Between looks whether a device's lock can be had, and signs of life."""
PAUSE_S = 0.05
"""Between passes of a round that is not at its end."""
FIRST_BACK_OFF_S = 1.0
LONGEST_BACK_OFF_S = 300.0


class Daemon(Protocol):
    name: str

    async def pass_once(self) -> bool:
        """A bounded amount of work. True when a round is complete, and the next may wait."""


DAEMONS: tuple[Callable[[Station], Daemon], ...] = (
    Retelling,
    Updater,
    Replicator,
    Reconstructor,
    SumsTeller,
    Expirer,
    Reaper,
    Sharder,
    Auditor,
)


class Rounds:
    """`devices`: of this process, by key; there may come more. `cluster`, `core`: see `Station`.
    `more`: daemons that are there for some settings only.
    """

    def __init__(
        self,
        cluster: Callable[[], Cluster],
        devices: Mapping[str, LocalDevice],
        settings: DaemonConfig,
        *,
        reclaim_age_s: float,
        core: Handler | None = None,
        more: Sequence[Callable[[Station], Daemon]] = (),
    ) -> None:
        self._devices = devices
        self._settings = settings
        self._here: dict[str, LocalDevice] = {}
        self._locks: dict[str, int] = {}
        self._present: dict[str, Presence] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._has_looked = asyncio.Event()
        station = Station(cluster, self._here, settings, reclaim_age_s=reclaim_age_s, core=core)
        self.daemons = {daemon.name: daemon for daemon in (make(station) for make in (*DAEMONS, *more))}

    def start(self) -> None:
        """Care for the devices from now on."""
        self._tasks.append(asyncio.create_task(self._keep_locks()))
        if not self._settings.enabled:
            return
        for name, daemon in self.daemons.items():
            if name not in self._settings.off:
                self._tasks.append(asyncio.create_task(self._run(daemon)))

    async def stop(self) -> None:
        """End well: before the devices are closed. What is under way is broken off; it goes on where it was."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._here.clear()
        for fd in self._locks.values():
            os.close(fd)
        self._locks.clear()

    def leave(self) -> None:
        """After the devices were closed: this process has nothing to do with them any more."""
        for presence in self._present.values():
            presence.leave()
        self._present.clear()

    async def _run(self, daemon: Daemon) -> None:
        interval_s = float(getattr(self._settings.interval_s, daemon.name))
        back_off_s = FIRST_BACK_OFF_S
        await self._has_looked.wait()
        while True:
            try:
                is_done = await daemon.pass_once()
            except Exception:
                log.exception("daemon_failed", daemon=daemon.name, again_in_s=back_off_s)
                await asyncio.sleep(back_off_s)
                back_off_s = min(2 * back_off_s, LONGEST_BACK_OFF_S)
                continue
            back_off_s = FIRST_BACK_OFF_S
            await asyncio.sleep(interval_s if is_done else PAUSE_S)

    # Devices

    async def _keep_locks(self) -> None:
        while True:
            devices = dict(self._devices)
            are_there = await asyncio.gather(*(self._is_there(device) for device in devices.values()))
            there = {
                key: device
                for (key, device), is_there in zip(devices.items(), are_there, strict=True)
                if is_there
            }
            await asyncio.to_thread(self._look_after_locks, there)
            self._has_looked.set()
            await asyncio.sleep(LOCK_S)

    async def _is_there(self, device: LocalDevice) -> bool:
        """An empty folder in the place of a disk is left alone: what we wrote there would be hidden by the disk."""
        try:
            async with asyncio.timeout(self._settings.answer_s):
                await device.status()
        except (DeviceAway, OSError):
            return False
        return True

    def _look_after_locks(self, devices: Mapping[str, LocalDevice]) -> None:
        """Show that we live, and take what nobody else cares for. Blocks."""
        for key, device in devices.items():
            try:
                if key not in self._present:
                    self._present[key] = Presence(device.root)
                self._present[key].touch()
                if key not in self._locks:
                    self._lock(key, device)
            except OSError as error:
                log.warning("device_is_away", device=key, why=str(error))

    def _lock(self, key: str, device: LocalDevice) -> None:
        fd = os.open(device.root / FOLDER / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, fd)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stack.pop_all()
                self._locks[key] = fd
                self._here[key] = device
