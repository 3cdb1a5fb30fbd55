"""Reconcilers under the engine: nudges, the clock, one at a time across processes."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from aerostat.kernel import operation
from aerostat.kernel.clock import clock
from aerostat.kernel.db import Store, StoreUnavailable, open_store
from aerostat.kernel.model import leases
from aerostat.kernel.work import Engine, Reconciler, Unfinished, lease
from aerostat.kernel.work import engine as engine_module

from .waiting import until


class Town:
    """What should be lit and what is; `stubborn` lamps refuse."""

    def __init__(self) -> None:
        self.desired: set[str] = set()
        self.actual: set[str] = set()
        self.stubborn: set[str] = set()
        self.runs = 0
        self.inside = 0
        self.gate: asyncio.Event | None = None


async def observe(town: Town) -> tuple[set[str], set[str]]:
    town.runs += 1
    assert town.inside == 0, "two runs at once"
    town.inside += 1
    if town.gate is not None:
        await town.gate.wait()
    town.inside -= 1
    return set(town.desired), set(town.actual)


def plan(desired: set[str], actual: set[str]) -> list[tuple[str, str]]:
    lit = [("light", lamp) for lamp in sorted(desired - actual)]
    return lit + [("dim", lamp) for lamp in sorted(actual - desired)]


async def apply(town: Town, action: tuple[str, str]) -> None:
    verb, lamp = action
    if lamp in town.stubborn:
        raise RuntimeError(f"{lamp} is stubborn")
    (town.actual.add if verb == "light" else town.actual.discard)(lamp)


LAMPS = Reconciler("town.lamps", every=60, observe=observe, plan=plan, apply=apply)


def engine_for(store: Store, town: Town, name: str = "engine", work: Reconciler = LAMPS) -> Engine:
    return Engine(store, None, town, reconcilers=[work], name=name)


async def test_makes_the_world_equal(store: Store) -> None:
    town = Town()
    town.desired, town.actual = {"a", "b"}, {"b", "c"}
    assert await engine_for(store, town).run_one("town.lamps") == 2
    assert town.actual == {"a", "b"}


async def test_runs_at_the_start_then_by_the_clock_and_at_a_nudge(store: Store, standing_clock: Any) -> None:
    town = Town()
    engine = engine_for(store, town)
    await engine.run_due()
    await engine.run_due()
    assert town.runs == 1
    clock.step(seconds=59)
    await engine.run_due()
    assert town.runs == 1
    clock.step(seconds=1)
    await engine.run_due()
    assert town.runs == 2
    async with store.transaction() as tx:
        tx.nudge("town.lamps")
        tx.nudge("town.lamps")
        await engine.run_due()
        assert town.runs == 2  # not before the commit
    await engine.run_due()
    assert town.runs == 3


async def test_a_nudge_that_was_rolled_back_wakes_nobody(store: Store, standing_clock: Any) -> None:
    town = Town()
    engine = engine_for(store, town)
    await engine.run_due()

    async def refuse() -> None:
        async with store.transaction() as tx:
            tx.nudge("town.lamps")
            raise KeyError

    with pytest.raises(KeyError):
        await refuse()
    await engine.run_due()
    assert town.runs == 1


async def test_one_action_that_fails_does_not_hold_the_others_and_comes_again_soon(
    store: Store, standing_clock: Any
) -> None:
    town = Town()
    town.desired, town.stubborn = {"a", "b", "c"}, {"a"}
    engine = engine_for(store, town)
    await engine.run_due()
    assert town.actual == {"b", "c"}
    record = await operation.list_for(store, request_id="periodic-town.lamps")
    assert record[0].verdict == "failed"
    assert record[0].reason == "1 of 3 actions of town.lamps failed"
    clock.step(seconds=2)
    await engine.run_due()
    assert town.runs == 2
    clock.step(seconds=2)
    await engine.run_due()
    assert town.runs == 2  # more slowly now
    town.stubborn.clear()
    clock.step(seconds=2)
    await engine.run_due()
    assert town.actual == {"a", "b", "c"}
    assert (await store.get(leases, name="town.lamps")).failures == 0
    town.desired, town.stubborn = {"d"}, {"d"}
    with pytest.raises(Unfinished):
        await engine.run_one("town.lamps")


async def test_nudged_while_it_runs_it_runs_once_more(store: Store) -> None:
    town = Town()
    town.gate = asyncio.Event()
    engine = engine_for(store, town)
    running = asyncio.create_task(engine.run())
    await until(lambda: town.runs == 1)
    for _ in range(5):
        store.nudge("town.lamps")
        await asyncio.sleep(0.01)
    assert town.runs == 1
    town.gate.set()
    await until(lambda: town.runs == 2)
    await asyncio.sleep(0.1)
    assert town.runs == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_two_processes_take_turns_and_lose_no_nudge(store: Store, store_url: str) -> None:
    """The other process is nudged while this one runs: one of them must look again afterwards."""
    town = Town()
    town.gate = asyncio.Event()
    second_store = await open_store(store_url)
    here, there = engine_for(store, town, "here"), engine_for(second_store, town, "there")
    first = asyncio.create_task(here.run_due())
    await until(lambda: town.runs == 1)
    town.desired = {"late"}
    there.nudge("town.lamps")
    await there.run_due()
    assert town.runs == 1
    town.gate.set()
    await first
    await second_store.close()
    assert town.runs == 2
    assert town.actual == {"late"}


async def test_a_dead_process_holds_the_lease_no_longer_than_its_time(
    store: Store, standing_clock: Any
) -> None:
    class Killed(BaseException):
        pass

    async def die(town: Town) -> None:
        town.runs += 1
        if town.runs == 1:
            raise Killed

    work = Reconciler("mortal", every=timedelta(seconds=5), run=die)
    town = Town()
    with pytest.raises(Killed):
        await engine_for(store, town, "dead", work).run_due()
    other = engine_for(store, town, "other", work)
    await other.run_due()
    assert town.runs == 1
    clock.step(seconds=16)
    await other.run_due()
    assert town.runs == 2


@pytest.mark.parametrize("when", ["before the lease", "in the middle"])
async def test_a_round_that_the_database_left_is_soon_made_up_for(
    when: str, store: Store, standing_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was due again after `every`, which may be long, and what had nudged it was forgotten."""
    town = Town()
    work = Reconciler("town.lamps", every=600, observe=observe, plan=plan, apply=apply)
    engine = engine_for(store, town, work=work)
    await engine.run_due()
    town.desired = {"a"}
    true_take, true_record = lease.take_lease, operation.record
    away = True

    async def take_lease(*args: Any, **options: Any) -> Any:
        if away and when == "before the lease":
            raise StoreUnavailable("away")
        return await true_take(*args, **options)

    async def record(*args: Any, **options: Any) -> None:
        if away:
            raise StoreUnavailable("away")
        await true_record(*args, **options)

    async def fail(town: Town, action: Any) -> None:
        if away:
            raise StoreUnavailable("away")
        await apply(town, action)

    monkeypatch.setattr(lease, "take_lease", take_lease)
    monkeypatch.setattr(operation, "record", record)
    work._apply = fail
    engine.nudge("town.lamps")
    await engine.run_due()
    assert town.actual == set()
    away = False
    clock.step(seconds=2)
    await engine.run_due()
    clock.step(seconds=14)
    await engine.run_due()
    assert town.actual == {"a"}
    runs = town.runs
    clock.step(seconds=300)
    await engine.run_due()
    assert town.runs == runs


