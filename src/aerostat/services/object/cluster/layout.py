"""A ring with the devices that it speaks of: from a hash to those who hold it and those who stand in for them."""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from ..ring import Device, Ring
from ..stores.protocol import DeviceVerbs, Place
from .quorum import write_quorum


class Target(NamedTuple):
    """A device that can be asked."""

    key: str
    device: DeviceVerbs
    is_local: bool


class Layout:
    """`devices`: by `Device.key`; those of the ring that are not among them count as away."""

    def __init__(self, ring: Ring, devices: Mapping[str, DeviceVerbs], local: Collection[str]) -> None:
        self.ring = ring
        self._targets = {
            device.id: Target(device.key, devices[device.key], device.key in local)
            for device in ring.devices.values()
            if device.key in devices
        }

    def place(self, hashed: str) -> Place:
        return Place(self.ring.partition(hashed), hashed)

    def holder_count(self, part: int) -> int:
        """Also of those that are not known here."""
        return len(set(self.ring.ids(part)))

    def write_quorum(self, part: int) -> int:
        """Never more than there are devices for it."""
        return min(write_quorum(len(self.ring.ids(part))), self.holder_count(part))

    def read_quorum(self, part: int) -> int:
        """Holders among which there is one that knows of every acknowledged write, unless that went to handoffs."""
        return self.holder_count(part) - self.write_quorum(part) + 1

    def holders(self, part: int) -> list[Target]:
        return self._known(self.ring.holders(part))

    def slots(self, part: int) -> list[Target | None]:
        """By number of the replica: a device may be there twice. None: it is not known here."""
        return [self._targets.get(id) for id in self.ring.ids(part)]

    def handoffs(self, part: int) -> Iterator[Target]:
        """At most as many as there are holders."""
        for device in islice(self.ring.handoffs(part), self.holder_count(part)):
            if device.id in self._targets:
                yield self._targets[device.id]

    def _known(self, devices: list[Device]) -> list[Target]:
        return [self._targets[device.id] for device in devices if device.id in self._targets]
