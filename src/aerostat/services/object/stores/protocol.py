"""What a device can do, wherever it is: in this process, or behind a node's HTTP.

Answers tell what is on that one device. Whether that is enough, and what other devices say, is for those who ask.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import msgspec

from ..timestamp import Timestamp
from .account_db import AccountStatus, ContainerEntry
from .container_db import ContainerStatus, Entry
from .listing import Asked, Subdir
from .object_file import Facts, Revision

Said = Mapping[str, tuple[str, Timestamp]]
"""Metadata by name, with its time; an empty value is a removal."""


class Place(msgspec.Struct, frozen=True):
    """Where on a device something lies: its partition and its hash."""

    part: int
    hashed: str


class DeviceAway(Exception):
    """The device, or its node, does not answer, or refuses: another one is to be asked."""


class OpenObject(Protocol):
    """An object that is being read; close it."""

    @property
    def facts(self) -> Facts: ...

    @property
    def data(self) -> bytes | None:
        """All bytes, when they are few."""

    def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes from `start` to before `end`, in pieces."""

    async def close(self) -> None: ...


class ObjectWriting(Protocol):
    """An object that is being written. Without `commit`, `close` leaves no trace of it."""

    async def write(self, data: bytes) -> None:
        """Raises OSError (ENOSPC), `DeviceAway`."""

    async def commit(self, facts: Facts) -> None:
        """It is on the disk, under its name. Raises `Superseded`, OSError, `DeviceAway`."""

    async def close(self) -> None: ...


class DeviceVerbs(Protocol):
    """All verbs raise `DeviceAway`; those that write raise OSError when the device is full or broken, too."""

    # Objects

    async def find(self, policy: int, place: Place) -> OpenObject | None:
        """An object, or its tombstone. Raises `Damaged`."""

    async def begin(self, policy: int, place: Place, size: int | None = None) -> ObjectWriting:
        """`size`: of the bytes to come, if it is known, so that the room is sure."""

    async def put(self, policy: int, place: Place, data: bytes, facts: Facts) -> None:
        """A small object, whole. Raises `Superseded`."""

    async def delete(self, policy: int, place: Place, path: str, at: Timestamp) -> Facts | None:
        """A tombstone; answers what was there. Raises `Superseded`."""

    async def post(self, policy: int, place: Place, revision: Revision) -> Facts | None:
        """Other metadata; answers the object as it is then, None when it is not here.

        Raises `Superseded`, `Damaged`.
        """

    # Containers

    async def make_container(self, place: Place, path: str, at: Timestamp, policy: int, said: Said) -> bool:
        """It is there, with that metadata beside what it has; answers whether it is new."""

    async def container(self, place: Place) -> tuple[ContainerStatus, Said] | None:
        """None when it is not here, or deleted."""

    async def list_container(self, place: Place, asked: Asked) -> Sequence[Entry | Subdir] | None: ...

    async def say_of_container(self, place: Place, said: Said) -> bool:
        """Metadata beside what it has; False when it is not here, or deleted."""

    async def hear_objects(self, place: Place, words: Sequence[Entry]) -> bool:
        """What became of objects; False when the container is not here, or deleted."""

    async def delete_container(self, place: Place, at: Timestamp) -> bool | None:
        """Whether it is deleted: it is not when it has objects. None when it is not here."""

    # Accounts

    async def make_account(self, place: Place, path: str, at: Timestamp, said: Said) -> bool: ...

    async def account(self, place: Place) -> tuple[AccountStatus, Said] | None: ...

    async def list_account(self, place: Place, asked: Asked) -> Sequence[ContainerEntry | Subdir] | None: ...

    async def say_of_account(self, place: Place, said: Said) -> bool: ...

    async def hear_containers(self, place: Place, words: Sequence[ContainerEntry]) -> bool: ...

    async def delete_account(self, place: Place, at: Timestamp) -> bool | None: ...
