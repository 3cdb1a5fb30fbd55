"""From a path to its hash and partition.

The hash is keyed with the cluster's secret: nobody outside can choose names that meet in one partition, or guess where
a name lies on a disk.
"""

from hashlib import blake2b

DIGEST_BYTES = 16


class Hasher:
    """`secret`: 16 to 64 bytes, the same on every node for ever; with another nothing is found again."""

    __slots__ = ("_blank",)

    def __init__(self, secret: bytes) -> None:
        if not 16 <= len(secret) <= 64:
            raise ValueError("The secret of the ring's hash must have 16 to 64 bytes.")
        self._blank = blake2b(digest_size=DIGEST_BYTES, key=secret)

    def hash(self, account: str, container: str | None = None, name: str | None = None) -> str:
        """32 hexadecimal digits, of an account, a container or an object."""
        if container is None:
            path = f"/{account}"
        elif name is None:
            path = f"/{account}/{container}"
        else:
            path = f"/{account}/{container}/{name}"
        hashed = self._blank.copy()
        hashed.update(path.encode("utf-8", "surrogateescape"))
        return hashed.hexdigest()


def partition_of(hashed: str, part_power: int) -> int:
    """The first `part_power` bits (at most 32) of a hash."""
    return int(hashed[:8], 16) >> (32 - part_power)
