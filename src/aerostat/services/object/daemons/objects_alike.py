"""Whole objects: every holder of a partition has the newest of each name, and nobody else has anything.

A device that holds a partition compares digests of its suffixes with each other holder, and sends what that misses.
A device that does not, a handoff or a former holder, gives all it has to the holders; what all of them have it
forgets. Devices of one process do not send one thing twice: who compares with another does so alone. Nor do they
compare twice what one of them has found alike on all holders.
"""

import asyncio
from collections.abc import Sequence
from weakref import WeakValueDictionary

import structlog

from ..cluster.layout import Target
from ..stores.held import Held, policy_of
from ..stores.protocol import DeviceAway, Place
from .copying import SourceDamaged, copy_object
from .differences import Push, differing, forgettable, plan_objects
from .pace import Pace
from .station import FAULTS, Station
from .walking import Step

ALIKE_S = 60.0
"""What was found alike so long ago is compared anew."""

log = structlog.get_logger(__name__)


class ObjectsAlike:
    """The replicator's half for stores of objects."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._bytes = Pace(station.settings.copy_bytes_per_s)
        self._turns: WeakValueDictionary[tuple[str, str, int], asyncio.Lock] = WeakValueDictionary()
        self._alike: dict[tuple[str, str, int], float] = {}
        """Of a device of this process and a partition: until when it need not compare, once."""

    async def work(self, step: Step) -> None:
        """One partition. What others cannot be told now they are told in the next round."""
        try:
            layout = self._station.layout(step.store)
        except KeyError:
            step.progress.count("of unknown policies")
            return
        holders = layout.holders(step.part)
        others = [target for target in holders if target.key != step.key]
        is_whole = len(holders) == layout.holder_count(step.part)
        if any(target.key == step.key for target in holders):
            await self._as_holder(step, others)
            if step.progress.report.is_thorough and is_whole:
                await self._forget_deletions(step, others)
        else:
            await self._as_handoff(step, others, is_whole)

    async def _as_holder(self, step: Step, others: list[Target]) -> None:
        now_s = self._station.clock()
        if not others or self._alike.pop((step.key, step.store, step.part), now_s) > now_s:
            return
        mine = await step.device.digests(step.store, step.part)
        are_alike = True
        for target in others:
            try:
                async with self._turn(step, target):
                    theirs = await self._station.ask(target.device.digests(step.store, step.part))
                    are_alike &= mine == theirs
                    for suffix in differing(mine, theirs):
                        here = await step.device.held(step.store, step.part, suffix)
                        await self._bring_up(step, target, suffix, here)
            except FAULTS as error:
                step.progress.fail(error)
                are_alike = False
        for target in others if are_alike else ():
            if target.key in self._station.here:
                self._alike[target.key, step.store, step.part] = now_s + ALIKE_S

    def _turn(self, step: Step, target: Target) -> asyncio.Lock:
        return self._turns.setdefault((target.key, step.store, step.part), asyncio.Lock())

    async def _bring_up(self, step: Step, target: Target, suffix: str, here: Sequence[Held]) -> set[str]:
        """Let a holder have what it misses; answers the hashes that it has in the end, as new as here."""
        there = await self._station.ask(target.device.held(step.store, step.part, suffix))
        pushes = plan_objects(here, there, self._reclaim)
        failed = {push.held.hashed for push in pushes if not await self._push(step, target, push)}
        return {held.hashed for held in here} - failed

    async def _push(self, step: Step, target: Target, push: Push) -> bool:
        place = Place(step.part, push.held.hashed)
        policy = policy_of(step.store)
        try:
            sent = await copy_object(
                step.device, target.device, policy, place, self._bytes, whole=push.is_whole
            )
        except SourceDamaged:
            step.progress.count("quarantined")
            return False
        except DeviceAway:
            raise
        except FAULTS as error:
            step.progress.fail(error)
            return False
        step.progress.count("bytes", sent)
        step.progress.count("objects" if push.is_whole else "revisions")
        return True

    async def _as_handoff(self, step: Step, others: list[Target], is_whole: bool) -> None:
        """Give away what is here, suffix by suffix, and forget what every holder has."""
        for suffix in await step.device.digests(step.store, step.part):
            here = await step.device.held(step.store, step.part, suffix)
            everywhere = {held.hashed for held in here}
            for target in others:
                try:
                    async with self._turn(step, target):
                        everywhere &= await self._bring_up(step, target, suffix, here)
                except FAULTS as error:
                    step.progress.fail(error)
                    everywhere = set()
            if is_whole and others:
                for held in here:
                    if held.hashed in everywhere:
                        step.progress.count(
                            "given away", await step.device.forget(step.store, step.part, held)
                        )

    async def _forget_deletions(self, step: Step, others: list[Target]) -> None:
        for suffix in await step.device.digests(step.store, step.part):
            here = await step.device.held(step.store, step.part, suffix)
            if not forgettable(here, [], self._reclaim):
                continue
            try:
                there = [
                    await self._station.ask(target.device.held(step.store, step.part, suffix))
                    for target in others
                ]
            except FAULTS as error:
                step.progress.fail(error)
                continue
            for held in forgettable(here, there, self._reclaim):
                step.progress.count("forgotten", await step.device.forget(step.store, step.part, held))

    @property
    def _reclaim(self) -> int:
        return self._station.moment(self._station.reclaim_age_s)
