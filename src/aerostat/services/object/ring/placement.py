"""The work of one rebalance: replicas are lifted from where they are too many, and set down where they are missed.

Each device has a number of places. What is short of them is its hunger; tiers carry the hunger of all below them, so
a place is found by walking down from the top: to those that are hungry, hold the partition least, and want most.
Serving the largest want first is what keeps the last partitions from having only bad places left.
"""

import math
import random
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .devices import DEPTH, Device, Tier, children_of, tiers_of
from .targets import in_whole

NOWHERE = 65_535
TRIES = 400  # partners looked at, to mend one bad place by an exchange

Place = tuple[int, int]
"""A replica (the row) of a partition (the column)."""


class Placement:
    """`table[replica][partition]` is a device's id, changed in place. `wanted` is `wanted_replicas` of the devices."""

    def __init__(
        self, table: "Sequence[array[int]]", devices: Iterable[Device], wanted: Mapping[Tier, float]
    ) -> None:
        self._table = table
        alive = [device for device in devices if device.weight > 0]
        self._tiers = {device.id: tiers_of(device) for device in alive}
        self._below = children_of(alive)
        self._allowed = {tier: math.ceil(amount - 1e-9) for tier, amount in wanted.items()}
        self.places = in_whole(wanted, sum(len(row) for row in table))
        self._hunger: dict[int, int] = dict.fromkeys(self._tiers, 0)
        self._hungry: dict[Tier, int] = dict.fromkeys(self._allowed, 0)
        for id, count in self.places.items():
            self._feed(id, -count)
        for row in table:
            for id in self._tiers:
                self._feed(id, row.count(id))

    def _feed(self, id: int, count: int) -> None:
        before = self._hunger[id]
        after = self._hunger[id] = before - count
        if change := max(after, 0) - max(before, 0):
            for tier in self._tiers[id]:
                self._hungry[tier] += change

    # Looking

    def homeless(self) -> Iterator[Place]:
        """Replicas on no device, or on one that is gone or has no weight."""
        for replica, row in enumerate(self._table):
            for part, id in enumerate(row):
                if id not in self._tiers:
                    yield replica, part

    def crowded(self, part: int) -> int | None:
        """The replica of a partition that had better be elsewhere because others of it are too near; None if none."""
        counts = self._counts(part)
        worst, found = 0, None
        for replica, id in self._holders(part):
            for depth, tier in enumerate(self._tiers[id]):
                over = counts[tier] - self._allowed[tier]
                if over > 0 and (weight := (DEPTH - depth) * 1_000 - self._hunger[id]) > worst:
                    worst, found = weight, replica
        return found

    def overfull(self) -> set[int]:
        return {id for id, hunger in self._hunger.items() if hunger < 0}

    def _holders(self, part: int) -> Iterator[tuple[int, int]]:
        for replica, row in enumerate(self._table):
            if part < len(row) and row[part] in self._tiers:
                yield replica, row[part]

    def _counts(self, part: int) -> dict[Tier, int]:
        counts: dict[Tier, int] = {}
        for _, id in self._holders(part):
            for tier in self._tiers[id]:
                counts[tier] = counts.get(tier, 0) + 1
        return counts

    # Changing

    def lift(self, place: Place) -> None:
        replica, part = place
        if (id := self._table[replica][part]) in self._tiers:
            self._feed(id, -1)
        self._table[replica][part] = NOWHERE

    def set_down(self, lifted: Sequence[Place]) -> None:
        """Give every lifted replica a device, those of one partition together."""
        parts: dict[int, list[Place]] = {}
        for place in lifted:
            parts.setdefault(place[1], []).append(place)
        left = len(parts)
        for places in parts.values():
            for place in places:
                self._put(place, self._choose(place[1], left))
            left -= 1
        for place in lifted:
            self._improve(place, lifted)

    def _put(self, place: Place, id: int) -> None:
        self._table[place[0]][place[1]] = id
        self._feed(id, 1)

    def _choose(self, part: int, left: int) -> int:
        counts = self._counts(part)
        tier: Tier = ()
        for _ in range(DEPTH):
            tier = min(self._below[tier], key=lambda one: self._rank(one, counts, left))
        id = int(tier[-1])
        if counts.get(tier, 0) < self._allowed[tier]:
            return id
        return min(self._tiers, key=lambda id: (self._harm(id, counts), -self._hunger[id]))

    def _rank(self, tier: Tier, counts: Mapping[Tier, int], left: int) -> tuple[bool, bool, float]:
        """What a tier must still get from each partition that is left, less what it has of this one."""
        hungry, count = self._hungry[tier], counts.get(tier, 0)
        return hungry <= 0, count >= self._allowed[tier], count - hungry / left

    def _harm(self, id: int, counts: Mapping[Tier, int]) -> int:
        """How bad one more replica on a device is: tiers that get too many of one partition, the narrowest weighs
        most. 0 is no harm.
        """
        return sum(
            1 << depth
            for depth, tier in enumerate(self._tiers[id])
            if counts.get(tier, 0) >= self._allowed[tier]
        )

    def _improve(self, place: Place, lifted: Sequence[Place]) -> None:
        """Exchange with another lifted replica, where that mends a bad place and makes none. Costs no move."""
        replica, part = place
        id = self._table[replica][part]
        if self._is_good(place, id) and self._hunger[id] >= 0:
            return
        hungry = [other for other, hunger in self._hunger.items() if hunger > 0]
        start = part * 7919 % len(lifted)
        for offset in range(min(TRIES, len(lifted))):
            other = lifted[(start + offset) % len(lifted)]
            there = self._table[other[0]][other[1]]
            if there == id or other[1] == part or not self._is_good(place, there):
                continue
            for target in (*hungry, id):
                if target != there and self._is_good(other, target):
                    for moved in (place, other):
                        self.lift(moved)
                    self._put(place, there)
                    self._put(other, target)
                    return

    def _is_good(self, place: Place, id: int) -> bool:
        """Whether the replica could be on this device without harm, the others staying where they are."""
        counts = self._counts(place[1])
        if (now := self._table[place[0]][place[1]]) in self._tiers:
            for tier in self._tiers[now]:
                counts[tier] -= 1
        return self._harm(id, counts) == 0


def shuffled(places: Iterable[Place], rng: random.Random) -> list[Place]:
    mixed = list(places)
    rng.shuffle(mixed)
    return mixed
