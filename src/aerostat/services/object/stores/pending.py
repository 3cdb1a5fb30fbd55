"""Words for listings that could not be told at once: a small file each, until the updater has told them.

    DEVICE/pending/SUFFIX/HASH-TIME-…      HASH: of the container or account that is to hear

A note is on the disk when `keep` returns. One that is torn is known by its checksum.
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..timestamp import Timestamp, now
from .account_db import ContainerEntry
from .container_db import Entry
from .held import SUFFIX_DIGITS

_CHECK_BYTES = 4
_encode = msgspec.msgpack.Encoder().encode


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is to hear what. Without a container it is the account that is to hear of containers. `told`: devices, by
    key, that know already. `at`: when it was first tried.
    """

    at: Timestamp
    account: str
    container: str | None = None
    objects: list[Entry] = []
    containers: list[ContainerEntry] = []
    told: list[str] = []


_decoder = msgspec.msgpack.Decoder(Note)
_numbered = 0


class Pending:
    """The notes of one device. Everything blocks."""

    def __init__(self, device: Path) -> None:
        self.root = device / "pending"

    def keep(self, hashed: str, note: Note) -> str:
        """Write it down; answers its name. Raises OSError."""
        global _numbered
        _numbered += 1
        name = f"{hashed[-SUFFIX_DIGITS:]}/{hashed}-{now()}-{os.getpid()}-{_numbered}"
        self._write(self.root / name, note)
        return name

    def change(self, name: str, note: Note) -> str:
        """Another one instead of it; answers its name. Raises OSError. Who dies meanwhile leaves both: no harm."""
        hashed, _, _ = name.rpartition("/")[2].partition("-")
        changed = self.keep(hashed, note)
        self.drop(name)
        return changed

    def _write(self, path: Path, note: Note) -> None:
        packed = _encode(note)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(zlib.crc32(packed).to_bytes(_CHECK_BYTES, "little") + packed)
            file.flush()
            os.fsync(file.fileno())

    def names(self) -> Iterator[str]:
        """Notes, those to one hearer together and in the order in which they were written."""
        for suffix in _listed(self.root):
            for name in _listed(self.root / suffix):
                yield f"{suffix}/{name}"

    def read(self, name: str) -> Note | None:
        """None when it is gone, or torn: it may be in the making."""
        try:
            content = (self.root / name).read_bytes()
        except FileNotFoundError:
            return None
        packed = content[_CHECK_BYTES:]
        if zlib.crc32(packed) != int.from_bytes(content[:_CHECK_BYTES], "little") or not packed:
            return None
        return _decoder.decode(packed)

    def drop(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)


def _listed(path: Path) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
