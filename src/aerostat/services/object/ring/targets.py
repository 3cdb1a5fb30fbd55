"""How many replicas of each partition every tier should hold, on average: from weights, and bounded by safety.

A device never gets two replicas of one partition while there are enough devices. Beyond that weights decide, unless
`overload` lets the lighter tiers take more than their share for the sake of distance.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from .devices import DEPTH, Device, Tier, children_of, tiers_of


def wanted_replicas(devices: Iterable[Device], replicas: float, overload: float = 0.0) -> dict[Tier, float]:
    """Replicas per partition, by tier; those of the children of a tier sum up to the tier's own.

    `overload` 0.1 means: a tier may be asked for a tenth more than its weight says. Devices of no weight get nothing.
    """
    alive = [device for device in devices if device.weight > 0]
    if not alive:
        return {}
    most = float(math.ceil(replicas / len(alive)))
    weights: dict[Tier, float] = {}
    caps: dict[Tier, float] = {}
    for device in alive:
        for tier in ((), *tiers_of(device)):
            weights[tier] = weights.get(tier, 0.0) + device.weight
            caps[tier] = caps.get(tier, 0.0) + most
    below = children_of(alive)
    wanted: dict[Tier, float] = {(): replicas}
    tiers: list[Tier] = [()]
    for _ in range(DEPTH):
        following: list[Tier] = []
        for tier in tiers:
            children = below[tier]
            shares = _share(wanted[tier], [weights[one] for one in children], [caps[one] for one in children])
            shares = _spread(shares, [caps[one] for one in children], overload)
            wanted |= zip(children, shares, strict=True)
            following += children
        tiers = following
    return wanted


def _share(amount: float, weights: Sequence[float], caps: Sequence[float]) -> list[float]:
    """By weight, what does not fit under one's cap going to the others."""
    shares = [0.0] * len(weights)
    rest, open_ = amount, set(range(len(weights)))
    while open_ and rest > 1e-12:
        total = sum(weights[index] for index in open_)
        full = {index for index in open_ if shares[index] + rest * weights[index] / total >= caps[index]}
        if not full:
            for index in open_:
                shares[index] += rest * weights[index] / total
            break
        for index in full:
            rest -= caps[index] - shares[index]
            shares[index] = caps[index]
        open_ -= full
    return shares


def _spread(shares: list[float], caps: Sequence[float], overload: float) -> list[float]:
    """Take from those that hold more than one replica each where others could, as far as `overload` allows."""
    even = max(1.0, sum(shares) / len(shares))
    excess = sum(max(0.0, share - even) for share in shares)
    rooms = [
        max(0.0, min(cap, even, share * (1 + overload)) - share)
        for share, cap in zip(shares, caps, strict=True)
    ]
    moved = min(excess, sum(rooms))
    if moved <= 1e-12:
        return shares
    taken, given = moved / excess, moved / sum(rooms)
    return [
        share - (share - even) * taken if share > even else share + room * given
        for share, room in zip(shares, rooms, strict=True)
    ]


def in_whole(wanted: Mapping[Tier, float], total: int) -> dict[int, int]:
    """By device id, how many of `total` places it should take. Every tier's places are a whole number, too: nearest to
    what is wanted of it, as far as its siblings' are.
    """
    below: dict[Tier, list[Tier]] = {}
    for tier in wanted:
        if tier:
            below.setdefault(tier[:-1], []).append(tier)
    whole: dict[Tier, int] = {(): total}
    tiers: list[Tier] = [()]
    for _ in range(DEPTH):
        for tier in tiers:
            exact = {one: whole[tier] * wanted[one] / max(wanted[tier], 1e-12) for one in below[tier]}
            whole |= {one: int(amount) for one, amount in exact.items()}
            by_remainder = sorted(exact, key=lambda one: (whole[one] - exact[one], one))
            for one in by_remainder[: whole[tier] - sum(whole[one] for one in exact)]:
                whole[one] += 1
        tiers = [one for tier in tiers for one in below[tier]]
    return {int(tier[-1]): whole[tier] for tier in tiers}
