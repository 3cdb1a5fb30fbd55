"""Workers: who starts knows which earlier ones are dead, and takes over at once what only they held."""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aerostat.kernel import clock, ids
from aerostat.kernel.db import Store
from aerostat.kernel.model import leases
from aerostat.kernel.work import working_in
from aerostat.kernel.work.worker import NoPlace

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from aerostat.kernel.work import working_in
with working_in(Path(sys.argv[1]), "north") as own:
    print(own.name, flush=True)
    time.sleep(60)
"""


async def held_by(store: Store, name: str) -> str:
    """A lease that a worker holds for long; gives its name."""
    lease = ids.new_id()
    later = clock.now() + timedelta(hours=1)
    await store.insert(leases, name=lease, worker=name, token=ids.new_id(), until=later, next_at=later)
    return lease


async def is_free(store: Store, lease: str) -> bool:
    return (await store.get(leases, name=lease)).token is None


async def living(folder: Path) -> tuple[Any, str]:
    """A worker in a process of its own, and its name."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLD, str(folder)),
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    return process, (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()


async def test_what_a_killed_worker_held_is_free_at_once_and_nothing_else(
    store: Store, tmp_path: Path
) -> None:
    dying, dead_name = await living(tmp_path)
    other, living_name = await living(tmp_path)
    try:
        dead, alive = await held_by(store, dead_name), await held_by(store, living_name)
        elsewhere = await held_by(store, f"south.{ids.new_id()}")
        dying.send_signal(signal.SIGKILL)
        await dying.wait()
        with working_in(tmp_path, "north") as own:
            assert own.dead == (dead_name,)
            assert own.name not in (dead_name, living_name)
            assert await own.take_over(store) == 1
            assert await own.take_over(store) == 0
            assert await is_free(store, dead)
            assert not await is_free(store, alive)
            assert not await is_free(store, elsewhere)
    finally:
        other.kill()
        await other.wait()


async def test_names_are_remembered_until_their_work_was_taken_over(store: Store, tmp_path: Path) -> None:
    with working_in(tmp_path, "north") as first:
        pass
    with working_in(tmp_path, "north") as second:
        assert second.dead == (first.name,)
    with working_in(tmp_path, "north") as third:
        assert third.dead == (first.name, second.name)
        await third.take_over(store)
    with working_in(tmp_path, "north") as fourth:
        assert fourth.dead == (third.name,)


def test_many_share_a_folder_but_not_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aerostat.kernel.work.worker.MOST_WORKERS", 2)
    with working_in(tmp_path, "a" * 100) as one, working_in(tmp_path, "b") as two:
        assert one.name != two.name
        assert len(one.name) <= 64
        with pytest.raises(NoPlace), working_in(tmp_path, "c"):
            pass
