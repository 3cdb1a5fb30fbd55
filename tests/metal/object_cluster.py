"""An object store of several nodes on this machine: a process each, with a proxy and one device, and what befalls them.

Each node has its folder; rings and secret are the same in all. Devices are folders, or file systems in memory where
one is to run full.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx

from aerostat.cli.parts import own_environment
from aerostat.services.object.config import ObjectConfig
from aerostat.services.object.places import Places
from aerostat.services.object.ring import Builder

READY_LIMIT_S = 60.0
RINGS = ("account", "container", "object")
DEVICE = "d1"

SETTINGS = """
[kernel]
port = {port}
log_level = "warning"

[object]
node = "127.0.0.1:{node_port}"
replicas = 3
info_ttl_s = 0.5

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
thorough_s = 5

[object.daemons.interval_s]
replicator = 1.0
updater = 0.5
sums = 2.0
retelling = 0.5
auditor = 2.0

[object.middleware.tempauth.users."test:tester"]
key = "testing"
groups = [".admin"]
"""


class NodeProcess:
    """One node: started, killed, stopped, started again."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number
        self.port, self.node_port = _free_port(), _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.is_stopped = False
        self.is_limited = False
        folder.mkdir(mode=0o700, parents=True)
        settings = SETTINGS.format(port=self.port, node_port=self.node_port)
        (folder / "aerostat.toml").write_text(settings)
        self.places = Places(folder / "object")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.node_port}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def device(self) -> Path:
        return self.places.device(DEVICE)

    def start(self) -> None:
        ready = self.folder / "run" / "object.ready"
        ready.unlink(missing_ok=True)
        with open(self.folder / "output.txt", "ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "aerostat", "object", "serve", "--state", str(self.folder)],
                env=own_environment(),
                stdout=output,
                stderr=output,
            )

    async def wait_ready(self) -> None:
        async with asyncio.timeout(READY_LIMIT_S):
            while not (self.folder / "run" / "object.ready").exists():
                assert self.process is not None
                assert self.process.poll() is None, (self.folder / "output.txt").read_text()
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.is_stopped = False

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self.is_stopped = True

    def thaw(self) -> None:
        if self.is_stopped and self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.is_stopped = False

    def object_files(self) -> list[Path]:
        """Files of objects, tombstones too."""
        return [path for path in (self.device / "objects").glob("*/*/*") if "." not in path.name]

    def databases(self) -> list[Path]:
        return list((self.device / "containers").rglob("*.db"))


class Cluster:
    """`nodes` share three copies of everything."""

    def __init__(self, folder: Path, count: int, rng: random.Random) -> None:
        self.nodes = [NodeProcess(folder / f"n{number}", number) for number in range(1, count + 1)]
        self.rng = rng
        self.faults: dict[str, int] = {}
        self._mounted: list[Path] = []
        first, *others = self.nodes
        first.places.found(ObjectConfig(node=first.address, part_power=5), [DEVICE])
        self.place(self.nodes)
        for node in others:
            shutil.copytree(first.places.folder, node.places.folder)

    def place(self, nodes: list[NodeProcess]) -> None:
        """New rings over these nodes."""
        for name in RINGS:
            builder = Builder(5, 3)
            for node in nodes:
                builder.add(node=node.address, name=DEVICE, weight=100.0, zone=node.number)
            builder.rebalance()
            builder.save(self.nodes[0].places.builder_file(name))
            builder.ring().save(self.nodes[0].places.ring_file(name))

    def weigh(self, node: NodeProcess, weight: float) -> None:
        """Give a node less or more, in all rings, and tell all nodes."""
        source = self.nodes[0].places
        for name in RINGS:
            builder = Builder.load(source.builder_file(name))
            builder.min_part_hours = 0
            device = next(one for one in builder.devices.values() if one.node == node.address)
            builder.set_weight(device.id, weight)
            builder.rebalance()
            builder.save(source.builder_file(name))
            ring = builder.ring()
            for other in self.nodes:
                ring.save(other.places.ring_file(name))
        self.note("ring")

    def note(self, fault: str) -> None:
        self.faults[fault] = self.faults.get(fault, 0) + 1

    async def up(self) -> None:
        for node in self.nodes:
            node.start()
        await asyncio.gather(*(node.wait_ready() for node in self.nodes))

    async def token(self) -> str:
        async with httpx.AsyncClient(trust_env=False) as session:
            answer = await session.get(
                f"{self.nodes[0].url}/auth/v1.0",
                headers={"x-auth-user": "test:tester", "x-auth-key": "testing"},
            )
            return answer.headers["x-auth-token"]

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
        for node in self.nodes:
            node.thaw()
        for path in self._mounted:
            subprocess.run(["mount", "-o", "remount,size=512m", str(path)], check=True)

    def close(self) -> None:
        for node in self.nodes:
            node.thaw()
            node.kill()
        for path in self._mounted:
            subprocess.run(["umount", "-l", str(path)], check=True)


