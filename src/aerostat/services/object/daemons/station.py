"""What daemons stand on: the cluster, those devices of it that are theirs to care for, and the clock."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from ..cluster.calls import FAULTS
from ..cluster.cluster import Cluster
from ..cluster.layout import Layout
from ..http.request import Handler
from ..stores.device import LocalDevice
from ..stores.held import ACCOUNTS, CONTAINERS, policy_of
from ..timestamp import TICKS, Timestamp
from .settings import DaemonConfig

__all__ = ["FAULTS", "Station"]

T = TypeVar("T")


class Station:
    """`here`: the devices that this process cares for, by key; they may come and go. `core`: where requests of the
    store's own are answered, below all features. `clock`: seconds since 1970. `cluster`: as it is now; another takes
    its place when rings change.
    """

    def __init__(
        self,
        cluster: Callable[[], Cluster],
        here: Mapping[str, LocalDevice],
        settings: DaemonConfig,
        *,
        reclaim_age_s: float,
        core: Handler | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self.here = here
        self.settings = settings
        self.reclaim_age_s = reclaim_age_s
        self.core = core
        self.clock = clock

    @property
    def cluster(self) -> Cluster:
        return self._cluster()

    def moment(self, before_s: float = 0.0) -> Timestamp:
        """So long ago."""
        return int((self.clock() - before_s) * TICKS)

    def layout(self, store: str) -> Layout:
        """Where the things of a store belong. Raises KeyError where it is of a policy that is not known."""
        if store == CONTAINERS:
            return self.cluster.containers.layout
        if store == ACCOUNTS:
            return self.cluster.accounts.layout
        return self.cluster.objects(policy_of(store)).layout

    async def ask(self, call: Awaitable[T]) -> T:
        """A device; it is not waited for for ever. Raises `FAULTS`."""
        async with asyncio.timeout(self.settings.answer_s):
            return await call
