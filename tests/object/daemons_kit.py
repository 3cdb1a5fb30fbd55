"""A cluster in temporary folders with daemons that are told when to work, and by what clock."""

import contextlib
import random
import time

from aerostat.services.object.cluster.calls import Patience
from aerostat.services.object.daemons.replicator import Replicator
from aerostat.services.object.daemons.settings import DaemonConfig
from aerostat.services.object.daemons.station import Station
from aerostat.services.object.stores.held import ACCOUNTS, CONTAINERS, objects_of
from aerostat.services.object.timestamp import TICKS

from .faults import Devices

UNHURRIED = DaemonConfig(
    parts_per_s=0,
    copy_bytes_per_s=0,
    audit_bytes_per_s=0,
    audit_files_per_s=0,
    notes_per_s=0,
    retell_per_s=0,
    retell_s=0,
    expire_per_s=0,
    reap_per_s=0,
    pass_s=30.0,
    answer_s=2.0,
)
DAY_S = 86_400.0
WEEK_S = 7 * DAY_S


class Faulted:
    """A device as its own daemons see it: away when its faults say so."""

    def __init__(self, faulty):
        self._faulty = faulty
        self.root = faulty.device.root

    def __getattr__(self, name):
        inner = getattr(self._faulty.device, name)
        if name in ("objects", "fragments"):
            return inner
        return getattr(self._faulty, name)


class World(Devices):
    """`station` has all devices. `clock_s` is moved by hand."""

    def __init__(self, root, count, policies=None, *, settings=UNHURRIED, core=None, **more):
        patience = Patience(answer_s=10.0, hedge_s=0.5, linger_s=2.0, stall_s=5.0)
        super().__init__(root, count, policies, **{"patience": patience, **more})
        self.root = root
        self.clock_s = time.time()
        self.here = {key: Faulted(faulty) for key, faulty in self.faulty.items()}
        self.station = Station(
            lambda: self.cluster,
            self.here,
            settings,
            reclaim_age_s=WEEK_S,
            core=core,
            clock=lambda: self.clock_s,
        )

    def mend(self):
        super().mend()
        self.cluster.calls.standings._records.clear()

    def at(self, before_s=0.0):
        return int((self.clock_s - before_s) * TICKS)

    async def converge(self, most=8):
        """Replicate until nothing changes; answers after how many rounds that was."""
        replicator = Replicator(self.station)
        before = await self.content()
        for number in range(most):
            await replicator.pass_once()
            after = await self.content()
            if after == before and number:
                return number
            before = after
        raise AssertionError(f"not alike after {most} rounds")

    async def content(self, policies=(0,)):
        """Whatever devices hold, by device and store."""
        found = {}
        for key, device in self.local.items():
            for store in [objects_of(policy) for policy in policies]:
                for part in await device.partitions(store):
                    for held in await device.held(store, part):
                        found[key, store, held.hashed] = held
            for store in (CONTAINERS, ACCOUNTS):
                for part in await device.partitions(store):
                    for state in await device.databases(store, part):
                        rows = await device.rows_since(store, self.place(store, part, state), 0, 10_000)
                        listed = tuple(sorted((row for row in rows.rows), key=lambda row: row.name))
                        found[key, store, state.hashed] = (
                            state.put_at, state.deleted_at, tuple(sorted(state.said.items())), listed,
                        )  # fmt: skip
        return found

    @staticmethod
    def place(store, part, state):
        from aerostat.services.object.stores.protocol import Place

        return Place(part, state.hashed)


@contextlib.asynccontextmanager
async def world(root, count, *args, **more):
    made = World(root, count, *args, **more)
    try:
        yield made
    finally:
        await made.close()


def some(rng: random.Random, things, least=1):
    """A random part of them, in random order."""
    things = list(things)
    return rng.sample(things, rng.randint(least, len(things)))