class Misfortune:
    """One fault after another, each undone before the next: what is broken at any time, two copies survive."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._rng = cluster.rng

    async def run(self, until: asyncio.Event) -> None:
        kinds = [
            self.killed,
            self.frozen,
            self.torn,
            self.truncated,
            self.cut_database,
            self.lost_device,
            self.moved,
        ]
        place = 0
        while not until.is_set():
            node = self._rng.choice(self.cluster.nodes)
            kind = kinds[place % len(kinds)]
            place += 1
            await kind(node)
            self.cluster.note(kind.__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), self._rng.uniform(0.2, 1.0))

    async def killed(self, node: NodeProcess) -> None:
        node.kill()
        await asyncio.sleep(self._rng.uniform(0.0, 2.0))
        node.start()
        await node.wait_ready()

    async def frozen(self, node: NodeProcess) -> None:
        node.freeze()
        try:
            await asyncio.sleep(self._rng.uniform(0.5, 5.0))
        finally:
            node.thaw()

    async def torn(self, node: NodeProcess) -> None:
        """A bit of one object's file is another."""
        if files := node.object_files():
            _turn_a_bit(self._rng.choice(files), self._rng)
            await self._rest()

    async def truncated(self, node: NodeProcess) -> None:
        if files := node.object_files():
            path = self._rng.choice(files)
            with contextlib.suppress(FileNotFoundError):
                os.truncate(path, self._rng.randrange(path.stat().st_size))
            await self._rest()

    async def cut_database(self, node: NodeProcess) -> None:
        """A listing's file is rubbish when the node comes back."""
        node.kill()
        if databases := node.databases():
            path = self._rng.choice(databases)
            path.write_bytes(os.urandom(5000))
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        node.start()
        await node.wait_ready()
        await self._rest()

    async def lost_device(self, node: NodeProcess) -> None:
        """A disk that is exchanged for an empty one, and only where all others are well."""
        if node.is_limited:
            return
        node.kill()
        shutil.rmtree(node.device)
        node.device.mkdir(mode=0o700)
        node.places.forget_device(DEVICE)
        node.start()
        await node.wait_ready()
        await self._rest(6.0)

    async def moved(self, node: NodeProcess) -> None:
        self.cluster.weigh(node, self._rng.choice([50.0, 100.0, 200.0]))
        await self._rest(1.0)

    async def _rest(self, least_s: float = 2.0) -> None:
        """What was lost is not made good at once, and the next loss may hit another copy."""
        await asyncio.sleep(least_s)


def _turn_a_bit(path: Path, rng: random.Random) -> None:
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        place = rng.randrange(os.fstat(file.fileno()).st_size)
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 0x40]))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def cluster_of(folder: Path, count: int, rng: random.Random) -> Iterator[Cluster]:
    cluster = Cluster(folder, count, rng)
    try:
        yield cluster
    finally:
        cluster.close()
