"""An object store of several processes on this machine: nodes with a proxy and one device each, and a proxy apart.

Each process has its folder, and a wall clock of its own; rings and secret are the same in all. The proxy apart reaches
each node by a link that can be cut. Devices are folders, or file systems in memory where one is to run full.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec

from aerostat.cli.parts import own_environment
from aerostat.services.object.config import ObjectConfig
from aerostat.services.object.daemons.progress import reports
from aerostat.services.object.places import Places
from aerostat.services.object.ring import Builder
from aerostat.services.object.stores.pending import Pending
from tests.metal.links import Link

READY_LIMIT_S = 60.0
REST_LIMIT_S = 120.0
POLICIES = [
    {"index": 0, "name": "gold", "replicas": 3, "is_default": True},
    {"index": 1, "name": "coded", "kind": "erasure", "ec_data": 2, "ec_parity": 2},
]
RINGS = {"account": 3, "container": 3, "object": 3, "object-1": 4}
"""Replicas, or fragments."""
DEVICE = "d1"
SKEWED_CLOCK = Path(__file__).parent / "skewed_clock"

SETTINGS = """
[kernel]
port = {port}
log_level = "warning"

[object]
node = "{node}"
replicas = 3
info_ttl_s = {ttl_s}
policies = {policies}

[object.node_waits]
connect_s = 0.5
answer_s = 3.0
chunk_s = 3.0
away_s = 1.0

[object.daemons]
parts_per_s = 2000
audit_bytes_per_s = 0
audit_files_per_s = 0
audit_full_s = 1
notes_per_s = 0
retell_per_s = 0
retell_s = 5
thorough_s = 5

[object.daemons.interval_s]
replicator = 1.0
reconstructor = 1.0
updater = 0.5
sums = 2.0
retelling = 0.5
auditor = 2.0

[object.middleware.tempauth.users."test:tester"]
key = "testing"
groups = [".admin", ".reseller_admin"]
"""


def _settings(port: int, node: str, ttl_s: float) -> str:
    policies = ", ".join(
        "{ " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in policy.items()) + " }"
        for policy in POLICIES
    )
    return SETTINGS.format(port=port, node=node, ttl_s=ttl_s, policies=f"[{policies}]")


class Member:
    """A process, or a node's workers and who keeps them: started, killed, stopped, started again."""

    def __init__(
        self, folder: Path, *, node_port: int | None = None, workers: int = 1, ttl_s: float = 0.5
    ) -> None:
        """`ttl_s`: how long it believes what it knows of containers."""
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._node_port, self.workers = node_port, workers
        self._frozen: list[int] = []
        folder.mkdir(mode=0o700, parents=True)
        (folder / "aerostat.toml").write_text(_settings(self.port, self.address, ttl_s))
        self._clock, self._ready = folder / "clock", folder / "run" / "object.ready"
        self.put_clock(0.0)
        self.places = Places(folder / "object")

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def address(self) -> str:
        """Where other nodes reach it; empty: it has no devices."""
        return "" if self._node_port is None else f"127.0.0.1:{self._node_port}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put_clock(self, ahead_s: float) -> None:
        """Its wall clock is so far ahead from now on, whether it runs or not."""
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(struct.pack("d", ahead_s))

    def start(self) -> None:
        self._ready.unlink(missing_ok=True)
        words = [sys.executable, "-m", "aerostat", "object", "serve", "--state", str(self.folder)]
        if not self.address:
            words += ["--role", "proxy"]
        if self.workers > 1:
            words += ["--workers", str(self.workers)]
        environment = own_environment()
        environment["PYTHONPATH"] = os.pathsep.join([str(SKEWED_CLOCK), environment["PYTHONPATH"]])
        environment["SKEWED_CLOCK"] = str(self._clock)
        with open(self.folder / "output.txt", "ab") as output:
            self.process = subprocess.Popen(words, env=environment, stdout=output, stderr=output)

    @property
    def is_ready(self) -> bool:
        return self._ready.exists()

    async def wait_ready(self) -> None:
        async with asyncio.timeout(READY_LIMIT_S):
            while not self.is_ready:
                assert self.process is not None
                assert self.process.poll() is None, (self.folder / "output.txt").read_text()
                await asyncio.sleep(0.05)

    def worker_ids(self) -> list[int]:
        """Those that are kept, where there is a process that keeps them."""
        if self.process is None or self.workers == 1:
            return []
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return [int(child) for child in children.read_text().split()]
        return []

    def kill(self) -> None:
        if self.process is not None:
            workers = self.worker_ids()
            self.process.kill()
            self.process.wait()
            self._ready.unlink(missing_ok=True)
            for worker in workers:
                self.kill_worker(worker)
            self._frozen = []

    @staticmethod
    def kill_worker(worker: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)

    def freeze(self) -> None:
        assert self.process is not None
        self._frozen = [self.process.pid, *self.worker_ids()]
        for one in self._frozen:
            os.kill(one, signal.SIGSTOP)

    def thaw(self) -> None:
        frozen, self._frozen = self._frozen, []
        for one in frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)


