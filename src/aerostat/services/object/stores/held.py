"""What a device holds, in short: what its copies elsewhere are compared with.

A *store* is a folder of a device: `objects` and `objects-1` (whole objects of a policy), `fragments-2` (of an
erasure-coded one), `containers`, `accounts`. In it partitions, in those suffixes, in those what names by their hash.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from ..timestamp import Timestamp
from .entries import ContainerEntry, Entry

CONTAINERS = "containers"
ACCOUNTS = "accounts"
Said = Mapping[str, tuple[str, Timestamp]]
"""Metadata by name, with its time; an empty value is a removal."""

_STORE = r"(containers|accounts|(objects|fragments)(-[1-9][0-9]{0,5})?)"
_is_store = re.compile(_STORE).fullmatch

# As they may come from elsewhere: what names of files are made of.
StoreName = Annotated[str, msgspec.Meta(pattern=rf"^{_STORE}\Z")]
Hashed = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Part = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
SUFFIX_DIGITS = 1
"""Each folder costs a flush when it is new: with two, a store of a million objects makes a quarter of a million."""
Suffix = Annotated[str, msgspec.Meta(pattern=rf"^[0-9a-f]{{{SUFFIX_DIGITS}}}\Z")]


class Place(msgspec.Struct, frozen=True):
    """Where on a device something lies: its partition and its hash."""

    part: Part
    hashed: Hashed


def objects_of(policy: int) -> str:
    """The store of a policy's whole objects."""
    return "objects" if policy == 0 else f"objects-{policy}"


def fragments_of(policy: int) -> str:
    """The store of a policy's fragments."""
    return "fragments" if policy == 0 else f"fragments-{policy}"


def policy_of(store: str) -> int:
    return int(store.partition("-")[2] or 0)


def is_store(name: str) -> bool:
    return _is_store(name) is not None


class Held(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of a store of objects or fragments.

    `timestamp`: of the PUT or the DELETE. `revision_at`, `type_at`: of what a POST said, and of the content type that
    a POST said; 0 for none. `fragment`: its index. `is_durable`: see `DeviceVerbs.make_durable`.
    """

    hashed: Hashed
    timestamp: Timestamp
    is_gone: bool = False
    revision_at: Timestamp = 0
    type_at: Timestamp = 0
    fragment: int | None = None
    is_durable: bool = True


class DatabaseState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A database, deleted ones too. Two with the same times, `said`, `rows` and `checksum` hold the same.

    `file_id`: this file and no other; a database that was lost and made anew has another. `rows`, `checksum`: of the
    names that are there; the checksum is the same in whatever order they came. `change`: the number of the last change
    of this file. `said`: metadata by name with its time, removals (empty values) too. `heard`: by `file_id` of other
    files, up to which of their changes all is in this one.
    """

    hashed: str
    file_id: str
    path: str
    created_at: Timestamp
    put_at: Timestamp
    deleted_at: Timestamp = 0
    changed_at: Timestamp
    policy: int = 0
    rows: int = 0
    checksum: int = 0
    change: int = 0
    said: dict[str, tuple[str, Timestamp]] = {}
    heard: dict[str, int] = {}


Rows = Sequence[Entry] | Sequence[ContainerEntry]


class RowsSince(msgspec.Struct, frozen=True, kw_only=True):
    """Rows in the order of their changes, names that are gone too. `change`: of the last; ask for the next from there.
    No rows: there are no more.
    """

    file_id: str
    change: int
    objects: Sequence[Entry] = ()
    containers: Sequence[ContainerEntry] = ()

    @property
    def rows(self) -> Rows:
        return self.objects or self.containers


class DeviceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`device_id`: written on the disk at its first use. `stores`: that are there."""

    device_id: str
    total_bytes: int
    free_bytes: int
    stores: Sequence[str]
    quarantined: dict[str, int]
    """How many files of which store were put aside as damaged."""
