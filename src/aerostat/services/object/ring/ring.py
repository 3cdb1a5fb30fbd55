"""The ring as servers read it: from a partition to its devices, and to those that stand in for them."""

import hashlib
import os
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .devices import DEPTH, Device, tiers_of
from .hashing import partition_of

T = TypeVar("T")

_MAGIC = b"aerostat-ring 1\n"
_KIND = "ring"


class RingError(ValueError):
    """A ring, or its file, is not as it must be."""


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    part_power: int
    version: int
    devices: list[Device]
    rows: list[bytes]


class Ring:
    """Immutable. A newer one replaces it whole."""

    def __init__(
        self, *, part_power: int, version: int, devices: Iterable[Device], rows: "Sequence[array[int]]"
    ) -> None:
        self.part_power = part_power
        self.version = version
        self.devices = {device.id: device for device in devices}
        self._rows = rows
        self._order = [self.devices[id] for id in sorted(self.devices)]

    @property
    def parts(self) -> int:
        return 1 << self.part_power

    @property
    def replicas(self) -> float:
        """Replicas per partition, on average."""
        return sum(len(row) for row in self._rows) / self.parts

    def partition(self, hashed: str) -> int:
        """Of a hash by `Hasher`."""
        return partition_of(hashed, self.part_power)

    def holders(self, part: int) -> list[Device]:
        """The devices of a partition, one for each replica; where a device is there twice it is told once."""
        ids = dict.fromkeys(row[part] for row in self._rows if part < len(row))
        return [self.devices[id] for id in ids]

    def ids(self, part: int) -> list[int]:
        """Device ids by replica."""
        return [row[part] for row in self._rows if part < len(row)]

    def handoffs(self, part: int) -> Iterator[Device]:
        """All other devices of weight, those farthest from the holders and from each other first; always in the same
        order for one partition.
        """
        holders = self.holders(part)
        seen = {tier for device in holders for tier in tiers_of(device)}
        start = part * 2_654_435_761 % len(self._order)
        order = self._order[start:] + self._order[:start]
        for depth in range(DEPTH):
            for device in order:
                tiers = tiers_of(device)
                if device.weight > 0 and tiers[depth] not in seen and tiers[-1] not in seen:
                    seen.update(tiers)
                    yield device

    # The file

    def save(self, path: Any) -> None:
        """Write the file that servers read; it replaces what was there at once or not at all."""
        saved = _Saved(
            part_power=self.part_power,
            version=self.version,
            devices=list(self.devices.values()),
            rows=pack(self._rows),
        )
        write_file(path, _KIND, saved)

    @classmethod
    def load(cls, path: Any) -> "Ring":
        """Raises `RingError` when the file is none of ours, or damaged."""
        saved = read_file(path, _KIND, _Saved)
        rows = [unpack("H", row) for row in saved.rows]
        return cls(part_power=saved.part_power, version=saved.version, devices=saved.devices, rows=rows)


def write_file(path: Any, kind: str, value: msgspec.Struct) -> None:
    """Magic, kind, SHA-256 of the rest, and the value packed: whole on the disk before it has its name."""
    body = zlib.compress(msgspec.msgpack.encode(value), 6)
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(_MAGIC + f"{kind} {hashlib.sha256(body).hexdigest()}\n".encode() + body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_file(path: Any, kind: str, type: type[T]) -> T:
    content = Path(path).read_bytes()
    head, _, body = content.removeprefix(_MAGIC).partition(b"\n")
    told, _, digest = head.decode("latin-1").partition(" ")
    if not content.startswith(_MAGIC) or told != kind:
        raise RingError(f"{path} is no {kind} file.")
    if hashlib.sha256(body).hexdigest() != digest:
        raise RingError(f"{path} is damaged.")
    return msgspec.msgpack.decode(zlib.decompress(body), type=type)


def pack(rows: "Iterable[array[int]]") -> list[bytes]:
    """Rows as bytes, the low byte first whatever this machine does."""
    packed = []
    for row in rows:
        copied = array(row.typecode, row)
        if sys.byteorder == "big":
            copied.byteswap()
        packed.append(copied.tobytes())
    return packed


def unpack(typecode: str, packed: bytes) -> "array[int]":
    row = array(typecode)
    row.frombytes(packed)
    if sys.byteorder == "big":
        row.byteswap()
    return row
