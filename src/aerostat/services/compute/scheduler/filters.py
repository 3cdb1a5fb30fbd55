"""The filters: each looks at one host and answers why not, or None.

A filter is named for what it asks about; the name stands in the operation record. The order is that of the list
`FILTERS`: cheap and telling ones first, since only the first refusal of a host is kept.
"""

from collections.abc import Callable

from .picture import Asked, HostPicture, Refusal

Filter = Callable[[Asked, HostPicture], Refusal | None]

# What each resource class is called in a sentence, and its unit.
AMOUNTS = {
    "MEMORY_MB": ("ram", "RAM", "MiB"),
    "VCPU": ("vcpu", "vCPUs", ""),
    "DISK_GB": ("disk", "disk", "GiB"),
}

SCOPE = "aggregate_instance_extra_specs:"


def tried(asked: Asked, host: HostPicture) -> Refusal | None:
    if host.name in asked.excluded:
        return _no(host, "retry", "were tried and refused the server")
    return None


def leaving(asked: Asked, host: HostPicture) -> Refusal | None:
    if host.name == asked.leaving:
        return _no(host, "leaving", "are to be left by the server")
    return None


def requested(asked: Asked, host: HostPicture) -> Refusal | None:
    if asked.host is not None and asked.host != host.name:
        return _no(host, "requested_host", f"are not the requested host {asked.host}")
    return None


def alive(asked: Asked, host: HostPicture) -> Refusal | None:
    if not host.enabled:
        why = f": {host.disabled_reason}" if host.disabled_reason else ""
        return _no(host, "enabled", f"are disabled{why}")
    if not host.up:
        return _no(host, "up", "are down")
    if host.clock_fault:
        return _no(host, "clock", f"have a wrong clock: {host.clock_fault}")
    return None


def zone(asked: Asked, host: HostPicture) -> Refusal | None:
    if asked.zone is not None and asked.zone != host.zone:
        return _no(host, "availability_zone", f"are not in availability zone {asked.zone}")
    return None


def architecture(asked: Asked, host: HostPicture) -> Refusal | None:
    if asked.arch is not None and asked.arch != host.arch:
        return _no(host, "image_architecture", f"are not of the image's architecture {asked.arch}")
    return None


def aggregate_extra_specs(asked: Asked, host: HostPicture) -> Refusal | None:
    """A scoped extra spec must be among the metadata of the host's aggregates; several values in it mean any."""
    for key, wanted in asked.extra_specs.items():
        if not key.startswith(SCOPE):
            continue
        name = key.removeprefix(SCOPE)
        offered = {
            value.strip()
            for metadata in host.aggregates
            if name in metadata
            for value in metadata[name].split(",")
        }
        if wanted not in offered:
            return _no(host, "aggregate_extra_specs", f"are in no aggregate with {name}={wanted}")
    return None


def server_group(asked: Asked, host: HostPicture) -> Refusal | None:
    if asked.group_policy == "anti-affinity" and host.group_members >= asked.max_per_host:
        return _no(host, "anti_affinity", "carry a member of the anti-affinity server group already")
    return None


def near_and_far(asked: Asked, host: HostPicture) -> Refusal | None:
    if asked.same_host is not None and host.name not in asked.same_host:
        return _no(host, "same_host", "do not carry the servers it shall be beside")
    if host.name in asked.different_host:
        return _no(host, "different_host", "carry a server it shall be apart from")
    return None


def amounts(asked: Asked, host: HostPicture) -> Refusal | None:
    for kind, (name, word, unit) in AMOUNTS.items():
        wanted, free = asked.resources.get(kind, 0), host.free.get(kind)
        if wanted and (free is None or wanted > free):
            return Refusal(
                host=host.name, filter=name, reason=f"lack {word}", asked=wanted, free=free or 0, unit=unit
            )
    return None


FILTERS: tuple[Filter, ...] = (
    tried,
    leaving,
    requested,
    alive,
    zone,
    architecture,
    aggregate_extra_specs,
    server_group,
    near_and_far,
    amounts,
)


def _no(host: HostPicture, filter: str, reason: str) -> Refusal:
    return Refusal(host=host.name, filter=filter, reason=reason)
