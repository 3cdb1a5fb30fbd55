"""The simulated database: what dies with a process, what others see, what goes wrong."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aerostat.kernel import model as kernel_model
from aerostat.kernel.clock import clock
from aerostat.kernel.db import Store, StoreUnavailable, create_schema
from aerostat.kernel.model import leases
from aerostat.testing.sim.database import SimBackend, SimDatabase
from aerostat.testing.sim.history import History
from aerostat.testing.sim.loop import Process, VirtualLoop
from aerostat.testing.sim.onlooker import onlooker


@pytest.fixture(autouse=True)
def own_clock() -> Iterator[None]:
    yield
    clock.run()


@pytest.fixture
def database(tmp_path: Path) -> SimDatabase:
    loop = VirtualLoop(random.Random(1))
    database = SimDatabase(loop, random.Random(2), History(loop), tmp_path / "sim.sqlite")
    loop.run_until_complete(create_schema(Store(SimBackend(database)), [kernel_model.metadata]))
    return database


async def names(database: SimDatabase) -> list[str]:
    return [row.name for row in await onlooker(database).all(leases, order="name")]


async def write(store: Store, name: str, *, then: Any = None) -> None:
    async with store.transaction() as tx:
        await tx.insert(leases, name=name, next_at=clock.now())
        if then is not None:
            await then


def test_a_transaction_of_the_dead_is_rolled_back_and_its_turn_given_on(database: SimDatabase) -> None:
    async def world() -> list[str]:
        store, process = Store(SimBackend(database)), Process("victim", 1)
        database.loop.spawn(process, write(store, "half done", then=asyncio.sleep(1000)))
        await asyncio.sleep(1)
        waiting = asyncio.ensure_future(write(store, "waiting"))
        await asyncio.sleep(1)
        assert await names(database) == []
        process.alive = False
        database.forget(process)
        await waiting
        return await names(database)

    assert database.loop.run_until_complete(world()) == ["waiting"]


def test_who_waits_too_long_for_the_turn_is_told(database: SimDatabase) -> None:
    async def world() -> None:
        store = Store(SimBackend(database))
        task = asyncio.ensure_future(write(store, "slow", then=asyncio.sleep(60)))
        await asyncio.sleep(1)
        with pytest.raises(StoreUnavailable):
            await write(store, "other")
        await task
        await write(store, "other")

    database.loop.run_until_complete(world())


def test_a_lost_answer_to_a_commit_means_that_it_was_done(database: SimDatabase) -> None:
    async def world() -> list[str]:
        database.temper.lost_commit_rate = 1.0
        with pytest.raises(StoreUnavailable):
            await write(Store(SimBackend(database)), "done")
        return await names(database)

    assert database.loop.run_until_complete(world()) == ["done"]


def test_a_database_that_is_away_refuses_until_it_is_back(database: SimDatabase) -> None:
    async def world() -> list[str]:
        store = Store(SimBackend(database))
        database.temper.away_until_s = database.loop.time() + 10
        with pytest.raises(StoreUnavailable):
            await write(store, "early")
        await asyncio.sleep(10)
        await write(store, "late")
        return await names(database)

    assert database.loop.run_until_complete(world()) == ["late"]
