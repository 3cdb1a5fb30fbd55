"""Objects of an erasure-coded policy: fragments on as many devices as the code has, any `data` of which suffice."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..ring import Hasher
from ..stores.held import fragments_of
from ..stores.object_file import Facts, Revision
from ..stores.protocol import DeviceVerbs, ObjectWriting, OpenFragment, OpenObject, Place
from ..timestamp import Timestamp
from .asking import Asking, quarantine
from .calls import Calls, Dispose
from .coding import SEGMENT_BYTES, code_of
from .errors import NoQuorum
from .hearing import or_none
from .layout import Layout, Target
from .policies import Policy
from .quorum import erasure_quorum
from .replicated import age_of, close
from .striped_reading import Known, StripedObject, group_of, whole
from .striped_writing import StripedWriting, cut
from .survey import Survey
from .telling import Slot, Told, gather, spread, tell
from .writing import Lanes

T = TypeVar("T")


class ErasureCoded:
    """See `ObjectsOfPolicy`."""

    def __init__(self, policy: Policy, hasher: Hasher, layout: Layout, calls: Calls) -> None:
        self.index = policy.index
        self.layout = layout
        self._code = code_of(policy.ec_data, policy.ec_parity)
        self._quorum = erasure_quorum(policy.ec_data, policy.ec_parity)
        self._hasher = hasher
        self._calls = calls

    # Reading

    async def find(
        self, account: str, container: str, name: str, *, newest: bool = False
    ) -> OpenObject | None:
        place = self._place(account, container, name)
        survey = Survey(self._code.data)
        try:
            await self._ask(survey, place, f"/{account}/{container}/{name}", newest)
            found = await self._take(survey, place)
        except BaseException:
            for _, opened in survey.opened:
                self._calls.later(opened.close())
            raise
        return found

    async def _ask(self, survey: Survey, place: Place, what: str, newest: bool) -> None:
        """Raises `NoQuorum` when it is not known whether there is an object, or it cannot be read."""
        layout, patience = self.layout, self._calls.patience
        holder_count = layout.holder_count(place.part)
        wanted = max(1, holder_count - self._quorum + 1)
        asking: Asking[OpenFragment] = Asking(
            self._calls,
            lambda device: device.find_fragment(self.index, place),
            survey.take,
            wanted,
            dispose=close,
            on_damage=quarantine(self._calls, fragments_of(self.index), place),
        )

        def is_enough() -> bool:
            return not newest and survey.is_readable()

        try:
            holders = self._in_order(layout.holders(place.part))
            if not newest:
                first, holders = holders[: self._code.data], holders[self._code.data :]
                await asking.round(first, patience.hedge_s, is_enough)
            if not is_enough():
                await asking.round(holders, patience.answer_s, is_enough)
            answered = asking.answered
            is_sure = survey.is_readable() or (survey.is_gone() and answered >= holder_count)
            if newest or not is_sure:
                asking.leave()
                handoffs = list(layout.handoffs(place.part))
                is_known = survey.is_readable() and answered >= wanted
                await asking.round(handoffs, patience.linger_s if is_known else patience.answer_s, is_enough)
        finally:
            asking.leave()
        if survey.is_readable():
            return
        if answered < wanted:
            raise NoQuorum(what, answered, wanted)
        if survey.newest is not None and not survey.newest.is_gone:
            there = len(survey.sources(survey.newest.timestamp))
            raise NoQuorum(f"fragments of {what}", there, self._code.data)

    async def _take(self, survey: Survey, place: Place) -> OpenObject | None:
        """The object or the tombstone that counts; everything else that is open is closed."""
        newest = survey.newest
        tombstone: OpenFragment | None = None
        groups: defaultdict[tuple[str, int], dict[int, tuple[Target, OpenFragment]]] = defaultdict(dict)
        spare: list[OpenFragment] = []
        for target, opened in survey.opened:
            facts = opened.written
            if newest is None or facts.timestamp != newest.timestamp:
                spare.append(opened)
            elif facts.is_gone and tombstone is None:
                tombstone = opened
            elif facts.fragment is not None and facts.fragment not in groups[group_of(opened)]:
                groups[group_of(opened)][facts.fragment] = (target, opened)
            else:
                spare.append(opened)
        chosen = (
            max(groups.values(), key=len, default={}) if newest is not None and not newest.is_gone else {}
        )
        for group in groups.values():
            needed = sorted(group)[: self._code.data] if group is chosen else []
            spare += [opened for index, (_, opened) in group.items() if index not in needed]
        chosen = {index: chosen[index] for index in sorted(chosen)[: self._code.data]}
        for opened in spare:
            self._calls.later(opened.close())
        if newest is None or newest.is_gone:
            return tombstone
        at = newest.timestamp

        def open_(target: Target, index: int) -> Awaitable[OpenFragment | None]:
            return target.device.find_fragment(self.index, place, (at, index))

        async def look_again() -> Known:
            return await self._sources(place, at)

        def put_aside(target: Target, index: int, why: str) -> None:
            store = fragments_of(self.index)
            self._calls.later(target.device.quarantine(store, place, why, (at, index)))

        known = survey.sources(at)
        if not chosen:
            index, (target, *_) = min(known.items())
            if (first := await open_(target, index)) is None:
                raise NoQuorum("fragments", 0, self._code.data)
            chosen[index] = (target, first)
        found = StripedObject(self._calls, self._code, chosen, known, open_, look_again, put_aside)
        await found.load_if_small()
        return found

    async def _sources(self, place: Place, at: Timestamp) -> Known:
        """Where fragments of that time are, of all devices that answer."""
        survey = Survey(self._code.data)
        asking: Asking[OpenFragment] = Asking(
            self._calls,
            lambda device: device.find_fragment(self.index, place),
            survey.take,
            self._code.fragments,
            dispose=close,
        )
        everybody = [*self.layout.holders(place.part), *self.layout.handoffs(place.part)]
        try:
            await asking.round(everybody, self._calls.patience.answer_s, lambda: False)
        finally:
            asking.leave()
            for _, opened in survey.opened:
                self._calls.later(opened.close())
        return survey.sources(at)

    def _in_order(self, holders: list[Target]) -> list[Target]:
        """Those of the first fragments first: they need no decoding."""
        standings = self._calls.standings
        return sorted(holders, key=lambda one: (standings.is_shunned(one.key), standings.is_late(one.key)))

    # Writing

    async def begin(self, account: str, container: str, name: str, size: int | None = None) -> ObjectWriting:
        place = self._place(account, container, name)
        fragment_bytes = None if size is None else self._code.fragment_bytes(size)
        begun = await self._spread(
            place, lambda device, _: device.begin_fragment(self.index, place, fragment_bytes), close
        )
        lanes = Lanes(self._calls, begun)
        try:
            begun.check("begin fragments")
        except BaseException:
            lanes.close()
            raise

        async def make_durable(at: Timestamp, slots: list[Slot]) -> None:
            await self._make_durable(place, at, slots)

        return StripedWriting(self._code, lanes, make_durable)

    async def put(self, account: str, container: str, name: str, data: bytes, facts: Facts) -> None:
        """Handoffs can take the place of whoever fails, since all bytes are there."""
        if len(data) > SEGMENT_BYTES:
            await self._put_in_segments(account, container, name, data, facts)
            return
        place = self._place(account, container, name)
        fragments = cut(self._code, data, facts)

        async def put_fragment(device: DeviceVerbs, number: int) -> bool:
            written, content = fragments[number]
            writing = await device.begin_fragment(self.index, place)
            try:
                await writing.write(content)
                await writing.commit(written)
            finally:
                await writing.close()
            return True

        told = await self._spread(place, put_fragment)
        told.check("put fragments")
        await self._make_durable(place, facts.timestamp, [slot for slot, _ in told.answers])

    async def _put_in_segments(
        self, account: str, container: str, name: str, data: bytes, facts: Facts
    ) -> None:
        writing = await self.begin(account, container, name, len(data))
        try:
            await writing.write(data)
            await writing.commit(facts)
        finally:
            await writing.close()

    async def _spread(
        self,
        place: Place,
        verb: Callable[[DeviceVerbs, int], Awaitable[T | None]],
        dispose: Dispose | None = None,
    ) -> Told[T]:
        told: Told[T] = Told(self._quorum)
        slots, handoffs = self.layout.slots(place.part), self.layout.handoffs(place.part)
        await spread(self._calls, told, slots, handoffs, verb, dispose=dispose)
        return told

    async def _make_durable(self, place: Place, at: Timestamp, slots: list[Slot]) -> None:
        """Raises `Superseded`, `NoQuorum`, `DeviceFull`."""
        told: Told[bool] = Told(self._quorum)
        running: dict[asyncio.Task[bool | None], Slot] = {
            self._calls.start(
                slot.target, or_none(slot.target.device.make_durable(self.index, place, at))
            ): slot
            for slot in slots
        }
        await gather(self._calls, told, running)
        told.check("make durable")

    async def delete(self, account: str, container: str, name: str, at: Timestamp) -> Facts | None:
        place = self._place(account, container, name)
        path = f"/{account}/{container}/{name}"

        async def delete(device: DeviceVerbs) -> tuple[Facts | None]:
            return (await device.delete_fragments(self.index, place, path, at),)

        told = await self._tell(place, delete)
        told.check("delete")
        before = [facts for _, (facts,) in told.answers if facts is not None]
        newest = max(before, key=age_of, default=None)
        return None if newest is None or newest.is_gone else whole(newest)

    async def post(self, account: str, container: str, name: str, revision: Revision) -> Facts | None:
        place = self._place(account, container, name)
        told = await self._tell(place, lambda device: device.post_fragments(self.index, place, revision))
        if told.is_nowhere(self.layout, place.part):
            return None
        told.check("post")
        return whole(max((facts for _, facts in told.answers), key=age_of))

    async def _tell(self, place: Place, verb: Callable[[DeviceVerbs], Awaitable[T | None]]) -> Told[T]:
        return await tell(self._calls, self.layout, place.part, verb)

    def _place(self, account: str, container: str, name: str) -> Place:
        return self.layout.place(self._hasher.hash(account, container, name))
