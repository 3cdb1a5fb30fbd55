"""A real process with an engine, killed with SIGKILL again and again: all work still comes to its end."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import Column, MetaData, String

from aerostat.kernel import model
from aerostat.kernel.clock import minutes
from aerostat.kernel.context import Context
from aerostat.kernel.db import Row, Store, create_schema, new_table, open_store, uuid_id
from aerostat.kernel.model import flows
from aerostat.kernel.work import ANY, Engine, Flow, Machine, Work

from .waiting import until

metadata = MetaData()
crates = new_table(metadata, "toy_crates", uuid_id(), Column("state", String(16), nullable=False))
CRATE = Machine(("packed", {"packing"}, "packed"), ("delete", ANY, "deleting"), initial="packing")
CONTEXT = Context(request_id="req-killed")
LAYERS = ("bottom", "middle", "top")
CRATES, KILLS = 40, 5

pack = Flow("crate.pack", on=crates, deadline=minutes(10), machine=CRATE)
unpack = Flow("crate.unpack", on=crates, deadline=minutes(10))


def add_layer(layer: str) -> None:
    async def step(work: Work, crate: Row) -> None:
        """One file more in the world; in the order of the layers."""
        folder: Path = work.house
        below = LAYERS[: LAYERS.index(layer)]
        assert all((folder / f"{crate.id}.{other}").exists() for other in below)
        (folder / f"{crate.id}.{layer}").touch()
        await asyncio.sleep(0.005)

    step.__name__ = layer
    pack.step(step)


for each in LAYERS:
    add_layer(each)


@pack.step
async def close(work: Work, crate: Row) -> None:
    work.move("packed")


@unpack.step
async def take_out(work: Work, crate: Row) -> None:
    for layer in LAYERS:
        (work.house / f"{crate.id}.{layer}").unlink(missing_ok=True)
    work.also(lambda tx: tx.delete(crates, id=crate.id))


async def run_engine(url: str, folder: Path) -> None:
    store = await open_store(url)
    await Engine(store, None, folder, [pack, unpack], name="engine").run()


async def start_packing(store: Store) -> str:
    async with store.transaction() as tx:
        crate = await tx.insert(crates, state=CRATE.initial)
        await pack.start(tx, crate.id, context=CONTEXT)
    return str(crate.id)


async def start_unpacking(store: Store, crate_id: str) -> None:
    async with store.transaction() as tx:
        await CRATE.move(tx, crates, crate_id, "delete")
        await unpack.start(tx, crate_id, context=CONTEXT, supersede=True)


@asynccontextmanager
async def doomed_engine(url: str, folder: Path) -> AsyncIterator[None]:
    """An engine in a process of its own, always of the same name; killed at the end of the block."""
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.kernel.test_killed", url, str(folder)),
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
        cwd=root,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


async def test_nothing_is_stuck_or_left_behind(tmp_path: Path) -> None:
    url, folder = f"sqlite:///{tmp_path}/cloud.db", tmp_path / "world"
    folder.mkdir()
    store = await open_store(url)
    await create_schema(store, [model.metadata, metadata])
    started = [await start_packing(store) for _ in range(CRATES)]
    deleted = started[::3]

    async def some_progress(count: int) -> bool:
        return await store.count(flows, state="running") <= count

    for kill in range(KILLS):
        async with doomed_engine(url, folder):
            left = await store.count(flows, state="running")
            await until(lambda left=left: some_progress(max(left - 4, 0)), limit_s=30)
        for crate_id in deleted[kill * 2 : kill * 2 + 2]:
            await start_unpacking(store, crate_id)
    for crate_id in deleted[KILLS * 2 :]:
        await start_unpacking(store, crate_id)
    async with doomed_engine(url, folder):
        await until(lambda: some_progress(0), limit_s=30)

    kept = [crate_id for crate_id in started if crate_id not in deleted]
    assert sorted(row.id for row in await store.all(crates, {"state": "packed"})) == sorted(kept)
    assert await store.count(crates) == len(kept)
    assert {file.name for file in folder.iterdir()} == {f"{one}.{layer}" for one in kept for layer in LAYERS}
    assert {row.state for row in await store.all(flows)} <= {"done", "superseded"}
    await store.close()


if __name__ == "__main__":
    asyncio.run(run_engine(sys.argv[1], Path(sys.argv[2])))
