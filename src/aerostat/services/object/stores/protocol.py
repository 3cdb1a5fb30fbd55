"""What a device can do, wherever it is: in this process, or behind a node's HTTP.

Answers tell what is on that one device. Whether that is enough, and what other devices say, is for those who ask.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from ..timestamp import Timestamp
from .entries import AccountStatus, ContainerEntry, ContainerStatus, Entry
from .held import DatabaseState, DeviceStatus, Held, Place, Rows, RowsSince, Said
from .listing import Asked, Subdir
from .object_file import Facts, Revision
from .pending import Note

__all__ = ["DeviceAway", "DeviceVerbs", "ObjectWriting", "OpenFragment", "OpenObject", "Place", "Said"]


class DeviceAway(Exception):
    """The device, or its node, does not answer, or refuses: another one is to be asked."""


class OpenObject(Protocol):
    """An object that is being read; close it."""

    @property
    def facts(self) -> Facts:
        """With what a POST said."""

    @property
    def written(self) -> Facts:
        """As the PUT left it: what a copy is to be committed with."""

    @property
    def revision(self) -> Revision | None:
        """What a POST said: what a copy is to be told with `post`."""

    @property
    def data(self) -> bytes | None:
        """All bytes, when they are few."""

    def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes from `start` to before `end`, in pieces, each of which was looked at before. Raises `Damaged` where one
        is not what was written: then the file has been put aside. Raises EOFError, OSError, `DeviceAway`, too.
        """

    async def close(self) -> None: ...


class OpenFragment(OpenObject, Protocol):
    """A fragment that is being read; its facts have `fragment` and `geometry`, `etag` is of the whole object."""

    @property
    def versions(self) -> Sequence[Held]:
        """All that is here under the name, this one and tombstones too: newest first, and by index."""

    @property
    def is_durable(self) -> bool: ...


class ObjectWriting(Protocol):
    """An object that is being written. Without `commit`, `close` leaves no trace of it."""

    async def write(self, data: bytes) -> None:
        """Raises OSError (ENOSPC), `DeviceAway`."""

    async def commit(self, facts: Facts) -> None:
        """It is on the disk, under its name. Raises `Superseded`, OSError, `DeviceAway`."""

    async def close(self) -> None: ...


class ObjectVerbs(Protocol):
    """Whole objects. `find` and `post` raise `Damaged`, too: what `find` calls so has been put aside."""

    async def find(self, policy: int, place: Place) -> OpenObject | None:
        """An object, or its tombstone."""

    async def begin(self, policy: int, place: Place, size: int | None = None) -> ObjectWriting:
        """`size`: of the bytes to come, if it is known, so that the room is sure."""

    async def put(self, policy: int, place: Place, data: bytes, facts: Facts) -> None:
        """A small object, whole. Raises `Superseded`."""

    async def delete(self, policy: int, place: Place, path: str, at: Timestamp) -> Facts | None:
        """A tombstone; answers what was there. Raises `Superseded`."""

    async def post(self, policy: int, place: Place, revision: Revision) -> Facts | None:
        """Other metadata; answers the object as it is then, None when it is not here. Raises `Superseded`.

        Copies of revisions come this way, too: the later headers and the later content type stay, each by its time.
        """


class FragmentVerbs(Protocol):
    """Objects of an erasure-coded policy: of each a device holds fragments, more than one if it must.

    A fragment that was written is on the disk and **not yet durable**: it stands beside the version that is there.
    When a quorum of devices has theirs, all are told `make_durable`: then older versions go. Who reads takes the newest
    version that any device calls durable, and may use the fragments of it that devices do not call so yet.
    """

    async def find_fragment(
        self, policy: int, place: Place, wanted: tuple[Timestamp, int] | None = None
    ) -> OpenFragment | None:
        """A fragment (`wanted`: time and index), else the newest durable version or tombstone, lowest index first; if
        none is durable, the newest. None: nothing (of that) is here. Damaged ones are passed by and quarantined.
        """

    async def begin_fragment(self, policy: int, place: Place, size: int | None = None) -> ObjectWriting:
        """`commit` wants facts with `fragment` and `geometry`; it raises `Superseded` when something durable and newer
        is here. A fragment that is here already, with its time and index, stays, and that is no fault.
        """

    async def make_durable(self, policy: int, place: Place, at: Timestamp) -> bool:
        """The fragments of that time stand for the object now, and what is older goes. May be told twice. False when
        there is none of that time here. Raises `Superseded`.
        """

    async def delete_fragments(self, policy: int, place: Place, path: str, at: Timestamp) -> Facts | None:
        """A tombstone; what is older goes. Answers what was there and durable. Raises `Superseded`."""

    async def post_fragments(self, policy: int, place: Place, revision: Revision) -> Facts | None:
        """As `post`, of the newest durable version."""


