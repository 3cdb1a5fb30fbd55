"""The file of one object: its bytes, then what is known of it, then a footer that tells where what begins.

    bytes | sums of their pieces (`sums`) | facts (MessagePack) | footer, 24 bytes

The facts come last because they are known last (the ETag, the length), and stand in the same file because then one
rename brings an object into being whole: no state between bytes and facts exists on any file system, and no limit on
the size of extended attributes is ours. A deletion is such a file without bytes, a tombstone, under the same name.
"""

import os
import re
import struct
import zlib
from hashlib import md5
from typing import Any

import msgspec

from ..timestamp import Timestamp
from .sums import PIECE, SUM_BYTES, is_piece, length_of_sums

_FOOTER = struct.Struct("<8sQII")  # magic, data length, facts length, CRC-32 of the facts
_MAGIC = b"aeroobj2"
_TAIL = 4096
_MD5 = re.compile("[0-9a-f]{32}")
_LASTING = ("x-object-sysmeta-", "x-static-large-object")
"""Headers that belong to the bytes: a POST leaves them."""
SMALL = 64 << 10
"""Files up to this size are read in one piece."""


class Damaged(Exception):
    """A file of ours that is not whole: torn, cut short, or another's. `reason` is for the operator."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Geometry(msgspec.Struct, frozen=True, kw_only=True):
    """How an object was cut into fragments: `data` of them suffice, `parity` more were made. `segment_bytes`: of the
    object, coded at a time. `size`: of the whole object. `checksum`: MD5 of this fragment's own bytes.
    """

    data: int
    parity: int
    segment_bytes: int
    size: int
    checksum: str


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of an object beside its bytes.

    `path`: `/account/container/name`, so that a file can say whose it is. `headers`: names in lower case, as they are
    to be answered: `x-object-meta-*`, `x-object-sysmeta-*`, `content-encoding` and so on. `is_gone`: a tombstone.
    `delete_at`: seconds since 1970. `fragment`: the index of a fragment; `size` is of its own bytes, then, and `etag`
    of the whole object.
    """

    path: str
    timestamp: Timestamp
    size: int = 0
    etag: str = ""
    content_type: str = ""
    headers: dict[str, str] = {}
    delete_at: int | None = None
    is_gone: bool = False
    fragment: int | None = None
    written_at: Timestamp | None = None
    """When the bytes were written, where `timestamp` is of a later POST. Not on the disk."""
    geometry: Geometry | None = None

    @property
    def checksum(self) -> str | None:
        """The MD5 of the bytes in this file; None where nobody knows it."""
        known = self.geometry.checksum if self.geometry is not None else self.etag
        return known if not self.is_gone and _MD5.fullmatch(known) else None


class Revision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A later POST: takes the place of what users may change, until the object is written anew.

    A content type comes with its time, that of the POST that said it.
    """

    timestamp: Timestamp
    headers: dict[str, str] = {}
    delete_at: int | None = None
    content_type: str | None = None
    content_type_at: Timestamp | None = None


_facts = msgspec.msgpack.Decoder(Facts)
_revision = msgspec.msgpack.Decoder(Revision)
_encode = msgspec.msgpack.Encoder().encode


def ending(facts: Facts, sums: bytes) -> bytes:
    """What follows the object's bytes, of whose pieces these are the sums."""
    packed = _encode(facts)
    return sums + packed + _FOOTER.pack(_MAGIC, facts.size, len(packed), zlib.crc32(packed))


def read(fd: int) -> tuple[Facts, bytes | None]:
    """What an open file tells; with the object's bytes, looked at, when the file is small. Raises `Damaged`."""
    length = os.fstat(fd).st_size
    start = 0 if length <= SMALL else length - _TAIL
    tail = os.pread(fd, length - start, start)
    if len(tail) < _FOOTER.size:
        raise Damaged(f"{length} bytes are too few")
    magic, size, facts_length, crc = _FOOTER.unpack_from(tail, len(tail) - _FOOTER.size)
    if magic != _MAGIC:
        raise Damaged("it has no footer")
    facts_at = size + length_of_sums(size)
    if (expected := facts_at + facts_length + _FOOTER.size) != length:
        raise Damaged(f"{length} bytes are not the {expected} that it should have")
    if facts_at < start:
        packed = os.pread(fd, facts_length, facts_at)
    else:
        packed = tail[facts_at - start : facts_at - start + facts_length]
    facts: Facts = _decoded(_facts, packed, crc)
    if start:
        return facts, None
    data = tail[:size]
    if (checksum := facts.checksum) is None:
        if data and not is_piece(data, tail[size:facts_at]):
            raise Damaged("its bytes are not those that were written")
    elif md5(data, usedforsecurity=False).hexdigest() != checksum:
        raise Damaged("its bytes have another MD5")
    return facts, data


def read_piece(fd: int, size: int, number: int) -> bytes:
    """Of an open file whose object has `size` bytes: a piece, as it was written. Raises `Damaged`, OSError."""
    start = number * PIECE
    data = os.pread(fd, min(PIECE, size - start), start)
    if not is_piece(data, os.pread(fd, SUM_BYTES, size + number * SUM_BYTES)):
        raise Damaged(f"its bytes from {start} on are not those that were written")
    return data


def _decoded(decoder: Any, packed: bytes, crc: int) -> Any:
    if zlib.crc32(packed) != crc:
        raise Damaged("its facts have another checksum")
    try:
        return decoder.decode(packed)
    except msgspec.DecodeError as error:
        raise Damaged(f"its facts cannot be read: {error}") from error


def write_revision(revision: Revision) -> bytes:
    packed = _encode(revision)
    return packed + zlib.crc32(packed).to_bytes(4, "little")


def read_revision(content: bytes) -> Revision:
    """Raises `Damaged`."""
    revision: Revision = _decoded(_revision, content[:-4], int.from_bytes(content[-4:], "little"))
    return revision


def merged(one: Revision, other: Revision) -> Revision:
    """What two POSTs of one object make together: headers of the later, and of content types the later."""
    older, later = (one, other) if other.timestamp > one.timestamp else (other, one)
    typed = max((later, older), key=lambda revision: revision.content_type_at or 0)
    return msgspec.structs.replace(
        later, content_type=typed.content_type, content_type_at=typed.content_type_at
    )


def revised(facts: Facts, revision: Revision | None) -> Facts:
    """The object as its owner sees it. System metadata, the ETag and the like stay what the PUT said."""
    if revision is None or revision.timestamp <= facts.timestamp or facts.is_gone:
        return facts
    kept = {name: value for name, value in facts.headers.items() if name.startswith(_LASTING)}
    changed = msgspec.structs.replace(
        facts,
        timestamp=revision.timestamp,
        written_at=facts.timestamp,
        headers={**kept, **revision.headers},
        delete_at=revision.delete_at,
    )
    if revision.content_type is not None and (revision.content_type_at or 0) > facts.timestamp:
        changed = msgspec.structs.replace(changed, content_type=revision.content_type)
    return changed
