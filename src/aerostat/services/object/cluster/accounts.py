"""Accounts: made, read, changed, and told of their containers, on all devices that hold them."""

from collections.abc import Awaitable, Callable, Sequence

from ..ring import Hasher
from ..stores.account_db import AccountStatus, ContainerEntry
from ..stores.held import ACCOUNTS
from ..stores.listing import Asked, Subdir
from ..stores.pending import Note
from ..stores.protocol import Place, Said
from ..timestamp import Timestamp, now
from .calls import Calls
from .copies import Copies
from .errors import NoQuorum
from .gone import Gone
from .hearing import hear
from .layout import Layout
from .notes import Notes
from .telling import tell

Found = tuple[AccountStatus, Said]


async def _nothing(_account: str) -> None:
    return None


class Accounts:
    """`before_reading`: what this process still has to tell an account is told before the account is read."""

    before_reading: Callable[[str], Awaitable[None]]

    def __init__(self, hasher: Hasher, layout: Layout, calls: Calls, notes: Notes) -> None:
        self.layout = layout
        self.before_reading = _nothing
        self._hasher = hasher
        self._calls = calls
        self._notes = notes
        self._copies: Copies[AccountStatus] = Copies(
            calls, layout, ACCOUNTS, lambda status: status.containers
        )

    async def make(self, account: str, at: Timestamp, said: Said) -> bool:
        """It is there, with that metadata beside what it has; answers whether it is new."""
        place, path = self._place(account), f"/{account}"
        told = await tell(
            self._calls,
            self.layout,
            place.part,
            lambda device: device.make_account(place, path, at, said),
        )
        told.check("make account")
        return 2 * sum(is_new for _, is_new in told.answers) > len(told.answers)

    async def status(self, account: str, newest: bool = False) -> Found | None:
        """None when it is not there, or deleted. `newest`: of all its devices."""
        await self.before_reading(account)
        place = self._place(account)
        answer = await self._copies.find(
            f"/{account}", place, lambda device: device.account(place), newest=newest
        )
        return None if isinstance(answer, Gone) else answer

    async def list(self, account: str, asked: Asked) -> Sequence[ContainerEntry | Subdir] | None:
        """A page; None when the account is not there."""
        await self.before_reading(account)
        place = self._place(account)
        return await self._copies.page(f"/{account}", place, lambda device: device.list_account(place, asked))

    async def say(self, account: str, said: Said) -> bool:
        """Metadata beside what it has; False when it is not there."""
        place = self._place(account)
        return await self._copies.say(
            "say of account", place, lambda device: device.say_of_account(place, said)
        )

    async def hear(self, account: str, entries: Sequence[ContainerEntry]) -> None:
        """What containers became; devices that cannot be told will be. Raises `NoQuorum` when not even that is sure."""
        place = self._place(account)
        told = await self._tell(place, entries)
        if len(told) < self.layout.holder_count(place.part):
            note = Note(at=now(), account=account, containers=list(entries), told=list(told))
            await self._notes.keep(place, note)

    async def hear_sums(self, account: str, entries: Sequence[ContainerEntry]) -> None:
        """What containers hold. Raises `NoQuorum` when nobody heard: who says it says it again, with newer sums."""
        if not await self._tell(self._place(account), entries):
            raise NoQuorum("sums of containers", 0, 1)

    async def delete(self, account: str, at: Timestamp) -> bool | None:
        """Whether it was there; its containers stay. None when it is not known at all."""
        place = self._place(account)
        told = await tell(
            self._calls, self.layout, place.part, lambda device: device.delete_account(place, at)
        )
        if told.is_nowhere(self.layout, place.part):
            return None
        told.check("delete account")
        return any(was_there for _, was_there in told.answers)

    async def _tell(self, place: Place, entries: Sequence[ContainerEntry]) -> Sequence[str]:
        heard = await hear(
            self._calls, self.layout, place.part, lambda device: device.hear_containers(place, entries)
        )
        return heard.told

    def _place(self, account: str) -> Place:
        return self.layout.place(self._hasher.hash(account))
