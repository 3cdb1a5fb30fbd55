"""Sums of the pieces of an object's bytes: made while they are written, looked at before any of a piece is given out.

A piece is as many bytes as are read at once, so a range costs no more than the pieces that it touches. A sum is XXH3:
it finds what disks do to bytes, for a hundredth of what MD5 costs; it is no defence against who means harm, and needs
to be none: whoever can write to the disk can write the sum as well.
"""

from xxhash import xxh3_64, xxh3_64_digest

PIECE = 256 << 10
SUM_BYTES = 8


def length_of_sums(size: int) -> int:
    """In bytes, of so many bytes."""
    return -(-size // PIECE) * SUM_BYTES


def is_piece(data: bytes, expected: bytes) -> bool:
    """Whether a piece is what it was when its sum was made."""
    return xxh3_64_digest(data) == expected


class Sums:
    """Of bytes that come in portions of any size."""

    __slots__ = ("_hash", "_left", "_made")

    def __init__(self) -> None:
        self._made = bytearray()
        self._hash = xxh3_64()
        self._left = PIECE

    def update(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            portion = view[: self._left]
            self._hash.update(portion)
            self._left -= len(portion)
            view = view[len(portion) :]
            if not self._left:
                self._end_piece()

    def all(self) -> bytes:
        """One after the other, the last of a piece that may be shorter; no bytes come after this."""
        if self._left < PIECE:
            self._end_piece()
        return bytes(self._made)

    def _end_piece(self) -> None:
        self._made += self._hash.digest()
        self._hash.reset()
        self._left = PIECE