class NodeProcess(Member):
    """One with a device, which others reach."""

    def __init__(self, folder: Path, number: int, *, workers: int = 1, ttl_s: float = 0.5) -> None:
        super().__init__(folder, node_port=free_port(), workers=workers, ttl_s=ttl_s)
        self.number = number
        self.is_limited = False

    @property
    def device(self) -> Path:
        return self.places.device(DEVICE)

    def object_files(self) -> list[Path]:
        """Files of objects and of fragments, tombstones too."""
        return [
            path
            for store in ("objects", "fragments-1")
            for path in (self.device / store).glob("*/*/*")
            if path.suffix != ".post" and path.is_file()
        ]

    def databases(self) -> list[Path]:
        return list((self.device / "containers").rglob("*.db"))

    def rounds(self) -> int:
        """How often its copies have been made like the others': by the slower of those that do it."""
        found = {report.daemon: report.rounds for report in reports(self.device)}
        return min(found.get(name, 0) for name in ("replicator", "reconstructor"))

    def has_notes(self) -> bool:
        return any(Pending(self.device).names())


class Cluster:
    """`nodes` share three copies of everything, or four fragments of which two make it; `proxy` has no device."""

    def __init__(self, folder: Path, count: int, rng: random.Random, *, ttl_s: float = 0.5) -> None:
        self.nodes = [
            NodeProcess(folder / f"n{number}", number, workers=2 if number == 2 else 1, ttl_s=ttl_s)
            for number in range(1, count + 1)
        ]
        self.proxy = Member(folder / "p")
        self.links = {node.address: Link(int(node.address.rpartition(":")[2])) for node in self.nodes}
        """By which the proxy reaches the nodes."""
        self.rng = rng
        self.faults: dict[str, int] = {}
        self._mounted: list[Path] = []
        first, *others = self.nodes
        first.places.found(ObjectConfig(node=first.address, part_power=5), [DEVICE])
        for name, replicas in RINGS.items():
            builder = Builder(5, replicas, min_part_hours=0)
            for node in self.nodes:
                builder.add(node=node.address, name=DEVICE, weight=100.0, zone=node.number)
            self._turn(name, builder)
        for node in others:
            shutil.copytree(first.places.folder, node.places.folder)
        self.proxy.places.join(first.places.secret())
        for name in RINGS:
            self._turn(name, Builder.load(first.places.builder_file(name)))

    @property
    def members(self) -> list[Member]:
        return [*self.nodes, self.proxy]

    def weigh(self, node: NodeProcess, weight: float) -> None:
        """Give a node less or more, in all rings, and tell all."""
        for name in RINGS:
            builder = Builder.load(self.nodes[0].places.builder_file(name))
            device = next(one for one in builder.devices.values() if one.node == node.address)
            builder.set_weight(device.id, weight)
            self._turn(name, builder)
        self.note("ring")

    def _turn(self, name: str, builder: Builder) -> None:
        """The ring goes to all, with other addresses for the proxy."""
        builder.rebalance()
        builder.save(self.nodes[0].places.builder_file(name))
        ring = builder.ring()
        for node in self.nodes:
            if node.places.rings.exists():
                ring.save(node.places.ring_file(name))
        for id, device in builder.devices.items():
            builder.devices[id] = msgspec.structs.replace(device, node=self.links[device.node].address)
        if self.proxy.places.rings.exists():
            builder.ring().save(self.proxy.places.ring_file(name))

    async def alike(self, within_s: float = REST_LIMIT_S) -> None:
        """Every node has told all others what it has, twice, and no listing is still to be told of anything."""
        wanted = {node.number: node.rounds() + 2 for node in self.nodes}
        async with asyncio.timeout(within_s):
            while any(  # noqa: ASYNC110
                node.has_notes() or node.rounds() < wanted[node.number] for node in self.nodes
            ):
                await asyncio.sleep(0.1)

    def note(self, fault: str) -> None:
        self.faults[fault] = self.faults.get(fault, 0) + 1

    async def up(self) -> None:
        for link in self.links.values():
            await link.open()
        for member in self.members:
            member.start()
        await asyncio.gather(*(member.wait_ready() for member in self.members))

    def limit(self, node: NodeProcess, size_kib: int) -> None:
        """Before it starts: its device is a file system of that size, in memory."""
        for path in node.device.iterdir():
            path.unlink()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k,mode=0700", "tmpfs", str(node.device)],
            check=True,
        )
        self._mounted.append(node.device)
        node.is_limited = True

    def heal(self) -> None:
        """Whoever stands still goes on, and what ran full has room."""
        for member in self.members:
            member.thaw()
        for path in self._mounted:
            subprocess.run(["mount", "-o", "remount,size=512m", str(path)], check=True)

    async def close(self) -> None:
        for link in self.links.values():
            await link.close()
        self._end()

    def _end(self) -> None:
        for member in self.members:
            member.thaw()
            member.kill()
        for path in self._mounted:
            subprocess.run(["umount", "-l", str(path)], check=True)


async def token_of(member: Member) -> str:
    """Of the operator, for this member's address and all others."""
    async with httpx.AsyncClient(trust_env=False) as session:
        headers = {"x-auth-user": "test:tester", "x-auth-key": "testing"}
        answer = await session.get(f"{member.url}/auth/v1.0", headers=headers)
        return answer.headers["x-auth-token"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def cluster_of(folder: Path, count: int, rng: random.Random) -> AsyncIterator[Cluster]:
    cluster = Cluster(folder, count, rng)
    try:
        yield cluster
    finally:
        await cluster.close()