class ContainerVerbs(Protocol):
    """Containers. All raise `Damaged`, too."""

    async def make_container(self, place: Place, path: str, at: Timestamp, policy: int, said: Said) -> bool:
        """It is there, with that metadata beside what it has; answers whether it is new."""

    async def container(self, place: Place) -> tuple[ContainerStatus, Said] | None:
        """None when it is not here, or deleted."""

    async def list_container(self, place: Place, asked: Asked) -> Sequence[Entry | Subdir] | None: ...

    async def say_of_container(self, place: Place, said: Said) -> bool:
        """Metadata beside what it has; False when it is not here, or deleted."""

    async def hear_objects(self, place: Place, words: Sequence[Entry]) -> bool:
        """What became of objects; False when the container is not here. A deleted one hears as well, and comes back
        when an object that was written meanwhile needs it.
        """

    async def delete_container(self, place: Place, at: Timestamp) -> bool | None:
        """Whether it is deleted: it is not when it has objects, or was made later. None when it is not here, or was
        deleted before.
        """


class AccountVerbs(Protocol):
    """Accounts. All raise `Damaged`, too."""

    async def make_account(self, place: Place, path: str, at: Timestamp, said: Said) -> bool: ...

    async def account(self, place: Place) -> tuple[AccountStatus, Said] | None: ...

    async def list_account(self, place: Place, asked: Asked) -> Sequence[ContainerEntry | Subdir] | None: ...

    async def say_of_account(self, place: Place, said: Said) -> bool: ...

    async def hear_containers(self, place: Place, words: Sequence[ContainerEntry]) -> bool: ...

    async def delete_account(self, place: Place, at: Timestamp) -> bool | None: ...


class RepairVerbs(Protocol):
    """What daemons need. `store`: see `held`."""

    async def status(self) -> DeviceStatus:
        """Raises `DeviceAway` when the disk is not mounted, or another one is."""

    async def partitions(self, store: str) -> Sequence[int]:
        """That are here, in order."""

    async def quarantine(
        self, store: str, place: Place, why: str, fragment: tuple[Timestamp, int] | None = None
    ) -> bool:
        """Move what is there under that name to `DEVICE/quarantined`; answers whether there was anything."""

    # Objects and fragments

    async def digests(self, store: str, part: int) -> Mapping[str, str]:
        """By suffix: equal where equal versions and revisions are held (of fragments: of whatever index)."""

    async def held(self, store: str, part: int, suffix: str | None = None) -> Sequence[Held]:
        """What a suffix (None: the partition) holds, by hash. Damaged files are left out."""

    async def forget(self, store: str, part: int, held: Held) -> bool:
        """Take away exactly this, a tombstone that all have seen or what has moved on; False when it is not here, or no
        longer like that. It may come back after a power failure.
        """

    # Databases

    async def databases(self, store: str, part: int) -> Sequence[DatabaseState]:
        """All of a partition. Damaged ones are left out, and quarantined."""

    async def database(self, store: str, place: Place) -> DatabaseState | None:
        """One, if it is here, be it deleted. Raises `Damaged`."""

    async def rows_since(self, store: str, place: Place, change: int, limit: int) -> RowsSince | None:
        """What changed in it after its change of that number (0: all); None when it is not here."""

    async def merge_database(
        self, store: str, place: Place, other: DatabaseState, rows: Rows = (), heard: int = 0
    ) -> DatabaseState:
        """Take over what another file says of itself, and rows of it; made if it is not here. `heard`: up to which of
        its changes all has been told now. On the disk when it is answered; answers the state that it has then.
        """

    async def forget_gone(self, store: str, place: Place, before: Timestamp) -> int:
        """Rows of names that were deleted before that time go; answers how many."""

    async def remove_database(self, store: str, place: Place, file_id: str, change: int) -> bool:
        """Take it away, unless it is another file or was changed since then; answers whether it went."""


class NoteVerbs(Protocol):
    """Words that a container or an account could not be told, for the updater of the device's node."""

    async def keep_note(self, place: Place, note: Note) -> None:
        """It is on the disk. `place`: of the container or account on its own devices."""


class DeviceVerbs(ObjectVerbs, FragmentVerbs, ContainerVerbs, AccountVerbs, RepairVerbs, NoteVerbs, Protocol):
    """All verbs raise `DeviceAway`; those that write raise OSError when the device is full or broken, too."""
