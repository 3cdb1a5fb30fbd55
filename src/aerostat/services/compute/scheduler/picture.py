"""What the scheduler looks at: a server's wishes and, of each host, what the filters ask about."""

from collections.abc import Mapping

import msgspec


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a server needs and wishes. `resources` are placement's classes: VCPU, MEMORY_MB, DISK_GB."""

    server_id: str
    resources: Mapping[str, int]
    zone: str | None = None
    host: str | None = None
    arch: str | None = None
    extra_specs: Mapping[str, str] = {}
    group_policy: str | None = None
    max_per_host: int = 1
    excluded: frozenset[str] = frozenset()
    """Hosts that were tried and refused."""
    leaving: str | None = None
    """The host that it is to leave."""
    same_host: frozenset[str] | None = None
    """If given, only these hosts: they carry the servers it shall be beside."""
    different_host: frozenset[str] = frozenset()


class HostPicture(msgspec.Struct, frozen=True, kw_only=True):
    """A host at the moment of the choice. `free` is what is left of each resource class, promises counted."""

    id: str
    name: str
    up: bool = True
    enabled: bool = True
    disabled_reason: str | None = None
    clock_fault: str | None = None
    """What is wrong with its clock, if something is."""
    zone: str = "nova"
    arch: str = "x86_64"
    free: Mapping[str, int] = {}
    servers: int = 0
    group_members: int = 0
    aggregates: tuple[Mapping[str, str], ...] = ()
    """The metadata of each aggregate that the host is in."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why one filter refused one host. `asked` and `free` are amounts, where it is about an amount."""

    host: str
    filter: str
    reason: str
    asked: int | None = None
    free: int | None = None
    unit: str = ""
