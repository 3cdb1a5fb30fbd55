"""Where a compute host of this machine is: its name, its namespaces, its folder.

Most machines are one host, the first. `up --hosts N` makes further ones of the same machine, to see and to test what
otherwise takes several: each has namespaces, switch, libvirt and state of its own, and reaches the others by a wire
between the namespaces.
"""

from pathlib import Path

import msgspec

from .config import Config

FIRST = 1
_TUNNELS = "172.31.254"  # known to nobody but the hosts of one cloud, in namespaces of their own


class HostPlace(msgspec.Struct, frozen=True, kw_only=True):
    """One host. `cloud_prefix` begins the names of what hosts share, `prefix` those of its own namespaces."""

    number: int
    name: str
    prefix: str
    cloud_prefix: str
    state: Path
    sockets: Path
    """Where the host process hands out sockets that live in its namespaces."""
    hosts: int
    """How many hosts `up` makes of this machine."""
    has_daemon: bool
    """libvirt is a daemon beside the host's process, which then need not be in the host's network namespace. Several
    hosts need it to send guests to each other, and so does a process that has to reach a queue over the network."""
    stands_alone: bool = False
    """On a machine of its own, with nothing around it that `up` made: switch and libvirt are the machine's."""

    @property
    def is_first(self) -> bool:
        return self.number == FIRST

    @property
    def process(self) -> str:
        """The name of the host's process."""
        return self.named("host")

    @property
    def instances(self) -> Path:
        return self.state / "instances"

    @property
    def address(self) -> str:
        """Where the other hosts of this machine reach it; empty if there are none."""
        return "" if self.hosts == 1 else f"{_TUNNELS}.{self.number}"

    def named(self, what: str) -> str:
        """The name of one of its processes: the first host's are called what they are."""
        return what if self.is_first else f"{what}-{self.number}"


def place_of(config: Config, number: int | None = FIRST) -> HostPlace:
    """The place of one host; None is a host on a machine of its own."""
    if number is None:
        return msgspec.structs.replace(place_of(config), has_daemon=False, stands_alone=True)
    folder, name = config.folder, config.kernel.host_name
    is_first = number == FIRST
    return HostPlace(
        number=number,
        name=name if is_first else f"{name}-{number}",
        prefix=folder.prefix if is_first else f"{folder.prefix}-{number}",
        cloud_prefix=folder.prefix,
        state=folder.path if is_first else folder.path / "hosts" / str(number),
        sockets=folder.host_sockets if is_first else folder.run / f"sockets-{number}.sock",
        hosts=config.kernel.hosts,
        has_daemon=config.kernel.hosts > 1 or config.kernel.has_queue,
    )


def places_of(config: Config) -> list[HostPlace]:
    """All hosts that `up` makes of this machine."""
    return [place_of(config, number) for number in range(FIRST, config.kernel.hosts + 1)]
