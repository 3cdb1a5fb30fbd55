"""What befalls an object store of several nodes: losses, one at a time, and hindrances, at the same time as those."""

import asyncio
import contextlib
import os
import random
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.metal.object_cluster import DEVICE, Cluster, NodeProcess

SKEW_S = 1.5
"""Clocks are wrong by so much at most."""

Kind = Callable[[], Awaitable[None]]


class Misfortune:
    """One fault after another of each sort, each undone before the next: what is broken at any time, enough copies
    survive. All kinds come before one comes again.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._rng = cluster.rng

    def skew(self) -> None:
        """From the beginning."""
        for member in self.cluster.members:
            member.put_clock(self._rng.uniform(-SKEW_S, SKEW_S))

    async def run(self, until: asyncio.Event) -> None:
        losses: list[Kind] = [
            self.killed,
            self.frozen,
            self.torn,
            self.truncated,
            self.cut_database,
            self.lost_device,
            self.moved,
        ]
        hindrances: list[Kind] = [
            self.cut_off,
            self.stalled,
            self.killed_proxy,
            self.killed_worker,
            self.put_clock,
        ]
        await asyncio.gather(self._one_by_one(losses, until), self._one_by_one(hindrances, until))

    async def _one_by_one(self, kinds: list[Kind], until: asyncio.Event) -> None:
        waiting: list[Kind] = []
        while not until.is_set():
            waiting = waiting or self._rng.sample(kinds, len(kinds))
            kind = waiting.pop()
            await kind()
            self.cluster.note(kind.__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), self._rng.uniform(0.2, 1.0))

    def _node(self) -> NodeProcess:
        return self._rng.choice(self.cluster.nodes)

    # Losses

    async def killed(self) -> None:
        node = self._node()
        node.kill()
        await asyncio.sleep(self._rng.uniform(0.0, 2.0))
        node.start()
        await node.wait_ready()

    async def frozen(self) -> None:
        node = self._node()
        node.freeze()
        try:
            await asyncio.sleep(self._rng.uniform(0.5, 5.0))
        finally:
            node.thaw()

    async def torn(self) -> None:
        """A bit of one object's file is another."""
        if files := self._node().object_files():
            _turn_a_bit(self._rng.choice(files), self._rng)
            await self._rest()

    async def truncated(self) -> None:
        if files := self._node().object_files():
            path = self._rng.choice(files)
            with contextlib.suppress(FileNotFoundError):
                os.truncate(path, self._rng.randrange(path.stat().st_size))
            await self._rest()

    async def cut_database(self) -> None:
        """A listing's file is rubbish when the node comes back."""
        node = self._node()
        node.kill()
        if databases := node.databases():
            path = self._rng.choice(databases)
            path.write_bytes(os.urandom(5000))
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        node.start()
        await node.wait_ready()
        await self._rest()

    async def lost_device(self) -> None:
        """A disk that is exchanged for an empty one, and only where all others are well."""
        node = self._rng.choice([node for node in self.cluster.nodes if not node.is_limited])
        node.kill()
        shutil.rmtree(node.device)
        node.device.mkdir(mode=0o700)
        node.places.forget_device(DEVICE)
        node.start()
        await node.wait_ready()
        await self._rest(6.0)

    async def moved(self) -> None:
        self.cluster.weigh(self._node(), self._rng.choice([50.0, 100.0, 200.0]))
        await self._rest(1.0)

    async def _rest(self, least_s: float = 2.0) -> None:
        """What was lost is not made good at once, and the next loss may hit another copy."""
        await asyncio.sleep(least_s)

    # Hindrances

    async def cut_off(self) -> None:
        """The proxy is refused by a node that all others reach."""
        link = self.cluster.links[self._node().address]
        link.cut()
        await asyncio.sleep(self._rng.uniform(0.5, 4.0))
        await link.mend()

    async def stalled(self) -> None:
        """A node answers the proxy nothing for a while, and then all at once."""
        link = self.cluster.links[self._node().address]
        link.stall()
        await asyncio.sleep(self._rng.uniform(0.5, 6.0))
        link.pass_on()

    async def killed_proxy(self) -> None:
        self.cluster.proxy.kill()
        await asyncio.sleep(self._rng.uniform(0.0, 1.0))
        self.cluster.proxy.start()
        await self.cluster.proxy.wait_ready()

    async def killed_worker(self) -> None:
        """One of the processes of a node, perhaps the one with the daemons; another takes its place."""
        (node,) = [node for node in self.cluster.nodes if node.workers > 1]
        if workers := node.worker_ids():
            node.kill_worker(self._rng.choice(workers))

    async def put_clock(self) -> None:
        self._rng.choice(self.cluster.members).put_clock(self._rng.uniform(-SKEW_S, SKEW_S))


def _turn_a_bit(path: Path, rng: random.Random) -> None:
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        place = rng.randrange(os.fstat(file.fileno()).st_size)
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 0x40]))
