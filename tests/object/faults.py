"""Clusters in temporary folders, with devices that fail as they are told."""

import asyncio
import errno
from hashlib import md5

from aerostat.services.object.cluster.calls import Patience
from aerostat.services.object.cluster.cluster import Cluster
from aerostat.services.object.cluster.policies import Policies, Policy
from aerostat.services.object.ring import Builder, Hasher
from aerostat.services.object.stores.device import LocalDevice
from aerostat.services.object.stores.object_file import Damaged, Facts
from aerostat.services.object.stores.protocol import DeviceAway

SECRET = b"0123456789abcdef"
QUICK = Patience(answer_s=1.0, hedge_s=0.2, linger_s=0.2, stall_s=0.5)
WRITES = (
    "begin",
    "put",
    "delete",
    "post",
    "begin_fragment",
    "make_durable",
    "delete_fragments",
    "post_fragments",
)
READS = ("find", "find_fragment")


class Faulty:
    """A device, and what is wrong with it: `away`, `full`, `hangs` (until `resume`), `damaged`; `dies_after` bytes of a
    stream, either way; `forbidden` verbs; `delay_s` of each piece that is written. `calls`: the verbs it was asked.
    """

    def __init__(self, device):
        self.device = device
        self.away = self.full = self.damaged = False
        self.dies_after = None
        self.forbidden = set()
        self.delay_s = 0.0
        self.calls = []
        self._running = asyncio.Event()
        self._running.set()

    def hang(self):
        self._running.clear()

    def resume(self):
        self._running.set()

    def mend(self):
        self.away = self.full = self.damaged = False
        self.dies_after = None
        self.forbidden = set()
        self.resume()

    async def check(self, verb):
        await self._running.wait()
        if self.delay_s and verb == "write":
            await asyncio.sleep(self.delay_s)
        if self.away or verb in self.forbidden:
            raise DeviceAway("away")
        if self.full and verb in ("begin", "put", "write", "commit", "begin_fragment"):
            raise OSError(errno.ENOSPC, "full")
        if self.damaged and verb in READS:
            raise Damaged("bits rot")

    def __getattr__(self, verb):
        async def call(*args, **more):
            self.calls.append(verb)
            await self.check(verb)
            answer = await getattr(self.device, verb)(*args, **more)
            if verb in ("begin", "begin_fragment"):
                return FaultyWriting(self, answer)
            if verb in READS and answer is not None:
                return FaultyObject(self, answer)
            return answer

        return call


class FaultyWriting:
    def __init__(self, faulty, writing):
        self._faulty, self._writing, self._written = faulty, writing, 0

    async def write(self, data):
        await self._faulty.check("write")
        self._written += len(data)
        if self._faulty.dies_after is not None and self._written > self._faulty.dies_after:
            raise DeviceAway("died")
        await self._writing.write(data)

    async def commit(self, facts):
        await self._faulty.check("commit")
        await self._writing.commit(facts)

    async def close(self):
        await self._writing.close()


class FaultyObject:
    def __init__(self, faulty, found):
        self._faulty, self._found = faulty, found

    def __getattr__(self, name):
        return getattr(self._found, name)

    async def stream(self, start, end):
        """Breaks off where the device dies. A small object came whole with the answer: no more is asked for."""
        if self._found.data is not None:
            yield self._found.data[start:end]
            return
        sent = 0
        async for piece in self._found.stream(start, end):
            await self._faulty.check("stream")
            limit = self._faulty.dies_after
            if limit is not None and sent + len(piece) > limit:
                if limit > sent:
                    yield piece[: limit - sent]
                raise DeviceAway("died")
            yield piece
            sent += len(piece)


def ring_of(count, replicas, part_power=4):
    builder = Builder(part_power, replicas)
    for number in range(count):
        builder.add(node="local", name=f"d{number}", weight=1.0, zone=number)
    builder.rebalance(now_s=0, seed=1)
    return builder.ring()


class Devices:
    """A cluster of `count` devices in folders, each with its faults."""

    def __init__(self, root, count, policies=None, **more):
        self.local = {f"local/d{number}": LocalDevice(root / f"d{number}") for number in range(count)}
        self.faulty = {key: Faulty(device) for key, device in self.local.items()}
        policies = policies or [Policy(index=0, name="gold", replicas=min(count, 3))]
        rings = {policy.index: ring_of(count, policy.devices) for policy in policies}
        listings = ring_of(count, min(count, 3))
        self.cluster = Cluster(
            Hasher(SECRET),
            listings,
            listings,
            Policies(policies),
            rings,
            self.faulty,
            **{"patience": QUICK, "sums_after_s": 60.0, **more},
        )

    def of(self, account, container=None, name=None, policy=0):
        """The devices that hold it, and those that stand in for them, in order."""
        if name is not None:
            layout = self.cluster.objects(policy).layout
        else:
            layout = (self.cluster.containers if container is not None else self.cluster.accounts).layout
        part = layout.place(self.cluster.hasher.hash(account, container, name)).part
        holders = [target.key for target in layout.holders(part)]
        return [self.faulty[key] for key in (*holders, *(one.key for one in layout.handoffs(part)))]

    def mend(self):
        for faulty in self.faulty.values():
            faulty.mend()

    async def close(self):
        self.mend()
        await self.cluster.close()
        for device in self.local.values():
            await device.close()


def facts(data, at, name="o", **more):
    return Facts(path=f"/a/c/{name}", timestamp=at, size=len(data), etag=md5(data).hexdigest(), **more)


async def write(store, data, at, name="o", piece=100_000):
    writing = await store.begin("a", "c", name, None)
    try:
        for start in range(0, len(data), piece):
            await writing.write(data[start : start + piece])
        await writing.commit(facts(data, at, name))
    finally:
        await writing.close()


async def read(store, name="o", start=0, end=None, **more):
    """Bytes; None for nothing and for a tombstone."""
    found = await store.find("a", "c", name, **more)
    if found is None:
        return None
    try:
        if found.facts.is_gone:
            return None
        end = found.facts.size if end is None else end
        return b"".join([piece async for piece in found.stream(start, end)])
    finally:
        await found.close()


def leftovers(root):
    return [path for path in root.glob("*/tmp/**/*") if path.is_file()]
