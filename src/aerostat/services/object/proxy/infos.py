"""What is known of accounts and containers: asked for with every request, so it is remembered for a while.

Processes on one machine see each other's changes at once: each change marks one of some thousand counters in a file
that they all map, and what was remembered under an older count is forgotten. Other machines' changes are seen after
`ttl_s` at the latest.
"""

import mmap
import os
import time
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from ..cluster.cluster import Cluster
from ..stores.account_db import AccountStatus
from ..stores.container_db import ContainerStatus
from ..stores.protocol import Said
from ..timestamp import Timestamp

MOST_KNOWN = 20_000
SLOTS = 4096
_SLOT_BYTES = 8

T = TypeVar("T")


class AccountInfo(msgspec.Struct, frozen=True):
    """`headers`: what was said of it, by the name of the header, without what was removed."""

    status: AccountStatus
    headers: Mapping[str, str]
    modified_at: Timestamp = 0
    """It was made, or something was said of it."""


class ContainerInfo(msgspec.Struct, frozen=True):
    """See `AccountInfo`."""

    status: ContainerStatus
    headers: Mapping[str, str]
    modified_at: Timestamp
    """It was made, or something was said of it."""

    @property
    def policy(self) -> int:
        return self.status.policy

    @property
    def read_acl(self) -> str | None:
        return self.headers.get("x-container-read")

    @property
    def write_acl(self) -> str | None:
        return self.headers.get("x-container-write")


class Generations:
    """Counters in a file, shared by the processes that map it."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, SLOTS * _SLOT_BYTES)
            self._counts = memoryview(mmap.mmap(fd, SLOTS * _SLOT_BYTES)).cast("Q")
        finally:
            os.close(fd)

    def of(self, key: str) -> int:
        return self._counts[zlib.crc32(key.encode("utf-8", "surrogateescape")) % SLOTS]

    def changed(self, key: str) -> None:
        """After the change: what others read from now on is new."""
        slot = zlib.crc32(key.encode("utf-8", "surrogateescape")) % SLOTS
        self._counts[slot] = (self._counts[slot] + 1) % (1 << 63)


class _Known(Generic[T]):
    __slots__ = ("generation", "until_s", "what")

    def __init__(self, what: T, generation: int, until_s: float) -> None:
        self.what, self.generation, self.until_s = what, generation, until_s


class Infos:
    """Answers None for what is not there, and remembers that too; None where a path reaches no account or container."""

    def __init__(self, cluster: Callable[[], Cluster], generations: Generations, ttl_s: float) -> None:
        self._cluster = cluster
        self._generations = generations
        self._ttl_s = ttl_s
        self._known: OrderedDict[str, _Known[object]] = OrderedDict()

    async def account(self, account: str | None, *, fresh: bool = False) -> AccountInfo | None:
        """`fresh`: sums as they are now."""
        if account is None:
            return None

        async def load() -> AccountInfo | None:
            found = await self._cluster().accounts.status(account)
            if found is None:
                return None
            status, said = found
            return AccountInfo(status, _live(said), max(status.put_at, _said_at(said)))

        return await self._get(account, load, fresh)

    async def container(
        self, account: str | None, container: str | None, *, fresh: bool = False
    ) -> ContainerInfo | None:
        if account is None or container is None:
            return None

        async def load() -> ContainerInfo | None:
            found = await self._cluster().containers.status(account, container)
            if found is None:
                return None
            status, said = found
            return ContainerInfo(status, _live(said), max(status.put_at, _said_at(said)))

        return await self._get(f"{account}/{container}", load, fresh)

    def forget(self, account: str, container: str | None = None) -> None:
        """It has changed."""
        self._generations.changed(account if container is None else f"{account}/{container}")

    async def _get(self, key: str, load: Callable[[], Awaitable[T]], fresh: bool) -> T:
        generation = self._generations.of(key)
        now_s = time.monotonic()
        known = self._known.get(key)
        if known is not None and not fresh and known.generation == generation and now_s < known.until_s:
            return known.what  # type: ignore[return-value]
        what = await load()
        self._known[key] = _Known(what, generation, now_s + self._ttl_s)
        self._known.move_to_end(key)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return what


def _live(said: Said) -> dict[str, str]:
    return {name: value for name, (value, _) in said.items() if value}


def _said_at(said: Said) -> Timestamp:
    return max((at for _, at in said.values()), default=0)
