"""Round after round through the partitions of devices, a bounded amount at a time.

Where a device's round is stands in its progress, so that whoever goes on, after a pause or a kill, goes on there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

import structlog

from ..cluster.errors import DeviceFull, NoQuorum
from ..stores.device import LocalDevice
from ..stores.protocol import DeviceAway
from .progress import Progress
from .station import FAULTS, Station

log = structlog.get_logger(__name__)


class Step:
    """One partition of one store, and how its device's round is getting on."""

    def __init__(self, key: str, device: LocalDevice, store: str, part: int, progress: Progress) -> None:
        self.key, self.device, self.store, self.part = key, device, store, part
        self.progress = progress


class Walk:
    """`is_ours`: whether the daemon cares for a store. `work`: one step; what devices cannot do now is tried again
    in the next round. `ended`: a round is complete.
    """

    def __init__(
        self,
        station: Station,
        name: str,
        is_ours: Callable[[str], bool],
        work: Callable[[Step], Awaitable[None]],
        *,
        thorough_s: float = 0.0,
        ended: Callable[[str, LocalDevice, Progress], Awaitable[None]] | None = None,
    ) -> None:
        self._station = station
        self._name = name
        self._is_ours = is_ours
        self._work = work
        self._thorough_s = thorough_s
        self._ended = ended
        self._progress: dict[str, Progress] = {}

    async def progress(self, key: str) -> Progress:
        """Of a device; from its disk, the first time."""
        if key not in self._progress:
            root = self._station.here[key].root
            self._progress[key] = await asyncio.to_thread(Progress, root, self._name, key)
        return self._progress[key]

    async def pass_once(self) -> bool:
        """All devices side by side, each for `pass_s`. True when all are at the end of a round, or away."""
        for gone in self._progress.keys() - self._station.here.keys():
            del self._progress[gone]
        async with asyncio.TaskGroup() as group:
            here = list(self._station.here.items())
            rounds = [group.create_task(self._device(key, device)) for key, device in here]
        return all(task.result() for task in rounds)

    async def _device(self, key: str, device: LocalDevice) -> bool:
        until_s = time.monotonic() + self._station.settings.pass_s
        try:
            status = await device.status()
            progress = await self.progress(key)
            progress.begin(self._station.clock(), self._thorough_s)
            for store in behind(sorted(filter(self._is_ours, status.stores)), progress.report.position):
                for part in await device.partitions(store):
                    if f"{store}/{part:010d}" <= progress.report.position:
                        continue
                    if time.monotonic() >= until_s:
                        await progress.save(now=True)
                        return False
                    await self._step(Step(key, device, store, part, progress))
            if self._ended is not None:
                await self._ended(key, device, progress)
            progress.end(self._station.clock())
            await progress.save(now=True)
        except (DeviceAway, OSError) as error:
            log.warning("device_is_away", device=key, daemon=self._name, why=str(error))
        return True

    async def _step(self, step: Step) -> None:
        progress = step.progress
        try:
            await self._work(step)
        except DeviceAway:
            raise
        except (NoQuorum, DeviceFull, *FAULTS) as error:
            progress.fail(error)
            log.warning("step_failed", daemon=self._name, device=step.key, store=step.store, part=step.part)
        progress.count("partitions")
        progress.report.position = f"{step.store}/{step.part:010d}"
        await progress.save()


def behind(stores: Sequence[str], position: str) -> Iterator[str]:
    """Those that are not done yet."""
    done = position.partition("/")[0]
    return (store for store in stores if store >= done)
