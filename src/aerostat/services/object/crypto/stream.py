"""Bytes of objects: AES-256 in counter mode, so that they are as long as they were and can be read from the middle."""

import os

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

KEY_BYTES = 32
BLOCK = 16


class BodyKey:
    """Of one object's bytes: made for it, and kept with it under the key of its path."""

    __slots__ = ("_iv", "_key")

    def __init__(self, packed: bytes) -> None:
        """Raises ValueError."""
        if len(packed) != KEY_BYTES + BLOCK:
            raise ValueError("no key of an object")
        self._key, self._iv = packed[:KEY_BYTES], packed[KEY_BYTES:]

    @classmethod
    def new(cls) -> "BodyKey":
        return cls(os.urandom(KEY_BYTES + BLOCK))

    @property
    def packed(self) -> bytes:
        return self._key + self._iv

    def at(self, offset: int) -> CipherContext:
        """What turns bytes from `offset` on into the other kind: both ways are one."""
        blocks, inside = divmod(offset, BLOCK)
        counter = (int.from_bytes(self._iv, "big") + blocks) % (1 << 8 * BLOCK)
        turning = Cipher(AES256(self._key), CTR(counter.to_bytes(BLOCK, "big"))).encryptor()
        turning.update(bytes(inside))
        return turning
