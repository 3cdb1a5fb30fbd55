"""Devices, and the tiers of the world in which they fail together: region, zone, node, the device itself."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

Tier = tuple[int | str, ...]
"""`()` is everything, then (region,), (region, zone), (region, zone, node), (region, zone, node, device id)."""

DEPTH = 4
MOST_DEVICES = 65_535


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One disk of one node. `weight` is any measure of its size, the same for all; 0 empties it."""

    id: int
    node: str
    """Where its server is reached, `host:port`; `local` is this process."""
    name: str
    """Of its folder on the node."""
    weight: float
    region: int = 1
    zone: int = 1

    @property
    def key(self) -> str:
        """By which it is known in all rings; ids are of one ring only."""
        return f"{self.node}/{self.name}"


def tiers_of(device: Device) -> tuple[Tier, ...]:
    """The four tiers a device is in, widest first."""
    whole = (device.region, device.zone, device.node, device.id)
    return tuple(whole[:depth] for depth in range(1, DEPTH + 1))


def children_of(devices: Iterable[Device]) -> Mapping[Tier, list[Tier]]:
    """The tiers right below each tier, in a fixed order; `()` has the regions."""
    found: dict[Tier, dict[Tier, None]] = defaultdict(dict)
    for device in sorted(devices, key=lambda one: (one.region, one.zone, one.node, one.id)):
        for tier in tiers_of(device):
            found[tier[:-1]][tier] = None
    return {tier: list(below) for tier, below in found.items()}
