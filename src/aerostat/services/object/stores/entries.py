"""What listings hold, and what is known of a container and of an account."""

import msgspec

from ..timestamp import Timestamp


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What was heard of one object. The type and the metadata may be of a later time than the bytes: of a POST.

    A page has ten thousand of them, of the newest of their times only; the fields stand in the order of a container's
    columns, so that a row is one.
    """

    name: str
    timestamp: Timestamp
    size: int = 0
    etag: str = ""
    content_type: str = ""
    type_at: Timestamp = 0
    meta_at: Timestamp = 0
    is_gone: bool = False


class ContainerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The container itself. Sums are of the names in this file."""

    path: str
    policy: int
    created_at: Timestamp
    put_at: Timestamp
    deleted_at: Timestamp
    changed_at: Timestamp
    objects: int
    bytes: int

    @property
    def is_deleted(self) -> bool:
        return self.deleted_at > self.put_at and self.objects == 0


class ContainerEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a container said of itself, and when. It is there when it was put later than it was deleted."""

    name: str
    put_at: Timestamp
    deleted_at: Timestamp = 0
    objects: int = 0
    bytes: int = 0
    policy: int = 0
    said_at: Timestamp = 0

    @property
    def is_gone(self) -> bool:
        return self.deleted_at >= self.put_at


class PolicySum(msgspec.Struct, frozen=True, kw_only=True):
    policy: int
    containers: int
    objects: int
    bytes: int


class AccountStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The account itself; its sums by policy add up to its own."""

    path: str
    created_at: Timestamp
    put_at: Timestamp
    deleted_at: Timestamp
    changed_at: Timestamp
    policies: tuple[PolicySum, ...]

    @property
    def containers(self) -> int:
        return sum(one.containers for one in self.policies)

    @property
    def objects(self) -> int:
        return sum(one.objects for one in self.policies)

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.policies)

    @property
    def is_deleted(self) -> bool:
        """Deleted at all: its containers, which may be there still, are for the reaper."""
        return self.deleted_at > self.put_at
