"""`python -m bench.names`: a container of very many names: its pages, a PUT into it, memory, disk, and its division.

Names are told to the container's devices in batches, as proxies tell them, by a store of this process whose daemons are
at work: the objects themselves are left out. Then `aerostat object up` serves what has become of it.
"""

import argparse
import asyncio
import hashlib
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from aerostat.cli.object import places_folder
from aerostat.services.object.cluster.shards import table_in
from aerostat.services.object.config import ObjectConfig
from aerostat.services.object.daemons.progress import Report
from aerostat.services.object.places import Places
from aerostat.services.object.room import ObjectStore
from aerostat.services.object.stores.entries import Entry
from aerostat.services.object.timestamp import now

from .objects import KIB, MIB, Store, timed

ACCOUNT, CONTAINER = "AUTH_bench", "names"
TOGETHER = 2_000
NAMES_PER_S = 20_000
"""At most: so that the sharder has its turns, as it has when names come one by one."""
SHARDER_S = 5.0
SETTINGS = {"daemons": {"shard_rows_per_s": 0, "interval_s": {"sharder": SHARDER_S}}}
STILL_ROUNDS = 3


def name_of(number: int) -> str:
    """In no order, in 256 folders."""
    digest = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
    return f"{digest[:2]}/{digest[2:]}"


async def fill(state: Path, device: Path, names: int) -> None:
    """Until there are so many, and the sharder has nothing more to do. What is there already stays."""
    store = ObjectStore(msgspec.convert(SETTINGS, ObjectConfig), Places(places_folder(state)))
    store.start()
    containers, at, began_s = store.cluster.containers, now(), time.monotonic()

    async def report() -> int:
        found = await containers.status(ACCOUNT, CONTAINER, newest=True)
        assert found is not None
        table, used = table_in(found[1]), resource.getrusage(resource.RUSAGE_SELF)
        print(
            f"{found[0].objects:,} names, {len(table.shards) if table is not None else 0} shards,"
            f" {time.monotonic() - began_s:.0f} s, CPU {used.ru_utime + used.ru_stime:.0f} s,"
            f" at most {used.ru_maxrss >> 10} MiB",
            flush=True,
        )
        return found[0].objects

    try:
        await store.cluster.accounts.make(ACCOUNT, at, {})
        await containers.make(ACCOUNT, CONTAINER, at, 0, {})
        for first in range(await report(), names, TOGETHER):
            numbers = range(first, min(names, first + TOGETHER))
            entries = [Entry(name_of(number), now(), KIB, "0" * 32, "text/plain") for number in numbers]
            await containers.hear(ACCOUNT, CONTAINER, entries)
            await asyncio.sleep(TOGETHER / NAMES_PER_S)
            if numbers.stop % (names // 20) < TOGETHER:
                await report()
        rounds = still = 0
        while still < STILL_ROUNDS:
            await asyncio.sleep(2 * SHARDER_S)
            told = msgspec.json.decode((device / "recon" / "sharder.json").read_bytes(), type=Report)
            is_still = not {"cuts", "rows copied", "rows moved"} & (told.last.keys() | told.counts.keys())
            still = still + (told.rounds != rounds) if is_still else 0
            rounds = told.rounds
            await report()
            print(told.last, told.counts, flush=True)
    finally:
        await store.close()


def pages(store: Store, names: int) -> Iterator[tuple[str, float, float]]:
    path = f"{store.account}/{CONTAINER}?format=json"
    for name, query in (
        ("page of 100 at the start", "&limit=100"),
        ("in the middle", "&limit=100&marker=80/"),
        ("at the end", "&limit=100&marker=ff/ff"),
        ("backwards from the middle", "&limit=100&marker=80/&reverse=true"),
        ("with a prefix", "&limit=100&prefix=7f/"),
        ("with a delimiter", "&limit=100&delimiter=/"),
        ("page of 10,000 in the middle", "&marker=80/"),
    ):
        count = 20 if "10,000" in name else 300
        yield name, *timed(store, 1, count, lambda ask, _, query=query: ask("GET", path + query))
    yield (
        "HEAD of the container",
        *timed(store, 1, 300, lambda ask, _: ask("HEAD", f"{store.account}/{CONTAINER}")),
    )
    yield (
        "PUT of an empty object",
        *timed(
            store,
            8,
            2000,
            lambda ask, n: ask("PUT", f"{store.account}/{CONTAINER}/{name_of(names + n)}", b""),
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="on a real disk")
    parser.add_argument("--measure", action="store_true", help="what was filled before")
    parser.add_argument("--keep", action="store_true", help="leave what was filled, for the next time")
    args = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    folder = args.folder or Path(tempfile.mkdtemp(prefix="aerostat-names-"))
    folder.mkdir(exist_ok=True)
    try:
        if not args.measure:
            Store(folder, 1, 1).close()
            asyncio.run(fill(folder / "s", folder / "d1", args.names))
        used = sum(file.lstat().st_blocks * 512 for file in (folder / "d1").rglob("*"))
        store = Store(folder, 1, 1)
        try:
            print(f"\n{used / MIB:,.0f} MiB on the disk; PSS at rest {store.pss_mib():.0f} MiB\n")
            print("| operation | CPU ms | wall ms |\n|---|---:|---:|")
            for name, cpu_ms, wall_ms in pages(store, args.names):
                print(f"| {name} | {cpu_ms:.2f} | {wall_ms:.2f} |", flush=True)
            print(f"\nPSS after these: {store.pss_mib():.0f} MiB")
        finally:
            store.close()
    finally:
        if not args.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
