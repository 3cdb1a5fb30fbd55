"""Erasure code: from a segment of an object to its fragments, and back from any `data` of them.

https://docs.openstack.org/swift/latest/overview_erasure_code.html. The library is pyeclib, upstream's, so that the code
is one that is well known. Each coded piece begins with a header of the library's and carries a checksum.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pyeclib.ec_iface import ECDriver, ECDriverError

SEGMENT_BYTES = 1 << 20
"""Of the object, coded at a time."""
MOST_VANDERMONDE = 4
"""More parity than that needs the other matrix: not every choice of rows of this one can be inverted."""


class NotDecodable(Exception):
    """These pieces do not make a segment."""


class Code:
    """`data` fragments suffice, `parity` more are made. Everything blocks, for about a millisecond a segment."""

    def __init__(self, data: int, parity: int) -> None:
        self.data, self.parity = data, parity
        matrix = "isa_l_rs_vand" if parity <= MOST_VANDERMONDE else "isa_l_rs_cauchy"
        self._driver = ECDriver(k=data, m=parity, ec_type=matrix, chksum_type="inline_crc32")
        self._piece_bytes = lru_cache(64)(self._count_piece_bytes)

    @property
    def fragments(self) -> int:
        return self.data + self.parity

    def encode(self, segment: bytes) -> list[bytes]:
        """A piece for each fragment."""
        pieces: list[bytes] = self._driver.encode(segment)
        return pieces

    def decode(self, pieces: Sequence[bytes]) -> bytes:
        """The segment, from `data` whole pieces of different fragments. Raises `NotDecodable`."""
        try:
            segment: bytes = self._driver.decode(list(pieces))
        except ECDriverError as error:
            raise NotDecodable(str(error)) from error
        return segment

    def damage(self, piece: bytes, fragment: int) -> str | None:
        """What is wrong with a piece of that fragment; None when it is whole."""
        try:
            found: Any = self._driver.get_metadata(piece, 1)
        except ECDriverError as error:
            return f"a piece has a damaged header: {error}"
        if found["chksum_mismatch"]:
            return "a piece has another checksum"
        if found["index"] != fragment:
            return f"a piece is of fragment {found['index']}"
        return None

    def piece_bytes(self, segment_bytes: int) -> int:
        """Of each fragment, for a segment of that size."""
        return self._piece_bytes(segment_bytes)

    def _count_piece_bytes(self, segment_bytes: int) -> int:
        if not segment_bytes:
            return 0
        return int(self._driver.get_segment_info(segment_bytes, segment_bytes)["fragment_size"])

    def fragment_bytes(self, size: int, segment_bytes: int = SEGMENT_BYTES) -> int:
        """Of each fragment, for an object of that size."""
        whole, rest = divmod(size, segment_bytes)
        return whole * self.piece_bytes(segment_bytes) + self.piece_bytes(rest)


@lru_cache(64)
def code_of(data: int, parity: int) -> Code:
    return Code(data, parity)
