"""Objects of a replicated policy: whole copies on as many devices as the ring says."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..ring import Hasher
from ..stores.object_file import Facts, Revision
from ..stores.protocol import DeviceVerbs, ObjectWriting, OpenObject, Place
from ..timestamp import Timestamp
from .calls import Calls
from .layout import Layout
from .looking import Age, Looking
from .reading import ReplicatedObject
from .telling import Told, tell
from .writing import Lanes, ReplicatedWriting

T = TypeVar("T")


class Replicated:
    """See `ObjectsOfPolicy`. `index`: of the policy."""

    def __init__(self, index: int, hasher: Hasher, layout: Layout, calls: Calls) -> None:
        self.index = index
        self.layout = layout
        self._hasher = hasher
        self._calls = calls

    async def find(
        self, account: str, container: str, name: str, *, newest: bool = False
    ) -> OpenObject | None:
        place = self._place(account, container, name)
        looking = self._looking(place, newest)
        found = await looking.find(f"/{account}/{container}/{name}")
        if found is None or found.data is not None or found.facts.is_gone or looking.source is None:
            return found
        if self.layout.holder_count(place.part) == 1:
            return found
        return ReplicatedObject(self._calls, self.layout, self.index, place, looking.source, found)

    async def begin(self, account: str, container: str, name: str, size: int | None = None) -> ObjectWriting:
        place = self._place(account, container, name)
        told = await self._tell(place, lambda device: device.begin(self.index, place, size), close)
        lanes = Lanes(self._calls, told)
        try:
            told.check("begin")
        except BaseException:
            lanes.close()
            raise
        return ReplicatedWriting(lanes)

    async def put(self, account: str, container: str, name: str, data: bytes, facts: Facts) -> None:
        place = self._place(account, container, name)
        told = await self._tell(place, lambda device: _put(device, self.index, place, data, facts))
        told.check("put")

    async def delete(self, account: str, container: str, name: str, at: Timestamp) -> Facts | None:
        place = self._place(account, container, name)
        path = f"/{account}/{container}/{name}"
        told = await self._tell(place, lambda device: _delete(device, self.index, place, path, at))
        told.check("delete")
        before = [facts for _, (facts,) in told.answers if facts is not None]
        newest = max(before, key=age_of, default=None)
        return None if newest is None or newest.is_gone else newest

    async def post(self, account: str, container: str, name: str, revision: Revision) -> Facts | None:
        place = self._place(account, container, name)
        told = await self._tell(place, lambda device: device.post(self.index, place, revision))
        if told.is_nowhere(self.layout, place.part):
            return None
        told.check("post")
        return max((facts for _, facts in told.answers), key=age_of)

    def _place(self, account: str, container: str, name: str) -> Place:
        return self.layout.place(self._hasher.hash(account, container, name))

    async def _tell(
        self,
        place: Place,
        verb: Callable[[DeviceVerbs], Awaitable[T | None]],
        dispose: Callable[[T], Awaitable[None]] | None = None,
    ) -> Told[T]:
        return await tell(self._calls, self.layout, place.part, verb, dispose=dispose)

    def _looking(self, place: Place, newest: bool) -> Looking[OpenObject]:
        return Looking(
            self._calls,
            self.layout,
            place.part,
            lambda device: device.find(self.index, place),
            age=lambda found: age_of(found.facts),
            is_gone=lambda found: found.facts.is_gone,
            dispose=close,
            newest=newest,
        )


async def close(opened: OpenObject | ObjectWriting) -> None:
    await opened.close()


async def _put(device: DeviceVerbs, policy: int, place: Place, data: bytes, facts: Facts) -> bool:
    await device.put(policy, place, data, facts)
    return True


async def _delete(
    device: DeviceVerbs, policy: int, place: Place, path: str, at: Timestamp
) -> tuple[Facts | None]:
    return (await device.delete(policy, place, path, at),)


def age_of(facts: Facts) -> Age:
    """Bytes first, then what was said of them."""
    return (facts.written_at or facts.timestamp, facts.timestamp)
