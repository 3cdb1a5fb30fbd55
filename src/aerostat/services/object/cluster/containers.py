"""Containers: made, read, changed, and told of their objects, on all devices that hold them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ..ring import Hasher
from ..stores.account_db import ContainerEntry
from ..stores.container_db import ContainerStatus, Entry
from ..stores.held import CONTAINERS
from ..stores.listing import Asked, Subdir
from ..stores.pending import Note
from ..stores.protocol import DeviceVerbs, Place, Said
from ..timestamp import Timestamp, now
from .accounts import Accounts
from .calls import Calls
from .copies import Copies
from .gone import Gone
from .hearing import Heard, hear
from .layout import Layout
from .notes import Notes
from .sums import Sums
from .telling import tell

TOGETHER = 50
"""Containers whose sums are told in one go."""

Found = tuple[ContainerStatus, Said]


class Containers:
    """Names are of account and container, in that order."""

    def __init__(
        self, hasher: Hasher, layout: Layout, calls: Calls, notes: Notes, accounts: Accounts, delay_s: float
    ) -> None:
        self.layout = layout
        self._hasher = hasher
        self._calls = calls
        self._notes = notes
        self._copies: Copies[ContainerStatus] = Copies(
            calls, layout, CONTAINERS, lambda status: status.objects
        )
        self._accounts = accounts
        self.whole_status: Callable[[str, str], Awaitable[Found | None]] = self.status
        """With what its shards hold."""
        self.sums = Sums(self._tell_sums, delay_s)
        accounts.before_reading = self.sums.flush_few

    async def make(self, account: str, container: str, at: Timestamp, policy: int, said: Said) -> bool:
        """It is there, with that metadata beside what it has, and its account knows; answers whether it is new."""
        place, path = self._place(account, container), f"/{account}/{container}"
        told = await tell(
            self._calls,
            self.layout,
            place.part,
            lambda device: device.make_container(place, path, at, policy, said),
        )
        told.check("make container")
        is_new = 2 * sum(is_new for _, is_new in told.answers) > len(told.answers)
        if is_new:
            entry = ContainerEntry(name=container, put_at=at, policy=policy)
            await self._accounts.hear(account, [entry])
        else:
            self.sums.changed(account, container)
        return is_new

    async def status(self, account: str, container: str, newest: bool = False) -> Found | None:
        """None when it is not there, or deleted. `newest`: of all its devices, also each word that was said of it."""
        answer = await self._find(account, container, newest)
        return None if isinstance(answer, Gone) else answer

    async def gone_at(self, account: str, container: str) -> Timestamp:
        """When it was deleted last, as far as that is remembered; 0: never."""
        answer = await self._find(account, container, newest=True, tells_deletion=True)
        return answer.deleted_at if isinstance(answer, Gone) else 0

    async def _find(
        self, account: str, container: str, newest: bool, *, tells_deletion: bool = False
    ) -> Found | Gone | None:
        place = self._place(account, container)
        heard: list[Said] = []

        async def ask(device: DeviceVerbs) -> Found | None:
            if (found := await device.container(place)) is not None:
                heard.append(found[1])
            return found

        answer = await self._copies.find(
            f"/{account}/{container}", place, ask, newest=newest, tells_deletion=tells_deletion
        )
        if not newest or len(heard) < 2 or answer is None or isinstance(answer, Gone):
            return answer
        return answer[0], _together(heard, answer[0].deleted_at)

    async def list(self, account: str, container: str, asked: Asked) -> Sequence[Entry | Subdir] | None:
        """A page; None when the container is not there."""
        place = self._place(account, container)
        return await self._copies.page(
            f"/{account}/{container}", place, lambda device: device.list_container(place, asked)
        )

    async def say(self, account: str, container: str, said: Said) -> bool:
        """Metadata beside what it has; False when it is not there."""
        place = self._place(account, container)
        return await self._copies.say(
            "say of container", place, lambda device: device.say_of_container(place, said)
        )

    async def hear(self, account: str, container: str, entries: Sequence[Entry]) -> None:
        """What became of objects; devices that cannot be told will be. Raises `NoQuorum` when not even that is sure."""
        heard = await self.tell(account, container, entries)
        await self.note(account, container, entries, heard.told)

    async def tell(self, account: str, container: str, entries: Sequence[Entry]) -> Heard:
        """What became of objects; answers which devices heard."""
        place = self._place(account, container)
        heard = await hear(
            self._calls, self.layout, place.part, lambda device: device.hear_objects(place, entries)
        )
        self.sums.changed(account, container)
        return heard

    def is_told(self, account: str, container: str, told: Sequence[str]) -> bool:
        """All have heard."""
        return len(told) >= self.layout.holder_count(self._place(account, container).part)

    async def note(self, account: str, container: str, entries: Sequence[Entry], told: Sequence[str]) -> None:
        """Write down what others than those in `told` must hear yet. Raises `NoQuorum` when that cannot be."""
        if not self.is_told(account, container, told):
            place = self._place(account, container)
            note = Note(at=now(), account=account, container=container, objects=[*entries], told=[*told])
            await self._notes.keep(place, note)

    async def delete(self, account: str, container: str, at: Timestamp) -> bool | None:
        """Whether it is deleted: it is not when it has objects. None when it is not there."""
        place = self._place(account, container)
        told = await tell(
            self._calls, self.layout, place.part, lambda device: device.delete_container(place, at)
        )
        if told.is_nowhere(self.layout, place.part):
            return None
        told.check("delete container")
        gone = sum(is_gone for _, is_gone in told.answers)
        if gone < told.wanted:
            return False
        await self._accounts.hear(account, [ContainerEntry(name=container, put_at=0, deleted_at=at)])
        return True

    async def _tell_sums(self, account: str, containers: Sequence[str]) -> None:
        for start in range(0, len(containers), TOGETHER):
            some = containers[start : start + TOGETHER]
            found = await asyncio.gather(*(self.whole_status(account, container) for container in some))
            entries = [
                ContainerEntry(
                    name=container,
                    put_at=status.put_at,
                    deleted_at=status.deleted_at,
                    objects=status.objects,
                    bytes=status.bytes,
                    policy=status.policy,
                )
                for container, (status, _) in zip(some, (one or (None, {}) for one in found), strict=True)
                if status is not None
            ]
            if entries:
                await self._accounts.hear_sums(account, entries)

    def _place(self, account: str, container: str) -> Place:
        return self.layout.place(self._hasher.hash(account, container))


def _together(heard: Sequence[Said], deleted_at: Timestamp) -> Said:
    """Of each word the newest; those from before a deletion are over."""
    words: dict[str, tuple[str, Timestamp]] = {}
    for said in heard:
        for name, (value, at) in said.items():
            if at >= deleted_at and (at, value) > words.get(name, ("", 0))[::-1]:
                words[name] = (value, at)
    return words
