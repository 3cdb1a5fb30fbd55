"""What becomes of leases, waits and deadlines when somebody sets the machine's clock."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from aerostat.kernel.clock import Clock, clock, minutes
from aerostat.kernel.model import flows, leases
from aerostat.kernel.work import Engine, Flow, Reconciler, lease

from .toy_flows import LAMP, World, engine_for, lamps, only_flow, start
from .waiting import until

HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def right_clock() -> Iterator[None]:
    yield
    clock.forget_jumps()


def test_a_clock_that_was_put_is_noticed() -> None:
    own = Clock()
    began = own.now()
    assert own.jumps() == []
    assert own.even_for_s() > 1e6
    own.put(HOUR_S)
    (jump,) = own.jumps()
    assert abs(jump.by_s - HOUR_S) < 1
    assert own.even_for_s() < 1
    assert abs(own.skipped_since(began).total_seconds() - HOUR_S) < 1
    assert own.skipped_since(own.now()) == timedelta()
    own.put(-HOUR_S)
    assert len(own.jumps()) == 2
    own.put(5)  # so much a clock may be set without anybody's harm
    assert len(own.jumps()) == 2


async def _ended(world: World) -> str:
    async def over() -> bool:
        return bool((await only_flow(world)).state != "running")

    await until(over, limit_s=10)
    return str((await only_flow(world)).state)


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S])
async def test_a_flow_that_waits_goes_on_and_misses_no_deadline(by_s: float, world: World) -> None:
    """Put back, it would have slept for an hour; put forward, it would have had no time left."""
    flow = Flow("waiting", on=lamps, deadline=minutes(10), failed="fail", machine=LAMP)
    began = asyncio.Event()

    @flow.step
    async def look(work: Any, lamp: Any) -> Any:
        work.data["looks"] = work.data.get("looks", 0) + 1
        began.set()
        return None if work.data["looks"] >= 3 else work.again(0.6)

    engine = engine_for(world, flow)
    running = asyncio.create_task(engine.run())
    await start(world, flow)
    await began.wait()
    clock.put(by_s)
    engine.nudge()  # the next look; else at the next heart-beat
    assert await _ended(world) == "done"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_lease_of_the_future_does_not_hold_up_a_dead_workers_work(world: World) -> None:
    flow = Flow("left", on=lamps, deadline=minutes(10), failed="fail", machine=LAMP)

    @flow.step
    async def look(work: Any, lamp: Any) -> None:
        """Nothing to do."""

    clock.put(HOUR_S)
    lamp_id = await start(world, flow)
    until_at = clock.now() + timedelta(seconds=15)
    await world.store.update(
        flows, {"subject_id": lamp_id}, lease_token="t", lease_worker="dead", lease_until=until_at
    )
    clock.put(-HOUR_S)
    clock.jumps()
    engine = engine_for(world, flow)
    running = asyncio.create_task(engine.run())

    async def shortened() -> bool:
        return bool((await only_flow(world)).lease_until < clock.now() + timedelta(seconds=16))

    clock.put(-HOUR_S)  # seen by this engine
    engine.nudge()
    await until(shortened, limit_s=10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_reconciler_does_not_sleep_until_the_clock_has_caught_up(world: World) -> None:
    runs: list[int] = []

    async def run(world: World) -> None:
        runs.append(1)

    engine = Engine(world.store, None, world, reconcilers=[Reconciler("town.lamps", every=60, run=run)])
    running = asyncio.create_task(engine.run())
    await until(lambda: len(runs) == 1)
    clock.put(-HOUR_S)
    engine.nudge()
    await until(lambda: len(runs) == 2)
    assert (await world.store.get(leases, name="town.lamps")).next_at <= clock.now() + timedelta(seconds=60)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_who_puts_the_clock_forward_takes_no_lease_from_those_who_live(world: World) -> None:
    """Found by the simulator: two processes wrote to the switches at once, the older one last."""
    clock.jumps()
    await lease.ensure_leases(world.store, ["town.lamps"])
    token, taken = await lease.take_lease(world.store, "town.lamps", "one", wanted=True)
    assert token is not None
    clock.put(HOUR_S)
    assert (await lease.take_lease(world.store, "town.lamps", "two", wanted=True))[0] is None
    assert lease.free_at(taken) > clock.now()
    await lease.prolong(world.store, "one", [], [token])
    held = await world.store.get(leases, name="town.lamps")
    assert clock.now() < lease.free_at(held) <= clock.now() + lease.LEASE


async def test_a_flow_that_is_at_work_stays_where_it_is_when_the_clock_is_put_forward(world: World) -> None:
    flow = Flow("slow", on=lamps, deadline=minutes(10), failed="fail", machine=LAMP)
    begun, may_end = asyncio.Event(), asyncio.Event()
    workers: list[str] = []

    @flow.step
    async def look(work: Any, lamp: Any) -> None:
        workers.append(work.lease_token)
        begun.set()
        await may_end.wait()

    await start(world, flow)
    clock.jumps()
    first = asyncio.create_task(engine_for(world, flow, name="one").run())
    await begun.wait()
    clock.put(HOUR_S)
    await engine_for(world, flow, name="two").run_due()
    may_end.set()
    assert await _ended(world) == "done"
    assert len(workers) == 1
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


def test_a_clock_that_stands_can_be_put_too() -> None:
    """Simulated lives have one; that it was put forward was hidden from all who are to make up for it."""
    own = Clock()
    own.stop()
    began = own.now()
    own.step(minutes=5)
    own.put(5)
    assert own.jumps() == []
    own.put(HOUR_S)
    (jump,) = own.jumps()
    assert (jump.by_s, jump.at) == (HOUR_S, own.now())
    assert own.skipped_since(began) == own.skipped_lately(timedelta(seconds=15)) == timedelta(hours=1)
