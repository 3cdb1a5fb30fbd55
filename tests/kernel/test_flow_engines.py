"""Engines: leases, processes that come and go, who is woken and by what."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from aerostat.kernel.bus import Message, open_memory_bus
from aerostat.kernel.clock import clock, minutes
from aerostat.kernel.db import StoreUnavailable, open_store
from aerostat.kernel.model import flows
from aerostat.kernel.work import Engine, Flow, forward_nudges, lease, wake

from .toy_flows import (
    World,
    engine_for,
    lamps,
    noting_flow,
    only_flow,
    start,
)
from .waiting import until


async def test_the_result_of_a_lost_lease_is_thrown_away(world: World, standing_clock: Any) -> None:
    """A worker stalls in a step until another has taken over and finished: its own result must not count."""
    work = Flow("slow", on=lamps, deadline=minutes(5))

    @work.step
    async def paint(work: Any, lamp: Any) -> None:
        lamp.name = "red" if work.house.calls else "green"
        work.house.calls.append(lamp.name)

    async def stall(flow: Flow, step: str, direction: str, call: Any) -> Any:
        outcome = await call()
        clock.step(seconds=20)
        await engine_for(world, work, name="other").run_due()
        return outcome

    lamp_id = await start(world, work)
    await engine_for(world, work, around=stall).run_due()
    assert world.calls == ["green", "red"]
    assert (await world.store.get(lamps, id=lamp_id)).name == "red"
    assert (await only_flow(world)).state == "done"


async def test_a_step_can_ask_whether_it_was_overtaken(world: World, standing_clock: Any) -> None:
    """What a step writes of its own, before its end, is not guarded by the engine: it has to ask."""
    flow = Flow("asking", on=lamps, deadline=minutes(5))
    answers: list[bool] = []

    @flow.step
    async def paint(work: Any, lamp: Any) -> None:
        is_first = not answers
        answers.append(await in_transaction(work))
        if is_first:
            clock.step(seconds=20)
            await engine_for(world, flow, name="other").run_due()
            answers.append(await in_transaction(work))

    async def in_transaction(work: Any) -> bool:
        async with work.db.transaction() as tx:
            return bool(await work.is_ours(tx))

    await start(world, flow)
    await engine_for(world, flow).run_due()
    assert answers == [True, True, False]
    assert (await only_flow(world)).state == "done"


async def test_a_new_process_of_the_same_name_takes_over_at_once(world: World, standing_clock: Any) -> None:
    class Killed(BaseException):
        pass

    async def kill(flow: Flow, step: str, direction: str, call: Any) -> Any:
        raise Killed

    calls: list[str] = []
    flow = noting_flow("one", calls)
    await start(world, flow)
    with pytest.raises(Killed):
        await engine_for(world, flow, around=kill).run_due()
    await engine_for(world, flow, name="neighbour").run_due()
    assert calls == []
    await engine_for(world, flow).run_due()
    assert calls == ["one.first", "one.second"]


async def test_a_running_engine_is_woken_by_the_commit(world: World) -> None:
    flow = noting_flow("quick", world.calls)
    running = asyncio.create_task(engine_for(world, flow).run())
    await asyncio.sleep(0.05)
    await start(world, flow)

    async def done() -> bool:
        return bool((await only_flow(world)).state == "done")

    await until(done)
    assert world.calls == ["quick.first", "quick.second"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_cancelled_engine_gives_its_flow_back(world: World) -> None:
    entered = asyncio.Event()
    flow = Flow("held", on=lamps, deadline=minutes(5))

    @flow.step
    async def hold(work: Any, lamp: Any) -> None:
        entered.set()
        if not work.house.calls:
            work.house.calls.append("held")
            await asyncio.Event().wait()

    await start(world, flow)
    running = asyncio.create_task(engine_for(world, flow).run())
    async with asyncio.timeout(5):
        await entered.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await only_flow(world)).lease_token is None
    await engine_for(world, flow, name="other").run_due()
    assert (await only_flow(world)).state == "done"


async def test_two_engines_share_the_work_and_never_a_step(world: World, store_url: str) -> None:
    flow = Flow("counted", on=lamps, deadline=minutes(5))

    @flow.step
    async def count(work: Any, lamp: Any) -> None:
        work.house.calls.append(lamp.id)
        await asyncio.sleep(0.001)

    started = [await start(world, flow) for _ in range(60)]
    second_store = await open_store(store_url)
    second = World(second_store)
    engines = [
        asyncio.create_task(engine_for(world, flow, name="a").run()),
        asyncio.create_task(engine_for(second, flow, name="b").run()),
    ]

    async def idle() -> bool:
        return not await world.store.count(flows, state="running")

    await until(idle)
    for engine in engines:
        engine.cancel()
    await asyncio.gather(*engines, return_exceptions=True)
    await second_store.close()
    assert sorted(world.calls + second.calls) == sorted(started)


@pytest.mark.parametrize("when", ["asleep", "in the step"])
async def test_a_waiting_flow_can_be_woken(when: str, world: World, standing_clock: Any) -> None:
    """Also by what happens while its step runs, after the step has looked."""
    flow = Flow("waiting", on=lamps, deadline=minutes(60))

    @flow.step
    async def look(work: Any, lamp: Any) -> Any:
        work.house.calls.append("look")
        seen = "ready" in work.house.sockets
        if when == "in the step" and not seen:
            await make_ready()
        return work.done() if seen else work.again(minutes(30))

    async def make_ready() -> None:
        world.sockets["ready"] = "yes"
        async with world.store.transaction() as tx:
            await wake(tx, lamps, lamp_id)

    lamp_id = await start(world, flow)
    engine = engine_for(world, flow)
    await engine.run_due()
    if when == "asleep":
        assert world.calls == ["look"]
        await make_ready()
        await engine.run_due()
    assert world.calls == ["look", "look"]
    assert (await only_flow(world)).state == "done"


async def test_a_heart_beat_keeps_the_lease_of_a_long_step(
    world: World, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("engine", "runner", "lease"):
        monkeypatch.setattr(f"aerostat.kernel.work.{module}.LEASE", timedelta(seconds=0.4))
    monkeypatch.setattr("aerostat.kernel.work.engine.HEARTBEAT_S", 0.05)
    may_end = asyncio.Event()
    flow = Flow("long", on=lamps, deadline=minutes(5))

    @flow.step
    async def hold(work: Any, lamp: Any) -> None:
        work.house.calls.append(lamp.id)
        await may_end.wait()

    await start(world, flow)
    running = asyncio.create_task(engine_for(world, flow).run())
    await until(lambda: len(world.calls) == 1)
    second_store = await open_store(store_url)
    other = engine_for(World(second_store), flow, name="other")
    for _ in range(12):
        await asyncio.sleep(0.1)
        assert await other.run_due() == 0
    may_end.set()

    async def done() -> bool:
        return bool((await only_flow(world)).state == "done")

    await until(done)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await second_store.close()


async def test_a_process_without_an_engine_wakes_one_over_the_bus(world: World, store_url: str) -> None:
    flow = noting_flow("far", world.calls)
    bus = await open_memory_bus()
    api_store = await open_store(store_url)
    stop = forward_nudges(api_store, bus)
    engine = Engine(world.store, bus, world, [flow])
    running = asyncio.create_task(engine.run())
    await asyncio.sleep(0.1)
    await start(World(api_store), flow)
    await until(lambda: len(world.calls) == 2, limit_s=10)  # long before it would have looked by itself
    stop()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await api_store.close()
    await bus.close()


async def test_a_nudge_that_comes_when_the_one_before_was_just_told_is_told_too(world: World) -> None:
    told: list[str] = []

    class Wire:
        async def call(self, topic: str, verb: str, body: str, *, timeout_s: float) -> None:
            told.append(body)
            if len(told) == 1:  # when the teller has ended, and before anybody knows
                asyncio.get_running_loop().call_soon(world.store.nudge, "town.lamps")

    wire: Any = Wire()
    stop = forward_nudges(world.store, wire)
    world.store.nudge("town.lamps")
    await until(lambda: len(told) == 2)
    stop()


async def test_a_nudge_of_a_reconciler_is_told_until_an_engine_has_heard(
    store_url: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reconciler of orphans looks every ten minutes: a nudge that was lost with the queue cost as much."""
    monkeypatch.setattr("aerostat.kernel.work.nudges.TELL_PAUSE_S", 0.01)
    bus = await open_memory_bus()
    stop = forward_nudges(world.store, bus)
    world.store.nudge("town.lamps")
    world.store.nudge("town.lamps")
    await asyncio.sleep(0.1)  # nobody serves the topic yet
    heard: list[str] = []

    async def wake(message: Message) -> None:
        heard.append(message.read(str))

    await bus.serve("engine-wake", wake)
    await until(lambda: heard == ["town.lamps"])
    world.store.nudge("town.lamps")
    await until(lambda: len(heard) == 2)
    await asyncio.sleep(0.1)
    assert len(heard) == 2
    stop()
    await bus.close()


async def test_an_engine_that_starts_while_the_database_is_away_works_once_it_is_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the simulator: the engine's task ended, the process lived on, and no flow was ever run."""
    true_ensure = lease.ensure_leases
    away = [StoreUnavailable("away")]

    async def ensure_leases(*args: Any) -> Any:
        if away:
            raise away.pop()
        return await true_ensure(*args)

    monkeypatch.setattr(lease, "ensure_leases", ensure_leases)
    calls: list[str] = []
    flow = noting_flow("one", calls)
    running = asyncio.ensure_future(engine_for(world, flow).run())
    await start(world, flow)

    async def done() -> bool:
        return bool(calls)

    await until(done)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_process_whose_engine_breaks_does_not_live_on_without_it() -> None:
    from aerostat.app import _running

    async def breaks() -> None:
        raise ZeroDivisionError("planted")

    with pytest.raises(ZeroDivisionError):
        async with _running(breaks()):
            await asyncio.sleep(5)
