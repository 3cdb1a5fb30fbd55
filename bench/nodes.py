"""`python -m bench.nodes`: what a device costs in this process and behind a node: CPU ms of both sides together.

The node is served by this same process, over the loopback, so that one clock counts both.
"""

import argparse
import hashlib
import os
import resource
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from aerostat.app_http import listen, serving
from aerostat.services.object.node.neighbours import Neighbours
from aerostat.services.object.node.server import NodeServer
from aerostat.services.object.node.waits import Waits
from aerostat.services.object.stores.device import LocalDevice
from aerostat.services.object.stores.object_file import Facts
from aerostat.services.object.stores.protocol import DeviceVerbs, Place
from aerostat.services.object.timestamp import now

from .objects import KIB, MIB

SECRET = b"of this benchmark"
PARTITIONS = 4
"""Few, so that folders are there."""


def cpu_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1000


class Objects:
    """Objects of one device, by number."""

    def __init__(self, device: DeviceVerbs) -> None:
        self._device = device

    @staticmethod
    def _place(number: int) -> Place:
        hashed = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
        return Place(number % PARTITIONS, hashed)

    @staticmethod
    def _facts(size: int, etag: str) -> Facts:
        return Facts(path="/a/c/o", timestamp=now(), size=size, etag=etag, content_type="text/plain")

    async def put(self, number: int) -> None:
        data = number.to_bytes(4, "big") * (KIB // 4)
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        await self._device.put(0, self._place(number), data, self._facts(KIB, etag))

    async def get(self, number: int) -> None:
        await self._read(number)

    async def put_stream(self, mib: int) -> None:
        """Its MD5 is for the proxy to work out; here nobody does."""
        piece = os.urandom(MIB)
        writing = await self._device.begin(0, self._place(-1), mib * MIB)
        for _ in range(mib):
            await writing.write(piece)
        await writing.commit(self._facts(mib * MIB, "of many"))
        await writing.close()

    async def get_stream(self, mib: int) -> None:
        assert await self._read(-1) == mib * MIB

    async def _read(self, number: int) -> int:
        found = await self._device.find(0, self._place(number))
        assert found is not None
        size = 0
        async for piece in found.stream(0, found.facts.size):
            size += len(piece)
        await found.close()
        return size


async def measure(device: DeviceVerbs, count: int, mib: int, first: int) -> list[float]:
    """Of PUT, GET, and both in one stream."""
    objects = Objects(device)
    for number in range(first, first + 100):  # folders and connections are made
        await objects.put(number)
    costs = []
    for verb in (objects.put, objects.get):
        costs.append(await _each(verb, range(first + 100, first + 100 + count)))
    for stream in (objects.put_stream, objects.get_stream):
        costs.append(await _each(stream, [mib]))
    return costs


async def _each(verb: Callable[[int], Awaitable[None]], arguments: "range | list[int]") -> float:
    before_ms = cpu_ms()
    for argument in arguments:
        await verb(argument)
    return (cpu_ms() - before_ms) / len(arguments)


async def run(folder: Path, count: int, mib: int) -> None:
    here = LocalDevice(folder / "d1")
    neighbours = Neighbours(SECRET, Waits())
    try:
        with listen("127.0.0.1", 0) as listener:
            async with serving(NodeServer({"d1": here}, SECRET), listener):
                elsewhere = neighbours.device(f"127.0.0.1:{listener.getsockname()[1]}", "d1")
                print("| CPU ms | here | over HTTP |\n|---|---:|---:|")
                rows = zip(
                    ("PUT 1 KiB", "GET 1 KiB", f"PUT {mib} MiB", f"GET {mib} MiB"),
                    await measure(here, count, mib, 0),
                    await measure(elsewhere, count, mib, 1 << 20),
                    strict=True,
                )
                for name, at_home, away in rows:
                    print(f"| {name} | {at_home:.2f} | {away:.2f} |", flush=True)
    finally:
        neighbours.close()
        await here.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="where the device is made (default: the temporary folder)"
    )
    parser.add_argument("--count", type=int, default=1000, help="small objects in each row")
    parser.add_argument("--size", type=int, default=256, metavar="MIB", help="of the one stream")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aerostat-nodes-", dir=args.folder) as folder:
        uvloop.run(run(Path(folder), args.count, args.size))


if __name__ == "__main__":
    main()
