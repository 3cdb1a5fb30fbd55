"""The builder: devices come, go and change, and partitions follow with as few moves as that takes."""

import math
import random
import time
from array import array
from typing import Any

import msgspec

from .devices import MOST_DEVICES, Device
from .placement import NOWHERE, Place, Placement, shuffled
from .ring import Ring, RingError, pack, read_file, unpack, write_file
from .targets import wanted_replicas

HOUR_S = 3600
_KIND = "builder"


class Rebalanced(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebalance did. `moved`: replicas that changed devices; `waiting`: that should, but moved lately."""

    moved: int
    placed: int
    """Replicas that were nowhere before: of a new ring, or of devices that are gone."""
    waiting: int


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    part_power: int
    replicas: float
    min_part_hours: int
    overload: float
    version: int
    next_id: int
    devices: list[Device]
    rows: list[bytes]
    moved_at_h: bytes


class Builder:
    """The ring as its operator shapes it. Changes act at the next `rebalance`.

    `part_power`: 2 to its power is the number of partitions, for ever; aim at 100 for each device that will ever be.
    `replicas`: 1 or more; 2.5 means three of every second partition. `min_part_hours`: at most one replica of a
    partition is moved in that time, so that the others are there while it is copied.
    """

    def __init__(
        self, part_power: int, replicas: float, *, min_part_hours: int = 1, overload: float = 0.0
    ) -> None:
        if not 0 <= part_power <= 32:
            raise RingError("A ring has 2**0 to 2**32 partitions.")
        if min_part_hours < 0 or not (overload >= 0 and math.isfinite(overload)):
            raise RingError("Hours and overload are not negative.")
        self.part_power = part_power
        self.replicas = _replicas(replicas)
        self.min_part_hours = min_part_hours
        self.overload = overload
        self.version = 0
        self.devices: dict[int, Device] = {}
        self._next_id = 0
        self._table: list[array[int]] = []
        self._moved_at_h = array("I", bytes(4 * self.parts))

    @property
    def parts(self) -> int:
        return 1 << self.part_power

    # Devices

    def add(self, *, node: str, name: str, weight: float, region: int = 1, zone: int = 1) -> Device:
        """A new device; its partitions come at the next rebalance. Ids are never used twice."""
        if any((one.node, one.name) == (node, name) for one in self.devices.values()):
            raise RingError(f"The device {name} of {node} is in the ring already.")
        if self._next_id >= MOST_DEVICES:
            raise RingError(f"A ring has known at most {MOST_DEVICES} devices.")
        device = Device(
            id=self._next_id, node=node, name=name, weight=_weight(weight), region=region, zone=zone
        )
        self._next_id += 1
        self.devices[device.id] = device
        return device

    def remove(self, id: int) -> Device:
        """The device is lost, or empty: its partitions go elsewhere at the next rebalance, waiting for nothing."""
        self.find(id)
        return self.devices.pop(id)

    def set_weight(self, id: int, weight: float) -> Device:
        """Of weight 0, a device is emptied a replica of each partition at a time."""
        changed = msgspec.structs.replace(self.find(id), weight=_weight(weight))
        self.devices[id] = changed
        return changed

    def find(self, id: int) -> Device:
        if (device := self.devices.get(id)) is None:
            raise RingError(f"No device of the ring has the id {id}.")
        return device

    def set_replicas(self, replicas: float) -> None:
        self.replicas = _replicas(replicas)

    # Partitions

    def rebalance(self, *, now_s: float | None = None, seed: int | str | None = None) -> Rebalanced:
        """Bring every device to the partitions that its weight gives it, and replicas of one partition apart.

        Raises `RingError` when no device has weight. A change is complete when a rebalance, after `min_part_hours`,
        moves nothing more.
        """
        now_h = int((time.time() if now_s is None else now_s) // HOUR_S)
        rng = random.Random(f"{self.version}" if seed is None else seed)
        wanted = wanted_replicas(self.devices.values(), self.replicas, self.overload)
        if not wanted:
            raise RingError("No device of the ring has weight.")
        self._fit_table()
        before = [array("H", row) for row in self._table]
        placement = Placement(self._table, self.devices.values(), wanted)
        lifted, waiting = self._lift(placement, now_h, rng)
        placement.set_down(shuffled(lifted, rng))
        moved = placed = 0
        for replica, part in lifted:
            was, is_now = before[replica][part], self._table[replica][part]
            if was not in self.devices:
                placed += 1
            elif was != is_now:
                moved += 1
            if was != is_now and self.version > 0:  # a first placing moves no data
                self._moved_at_h[part] = now_h
        self.version += 1
        return Rebalanced(moved=moved, placed=placed, waiting=waiting)

    def _lift(self, placement: Placement, now_h: int, rng: random.Random) -> tuple[list[Place], int]:
        """Take up what must move, at most one replica of each partition beside those that have no device."""
        lifted: list[Place] = []
        touched: set[int] = set()
        waiting = 0
        emptied = {id for id, device in self.devices.items() if device.weight <= 0}
        for replica, part in placement.homeless():
            if self._table[replica][part] in emptied:
                if part in touched or self._rests(part, now_h):
                    waiting += 1
                    continue
                touched.add(part)
            lifted.append((replica, part))
        missing = {part for _, part in lifted}
        parts = list(range(self.parts))
        rng.shuffle(parts)
        for part in parts:
            if part in missing or (near := placement.crowded(part)) is None:
                continue
            if self._rests(part, now_h):
                waiting += 1
                continue
            placement.lift((near, part))
            lifted.append((near, part))
            missing.add(part)
        for place in lifted:
            placement.lift(place)
        for part in parts:
            if not (overfull := placement.overfull()):
                break
            held = (n for n, row in enumerate(self._table) if part < len(row) and row[part] in overfull)
            if (found := next(held, None)) is None or part in missing:
                continue
            if self._rests(part, now_h):
                waiting += 1
                continue
            placement.lift((found, part))
            lifted.append((found, part))
        return lifted, waiting

    def _rests(self, part: int, now_h: int) -> bool:
        """Whether a replica of the partition was moved too lately."""
        return self._moved_at_h[part] != 0 and now_h - self._moved_at_h[part] < self.min_part_hours

    def _fit_table(self) -> None:
        """Rows for as many replicas as are wanted; the last is short when that is no whole number."""
        lengths = [self.parts] * int(self.replicas)
        if rest := round((self.replicas - int(self.replicas)) * self.parts):
            lengths.append(rest)
        del self._table[len(lengths) :]
        for row, length in zip(self._table, lengths, strict=False):
            del row[length:]
            row.extend([NOWHERE] * (length - len(row)))
        for length in lengths[len(self._table) :]:
            self._table.append(array("H", [NOWHERE]) * length)

    # Out and in

    def ring(self) -> Ring:
        """What servers need of it. Raises `RingError` before the first rebalance."""
        if not self._table:
            raise RingError("The ring was not balanced yet.")
        return Ring(
            part_power=self.part_power,
            version=self.version,
            devices=self.devices.values(),
            rows=[array("H", row) for row in self._table],
        )

    def save(self, path: Any) -> None:
        """Write the builder's file; it replaces what was there at once or not at all."""
        saved = _Saved(
            part_power=self.part_power,
            replicas=self.replicas,
            min_part_hours=self.min_part_hours,
            overload=self.overload,
            version=self.version,
            next_id=self._next_id,
            devices=list(self.devices.values()),
            rows=pack(self._table),
            moved_at_h=pack([self._moved_at_h])[0],
        )
        write_file(path, _KIND, saved)

    @classmethod
    def load(cls, path: Any) -> "Builder":
        """Raises `RingError` when the file is none of ours, or damaged."""
        saved = read_file(path, _KIND, _Saved)
        builder = cls(
            saved.part_power,
            saved.replicas,
            min_part_hours=saved.min_part_hours,
            overload=saved.overload,
        )
        builder.version, builder._next_id = saved.version, saved.next_id
        builder.devices = {device.id: device for device in saved.devices}
        builder._table = [unpack("H", row) for row in saved.rows]
        builder._moved_at_h = unpack("I", saved.moved_at_h)
        return builder


def _replicas(replicas: float) -> float:
    if not (replicas >= 1 and math.isfinite(replicas)):
        raise RingError("A ring has at least one replica.")
    return float(replicas)


def _weight(weight: float) -> float:
    if not (weight >= 0 and math.isfinite(weight)):
        raise RingError("The weight of a device is 0 or more.")
    return float(weight)
