"""How well a ring is made: devices by what they should hold, and partitions whose replicas are too near each other."""

import math
from collections import Counter

import msgspec

from .devices import Tier, tiers_of
from .ring import Ring
from .targets import in_whole, wanted_replicas


class Dispersion(msgspec.Struct, frozen=True, kw_only=True):
    """`balance`: the largest difference of a device from its share, in per cent of it. `crowded`: partitions some tier
    of which holds more replicas than it should, and by tier how many.
    """

    balance: float
    crowded: int
    by_tier: dict[Tier, int]


def measure(ring: Ring, overload: float = 0.0) -> Dispersion:
    wanted = wanted_replicas(ring.devices.values(), ring.replicas, overload)
    allowed = {tier: math.ceil(amount - 1e-9) for tier, amount in wanted.items()}
    held: Counter[int] = Counter()
    by_tier: Counter[Tier] = Counter()
    crowded = 0
    for part in range(ring.parts):
        ids = ring.ids(part)
        held.update(ids)
        counts = Counter(tier for id in ids for tier in tiers_of(ring.devices[id]))
        over = [tier for tier, count in counts.items() if count > allowed.get(tier, 0)]
        by_tier.update(over)
        crowded += bool(over)
    shares = in_whole(wanted, sum(held.values()))
    off = [abs(held[id] - share) / share * 100 for id, share in shares.items() if share]
    return Dispersion(balance=max(off, default=0.0), crowded=crowded, by_tier=dict(by_tier))
