"""Fragments of erasure-coded objects: those that are missed are rebuilt from the others, misplaced ones are moved.

https://docs.openstack.org/swift/latest/overview_erasure_code.html
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from weakref import WeakValueDictionary

import msgspec
import structlog

from ..cluster.coding import Code, code_of
from ..cluster.errors import NoQuorum
from ..cluster.layout import Layout, Target
from ..cluster.quorum import erasure_quorum
from ..stores.device import LocalDevice
from ..stores.held import Held, fragments_of, policy_of
from ..stores.object_file import Facts, Geometry
from ..stores.opened import Superseded
from ..stores.protocol import DeviceVerbs, OpenFragment, OpenObject, Place
from .copying import SourceDamaged, checked
from .differences import differing
from .fragments_plan import (
    Action,
    Bury,
    Forget,
    MakeDurable,
    Move,
    Rebuild,
    Revise,
    Situation,
    plan_fragments,
)
from .mending import Pauses
from .pace import Pace
from .progress import Progress
from .station import FAULTS, Station
from .walking import Step, Walk

log = structlog.get_logger(__name__)

NAME = "reconstructor"
SETTLED_S = 120.0
"""What was begun less than so long ago may be being written."""


class Reconstructor:
    """Goes round the fragments of its devices."""

    name = NAME

    def __init__(self, station: Station) -> None:
        self._station = station
        self._bytes = Pace(station.settings.copy_bytes_per_s)
        self._pace = Pace(station.settings.parts_per_s)
        self._turns: WeakValueDictionary[tuple[str, int], asyncio.Lock] = WeakValueDictionary()
        self._walk = Walk(
            station,
            NAME,
            lambda store: store.startswith("fragments"),
            self._work,
            thorough_s=station.settings.thorough_s,
            ended=self._mend,
        )
        self._pauses = Pauses(station)

    async def pass_once(self) -> bool:
        """Some partitions of each device; True when all are at the end of a round."""
        return await self._walk.pass_once()

    async def _work(self, step: Step) -> None:
        await self._pace.spend()
        try:
            layout = self._station.layout(step.store)
        except KeyError:
            step.progress.count("of unknown policies")
            return
        turn = self._turns.setdefault((step.store, step.part), asyncio.Lock())
        async with turn:
            holders = [target for target in layout.holders(step.part) if target.key != step.key]
            is_holder = len(holders) < len(layout.holders(step.part))
            for suffix in await self._suffixes(step, holders, is_holder):
                await self._suffix(step, layout, holders, suffix)

    async def _mend(self, key: str, device: LocalDevice, progress: Progress) -> None:
        """What is wounded here is made anew, from whatever devices have each segment: also where nobody has a whole
        fragment, and so nobody misses one.
        """
        wounded = await device.wounded_fragments()
        for policy, part, held in wounded:
            if held.fragment is None or not self._pauses.is_due((key, policy, held)):
                continue
            step, place = Step(key, device, fragments_of(policy), part, progress), Place(part, held.hashed)
            try:
                coded = self._station.cluster.policies.get(policy)
                code = code_of(coded.ec_data, coded.ec_parity)
                with contextlib.suppress(Superseded):
                    await self._rebuild(step, device, place, code, held.timestamp, held.fragment)
            except (NoQuorum, SourceDamaged, KeyError, *FAULTS) as error:
                progress.fail(error)
                self._pauses.wait((key, policy, held))
        self._pauses.keep(key, {(key, policy, held) for policy, _, held in wounded})

    async def _suffixes(self, step: Step, holders: Sequence[Target], is_holder: bool) -> Iterable[str]:
        """Those in which something may be to be done."""
        mine = await step.device.digests(step.store, step.part)
        if not is_holder or step.progress.report.is_thorough:
            return mine
        found: set[str] = set()
        for target in holders:
            try:
                theirs = await self._station.ask(target.device.digests(step.store, step.part))
            except FAULTS as error:
                step.progress.fail(error)
                continue
            found.update(differing(mine, theirs))
        return sorted(found)

    async def _suffix(self, step: Step, layout: Layout, holders: Sequence[Target], suffix: str) -> None:
        here = {step.key: _by_hash(await step.device.held(step.store, step.part, suffix))}
        targets: dict[str, DeviceVerbs] = {step.key: step.device}
        for target in holders:
            try:
                held = await self._station.ask(target.device.held(step.store, step.part, suffix))
            except FAULTS as error:
                step.progress.fail(error)
                continue
            here[target.key] = _by_hash(held)
            targets[target.key] = target.device
        policy = self._station.cluster.policies.get(policy_of(step.store))
        slots = [layout.ring.devices[id].key for id in layout.ring.ids(step.part)]
        for hashed in here[step.key]:
            now = Situation(
                me=step.key,
                slots=slots,
                here={key: held.get(hashed, ()) for key, held in here.items()},
                quorum=erasure_quorum(policy.ec_data, policy.ec_parity),
                settled=self._station.moment(SETTLED_S),
                reclaim=self._station.moment(self._station.reclaim_age_s),
            )
            place = Place(step.part, hashed)
            code = code_of(policy.ec_data, policy.ec_parity)
            has_failed = False
            for action in plan_fragments(now):
                if has_failed and isinstance(action, Forget):
                    continue  # what could not be made elsewhere may need it
                try:
                    await self._do(step, targets, place, code, action)
                except (NoQuorum, SourceDamaged, *FAULTS) as error:
                    step.progress.fail(error)
                    has_failed = True  # one that is full is no reason not to mend another

    async def _do(
        self, step: Step, targets: dict[str, DeviceVerbs], place: Place, code: Code, action: Action
    ) -> None:
        policy = policy_of(step.store)
        with contextlib.suppress(Superseded):
            match action:
                case Forget(held):
                    step.progress.count("forgotten", await step.device.forget(step.store, step.part, held))
                case MakeDurable(key, at):
                    await self._station.ask(targets[key].make_durable(policy, place, at))
                    step.progress.count("made durable")
                case Bury(key, at):
                    if path := await _path(targets.values(), policy, place):
                        await self._station.ask(targets[key].delete_fragments(policy, place, path, at))
                        step.progress.count("deletions")
                case Move(key, held):
                    await self._move(step, targets[key], place, held)
                case Rebuild(key, at, index):
                    await self._rebuild(step, targets[key], place, code, at, index)
                case Revise(key):
                    found = await step.device.find_fragment(policy, place)
                    if found is not None:
                        await found.close()
                        await _revise(found, targets[key], policy, place)
                        step.progress.count("revisions")

    async def _move(self, step: Step, target: DeviceVerbs, place: Place, held: Held) -> None:
        policy = policy_of(step.store)
        assert held.fragment is not None
        found = await step.device.find_fragment(policy, place, (held.timestamp, held.fragment))
        if found is None:
            return
        facts = found.written
        try:
            writing = await target.begin_fragment(policy, place, facts.size)
            try:
                async for piece in checked(found, facts, self._bytes):
                    await writing.write(piece)
                await writing.commit(facts)
            finally:
                await writing.close()
            await target.make_durable(policy, place, facts.timestamp)
            await _revise(found, target, policy, place)
        except SourceDamaged as damage:
            await found.put_aside(str(damage))
            step.progress.count("quarantined")
            return
        finally:
            await found.close()
        step.progress.count("moved")
        step.progress.count("bytes", facts.size)
        await step.device.forget(step.store, step.part, held)

    async def _rebuild(
        self, step: Step, target: DeviceVerbs, place: Place, code: Code, at: int, index: int
    ) -> None:
        policy = policy_of(step.store)
        if not (path := await _path([step.device], policy, place)):
            return
        _, account, container, name = path.split("/", 3)
        found = await self._station.cluster.objects(policy).find(account, container, name)
        if found is None:
            return
        try:
            if found.written.timestamp != at or found.written.is_gone:
                return
            made = await self._write(step, found, target, place, code, index)
            await target.make_durable(policy, place, at)
            if found.revision is not None:
                with contextlib.suppress(Superseded):
                    await target.post_fragments(policy, place, found.revision)
        finally:
            await found.close()
        step.progress.count("rebuilt")
        step.progress.count("bytes", made.size)

    async def _write(
        self, step: Step, found: OpenObject, target: DeviceVerbs, place: Place, code: Code, index: int
    ) -> Facts:
        """A fragment of an object that is read from the others."""
        own = await step.device.find_fragment(policy_of(step.store), place)
        if own is None or own.written.geometry is None:
            raise SourceDamaged("our own fragment is gone")
        await own.close()
        segment_bytes, size = own.written.geometry.segment_bytes, found.written.size
        fragment_bytes = code.fragment_bytes(size, segment_bytes)
        digest = hashlib.md5(usedforsecurity=False)
        writing = await target.begin_fragment(policy_of(step.store), place, fragment_bytes)
        try:
            for start in range(0, size, segment_bytes):
                end = min(start + segment_bytes, size)
                await self._bytes.spend(end - start)
                segment = b"".join([piece async for piece in found.stream(start, end)])
                pieces = await asyncio.to_thread(code.encode, segment)
                digest.update(pieces[index])
                await writing.write(pieces[index])
            geometry = Geometry(
                data=code.data,
                parity=code.parity,
                segment_bytes=segment_bytes,
                size=size,
                checksum=digest.hexdigest(),
            )
            facts = msgspec.structs.replace(
                found.written, size=fragment_bytes, fragment=index, geometry=geometry
            )
            await writing.commit(facts)
        finally:
            await writing.close()
        return facts


async def _revise(found: OpenFragment, target: DeviceVerbs, policy: int, place: Place) -> None:
    if found.revision is not None:
        with contextlib.suppress(Superseded):
            await target.post_fragments(policy, place, found.revision)


async def _path(devices: Iterable[DeviceVerbs], policy: int, place: Place) -> str:
    """Whose fragments these are; empty when nobody can tell."""
    for device in devices:
        with contextlib.suppress(*FAULTS):
            if (found := await device.find_fragment(policy, place)) is not None:
                await found.close()
                return found.written.path
    return ""


def _by_hash(held: Sequence[Held]) -> dict[str, list[Held]]:
    found: dict[str, list[Held]] = {}
    for one in held:
        found.setdefault(one.hashed, []).append(one)
    return found