async def test_what_a_round_that_broke_off_had_seen_is_looked_at_again(store: Store) -> None:
    """It had noted as seen what it never came to deal with."""
    town = Town()
    town.desired = {"a"}
    seen: set[str] = set()
    faults = [StoreUnavailable("away")]

    async def look(town: Town) -> tuple[set[str], set[str]]:
        new = town.desired - seen
        seen.update(new)
        if faults:
            raise faults.pop()
        return new, set()

    work = Reconciler(
        "town.lamps", every=60, observe=look, plan=plan, apply=apply, forget=lambda town: seen.clear()
    )
    engine = engine_for(store, town, work=work)
    with pytest.raises(StoreUnavailable):
        await engine.run_one("town.lamps")
    await engine.run_one("town.lamps")
    assert town.actual == {"a"}


async def test_what_another_process_began_and_did_not_end_is_heard_of(
    store: Store, store_url: str, standing_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was nudged long before the time at which we would have looked."""
    monkeypatch.setattr(engine_module, "IDLE", timedelta(seconds=0.1))
    town = Town()
    work = Reconciler("town.lamps", every=600, observe=observe, plan=plan, apply=apply)
    ours = engine_for(store, town, "ours", work)
    running = asyncio.create_task(ours.run())
    await until(lambda: town.runs == 1)
    theirs = await open_store(store_url)
    clock.step(seconds=1)

    async def taken() -> bool:
        return (await lease.take_lease(theirs, "town.lamps", "theirs", wanted=True))[0] is not None

    await until(taken)
    await theirs.close()  # and never heard of again
    await asyncio.sleep(0.3)
    assert town.runs == 1
    clock.step(seconds=16)
    await until(lambda: town.runs == 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_after_a_round_that_was_overtaken_comes_another(store: Store, standing_clock: Any) -> None:
    """What it did last may be older than what the round did that overtook it."""
    await lease.ensure_leases(store, ["town.lamps"])
    token, stopped = await lease.take_lease(store, "town.lamps", "stopped", wanted=False)
    assert token is not None
    clock.step(seconds=16)
    town = Town()
    other = engine_for(store, town)
    await other.run_due()
    await lease.release_lease(store, stopped, every=timedelta(minutes=10))
    assert (await store.get(leases, name="town.lamps")).next_at == lease.AT_ONCE
    await engine_for(store, town, "third").run_due()
    assert town.runs == 2
    assert (await store.get(leases, name="town.lamps")).next_at > clock.now()


def test_half_a_reconciler_is_refused() -> None:
    with pytest.raises(ValueError, match="observe, plan and apply, or run"):
        Reconciler("half", every=1, observe=observe, plan=plan)
