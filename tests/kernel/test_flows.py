"""Flows under the engine, on both databases; and the contract kit, which must catch a wrong flow."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from aerostat.kernel import operation
from aerostat.kernel.bus import Message, open_memory_bus
from aerostat.kernel.clock import clock, minutes
from aerostat.kernel.db import Store, open_store
from aerostat.kernel.db.store import Statement
from aerostat.kernel.errors import Conflict, DriverError
from aerostat.kernel.model import flows
from aerostat.kernel.work import Engine, Flow, forward_nudges, trim_flows, wake
from tests.contracts.flow_contract import FlowCase, Trial, trials

from .toy_flows import (
    CONTEXT,
    LAMP,
    World,
    assert_lit,
    assert_removed,
    lamps,
    light,
    remove,
    start_light,
    start_remove,
)
from .waiting import until


@pytest.fixture
async def world(store: Store) -> World:
    return await World(store).open()


@pytest.fixture
def standing_clock() -> Any:
    clock.stop()
    yield clock
    clock.run()


async def make_lit_and_remove(world: World) -> str:
    lamp_id = await start_light(world)
    async with world.store.transaction() as tx:
        await tx.delete(flows)
        await tx.update(lamps, {"id": lamp_id}, state="lit")
    world.sockets[f"socket-{lamp_id}"] = lamp_id
    world.switches[lamp_id] = 1
    await start_remove(world, lamp_id)
    return lamp_id


LIGHT = FlowCase(
    flow=light,
    others=[remove],
    start=start_light,
    describe=World.describe,
    worked=assert_lit,
    delete=start_remove,
)
REMOVE = FlowCase(
    flow=remove,
    start=make_lit_and_remove,
    describe=World.describe,
    worked=assert_removed,
    start_again=start_remove,
)


@pytest.mark.parametrize("trial", trials(LIGHT), ids=str)
async def test_light(trial: Trial, world: World) -> None:
    await trial.run(LIGHT, world)


@pytest.mark.parametrize("trial", trials(REMOVE), ids=str)
async def test_remove(trial: Trial, world: World) -> None:
    await trial.run(REMOVE, world)


# The kit catches what is wrong.


def wrong_flow(fault: str) -> FlowCase:
    """Lighting with one mistake planted."""
    wrong = Flow("lamp.wrong", on=lamps, deadline=minutes(10), failed="fail", machine=LAMP)

    @wrong.step
    async def take(work: Any, lamp: Any) -> None:
        key = f"socket-{lamp.id}"
        if fault == "not repeatable" and key in work.house.sockets:
            raise DriverError("the socket is taken")
        if fault == "random name":
            key += f"-{len(work.house.sockets)}"
        work.house.sockets[key] = lamp.id
        lamp.socket = key

    @take.undo
    async def leave(work: Any, lamp: Any) -> None:
        if fault == "undo not repeatable":
            del work.house.sockets[f"socket-{lamp.id}"]
        elif fault != "no undo":
            work.house.sockets.pop(f"socket-{lamp.id}", None)

    @wrong.step
    async def switch(work: Any, lamp: Any) -> None:
        work.house.switches[lamp.id] = 1
        work.move("lit")

    @switch.undo
    async def unswitch(work: Any, lamp: Any) -> None:
        work.house.switches.pop(lamp.id, None)

    async def start(world: World) -> str:
        return await start_light(world, wrong)

    return FlowCase(
        flow=wrong,
        others=[remove],
        start=start,
        describe=World.describe,
        worked=assert_lit,
        delete=start_remove,
    )


@pytest.mark.parametrize(
    ("fault", "caught_by"),
    [
        ("none", []),
        ("not repeatable", ["twice", "dies after take"]),
        ("random name", ["twice", "dies after take"]),
        (
            "no undo",
            ["fails after take", "fails before switch", "breaks after switch", "undo twice after switch"],
        ),
        ("undo not repeatable", ["undo dies after take"]),
    ],
)
async def test_a_wrong_flow_is_caught(fault: str, caught_by: list[str], store: Store) -> None:
    case = wrong_flow(fault)
    caught = set()
    for trial in trials(case):
        world = await World(store).open()
        try:
            await trial.run(case, world)
        except AssertionError:
            caught.add(str(trial))
        async with store.transaction() as tx:
            await tx.delete(flows)
    assert caught >= set(caught_by)
    if fault == "none":
        assert not caught


# What the kit does not look at: order, time, leases, records.


def engine_for(world: World, *work: Flow, name: str = "engine", around: Any = None) -> Engine:
    return Engine(world.store, None, world, work, name=name, around=around)


async def start(world: World, flow: Flow, lamp_id: str | None = None, **options: Any) -> str:
    async with world.store.transaction() as tx:
        if lamp_id is None:
            lamp_id = (await tx.insert(lamps, name="desk", state=LAMP.initial)).id
        await flow.start(tx, lamp_id, context=CONTEXT, **options)
    assert lamp_id is not None
    return lamp_id


async def only_flow(world: World) -> Any:
    (row,) = await world.store.all(flows)
    return row


def noting_flow(name: str, calls: list[str], wait_s: float = 0.0, **options: Any) -> Flow:
    """Two steps that write their names down; the first waits once if told to."""
    flow = Flow(name, on=lamps, deadline=minutes(5), **options)

    @flow.step
    async def first(work: Any, lamp: Any) -> Any:
        calls.append(f"{name}.first")
        if wait_s and not work.data.setdefault("waited", False):
            work.data["waited"] = True
            return work.again(wait_s)
        return None

    @flow.step
    async def second(work: Any, lamp: Any) -> None:
        calls.append(f"{name}.second")

    return flow


async def test_flows_of_one_subject_take_turns(world: World, standing_clock: Any) -> None:
    calls: list[str] = []
    one, two = noting_flow("one", calls, wait_s=5), noting_flow("two", calls)
    engine = engine_for(world, one, two)
    lamp_id = await start(world, one)
    await start(world, two, lamp_id)
    await engine.run_due()
    assert calls == ["one.first"]
    await engine.settle()
    assert calls == ["one.first", "one.first", "one.second", "two.first", "two.second"]


async def test_parallel_flows_do_not_wait_for_each_other(world: World, standing_clock: Any) -> None:
    calls: list[str] = []
    one = noting_flow("one", calls, wait_s=5, parallel=True)
    two = noting_flow("two", calls, parallel=True)
    lamp_id = await start(world, one)
    await start(world, two, lamp_id)
    await engine_for(world, one, two).run_due()
    assert calls == ["one.first", "two.first", "two.second"]


async def test_flows_of_different_subjects_are_not_ordered(world: World, standing_clock: Any) -> None:
    calls: list[str] = []
    one, two = noting_flow("one", calls, wait_s=5), noting_flow("two", calls)
    await start(world, one)
    await start(world, two)
    await engine_for(world, one, two).run_due()
    assert calls == ["one.first", "two.first", "two.second"]


async def test_a_superseding_flow_waits_for_the_step_that_runs(world: World, standing_clock: Any) -> None:
    """While `one` is inside a step, another engine must not begin `two`, and `one` must not go on after it."""
    calls: list[str] = []
    one, two = noting_flow("one", calls), noting_flow("two", calls)
    other = engine_for(world, one, two, name="other")

    async def delete_meanwhile(flow: Flow, step: str, direction: str, call: Any) -> Any:
        if step == "first" and flow is one:
            await start(world, two, lamp_id, supersede=True)
            await other.run_due()
            assert calls == []
        return await call()

    lamp_id = await start(world, one)
    await engine_for(world, one, two, around=delete_meanwhile).run_due()
    assert calls == ["one.first", "two.first", "two.second"]
    states = {row.name: row.state for row in await world.store.all(flows)}
    assert states == {"one": "superseded", "two": "done"}


async def test_waiting_flows_are_superseded_at_once(world: World, standing_clock: Any) -> None:
    calls: list[str] = []
    one, two = noting_flow("one", calls, wait_s=500), noting_flow("two", calls)
    engine = engine_for(world, one, two)
    lamp_id = await start(world, one)
    await engine.run_due()
    await start(world, two, lamp_id, supersede=True)
    await engine.run_due()
    assert calls == ["one.first", "two.first", "two.second"]


async def test_a_flow_started_behind_a_delete_finds_nothing_to_do(world: World, standing_clock: Any) -> None:
    calls: list[str] = []
    late = noting_flow("late", calls)
    engine = engine_for(world, remove, late)
    lamp_id = await start(world, remove, supersede=True)
    await start(world, late, lamp_id)
    await engine.run_due()
    assert calls == []
    record = await operation.list_for(world.store, subject_id=lamp_id)
    assert record[-1].verdict == "gone"
    assert {row.state for row in await world.store.all(flows)} == {"done"}


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


async def test_a_driver_that_says_try_again_is_tried_again_more_and_more_slowly(
    world: World, standing_clock: Any
) -> None:
    flow = Flow("stubborn", on=lamps, deadline=minutes(5), failed="fail", machine=LAMP)
    began = clock.now()
    at: list[float] = []

    @flow.step(attempts=4)
    async def ask(work: Any, lamp: Any) -> None:
        at.append((clock.now() - began).total_seconds())
        raise DriverError("busy", retry=True, detail="EBUSY")

    lamp_id = await start(world, flow)
    await engine_for(world, flow).settle()
    assert at == [0.0, 0.5, 1.5, 3.5]
    lamp = await world.store.get(lamps, id=lamp_id)
    assert lamp.state == "broken"
    assert lamp.fault["message"] == "busy"
    assert lamp.fault["detail"] == "EBUSY"
    verdicts = [row.verdict for row in await operation.list_for(world.store, subject_id=lamp_id)]
    assert verdicts == ["started", "retry", "retry", "retry", "failed", "failed"]


async def test_a_missed_deadline_is_a_fault_the_user_can_read(world: World, standing_clock: Any) -> None:
    flow = Flow("endless", on=lamps, deadline=minutes(1), failed="fail", machine=LAMP)

    @flow.step
    async def wait(work: Any, lamp: Any) -> Any:
        return work.again(7)

    lamp_id = await start(world, flow)
    began = clock.now()
    await engine_for(world, flow).settle()
    assert (clock.now() - began).total_seconds() == pytest.approx(60)
    fault = (await world.store.get(lamps, id=lamp_id)).fault
    assert fault["code"] == "DeadlineMissed"
    assert fault["message"] == "endless was not finished within 60 s; it was at step wait."


async def test_a_step_that_hangs_is_cut_off_at_the_deadline(world: World) -> None:
    flow = Flow("hanging", on=lamps, deadline=minutes(0.2 / 60), failed="fail", machine=LAMP)

    @flow.step
    async def hang(work: Any, lamp: Any) -> None:
        await asyncio.Event().wait()

    lamp_id = await start(world, flow)
    async with asyncio.timeout(10):
        await engine_for(world, flow).run_due()
    assert "not finished within 0.2 s" in (await world.store.get(lamps, id=lamp_id)).fault["message"]


async def test_nothing_of_a_refused_result_is_written(world: World, standing_clock: Any) -> None:
    """The row's change, the data and the extra writes of a step go together or not at all."""
    flow = Flow("refused", on=lamps, deadline=minutes(1))

    @flow.step
    async def insert_twice(work: Any, lamp: Any) -> None:
        lamp.name = "changed"
        work.record("refused", reason="kept")
        work.also(lambda tx: tx.insert(lamps, id="new", name="new", state="lit"))
        work.also(lambda tx: tx.insert(lamps, id=lamp.id, name="double", state="lit"))

    lamp_id = await start(world, flow)
    await engine_for(world, flow).run_due()
    assert [row.name for row in await world.store.all(lamps)] == ["desk"]
    flow_row = await only_flow(world)
    assert flow_row.state == "failed"
    assert flow_row.fault["code"] == "Duplicate"
    record = await operation.list_for(world.store, subject_id=lamp_id)
    assert "kept" in [row.reason for row in record]


async def test_failed_may_be_a_function(world: World, standing_clock: Any) -> None:
    async def mourn(work: Any, lamp: Any, fault: Any) -> None:
        lamp.name = f"{fault.code}: {fault.message}"

    flow = Flow("mourned", on=lamps, deadline=minutes(1), failed=mourn)

    @flow.step
    async def conflict(work: Any, lamp: Any) -> None:
        raise Conflict("two of them")

    lamp_id = await start(world, flow)
    await engine_for(world, flow).run_due()
    assert (await world.store.get(lamps, id=lamp_id)).name == "Conflict: two of them"


async def test_a_failing_event_that_no_longer_fits_does_not_stop_the_end(
    world: World, standing_clock: Any
) -> None:
    flow = Flow("late", on=lamps, deadline=minutes(1), failed="fail", machine=LAMP)

    @flow.step
    async def conflict(work: Any, lamp: Any) -> None:
        async with work.db.transaction() as tx:
            await LAMP.move(tx, lamps, lamp.id, "lit")
        raise Conflict("two of them")

    lamp_id = await start(world, flow)
    await engine_for(world, flow).run_due()
    lamp = await world.store.get(lamps, id=lamp_id)
    assert (lamp.state, lamp.fault["message"]) == ("lit", "two of them")
    assert (await only_flow(world)).state == "failed"


async def test_goto_finish_and_save(world: World, standing_clock: Any) -> None:
    flow = Flow("jumping", on=lamps, deadline=minutes(1))

    @flow.step
    async def begin(work: Any, lamp: Any) -> Any:
        work.data["chosen"] = "name"
        lamp.socket = "chosen"
        await work.save()
        stored = await work.db.get(flows, id=work.flow_id)
        assert stored.data == {"chosen": "name"}
        assert (await work.db.get(lamps, id=lamp.id)).socket == "chosen"
        return work.goto("end")

    @flow.step
    async def skipped(work: Any, lamp: Any) -> None:
        raise AssertionError("not to be reached")

    @flow.step
    async def end(work: Any, lamp: Any) -> Any:
        assert lamp.socket == "chosen"
        return work.finish()

    @flow.step
    async def never(work: Any, lamp: Any) -> None:
        raise AssertionError("not to be reached")

    await start(world, flow)
    await engine_for(world, flow).run_due()
    row = await only_flow(world)
    assert (row.state, row.fault) == ("done", None)


async def test_a_flow_that_was_rolled_back_with_its_request_never_runs(world: World) -> None:
    async def refuse() -> None:
        async with world.store.transaction() as tx:
            lamp = await tx.insert(lamps, name="desk", state="building")
            await light.start(tx, lamp.id, context=CONTEXT)
            raise Conflict

    with pytest.raises(Conflict):
        await refuse()
    assert await engine_for(world, light).run_due() == 0


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


async def test_ended_flows_are_forgotten_after_a_while(world: World, standing_clock: Any) -> None:
    flow = noting_flow("old", world.calls)
    await start(world, flow)
    engine = engine_for(world, flow)
    await engine.run_due()
    clock.step(days=1)
    await start(world, flow)
    await engine.run_due()
    await start(world, flow)
    assert await trim_flows(world.store, timedelta(hours=2)) == 1
    assert sorted(row.state for row in await world.store.all(flows)) == ["done", "running"]


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


async def test_a_step_calls_a_host_over_the_bus(world: World) -> None:
    async def answer(message: Message) -> dict[str, Any]:
        return {"state": "running", "asked": message.verb, "request": message.request_id}

    flow = Flow("calling", on=lamps, deadline=minutes(5))

    @flow.step
    async def call(work: Any, lamp: Any) -> None:
        work.house.calls.append(await work.call("host.one", "inspect", {"id": lamp.id}, dict, timeout_s=5))

    bus = await open_memory_bus()
    await bus.serve("host.one", answer)
    await start(world, flow)
    await Engine(world.store, bus, world, [flow]).run_due()
    await bus.close()
    assert world.calls == [{"state": "running", "asked": "inspect", "request": "req-toy"}]


async def test_a_step_costs_few_statements(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One read, one guarded update, one record; and the row when the step changed it."""
    flow = Flow("frugal", on=lamps, deadline=minutes(5))
    for number in range(5):

        async def step(work: Any, lamp: Any) -> None: ...

        step.__name__ = f"step_{number}"
        flow.step(step)
    lamp_id = await start(world, flow)
    engine = engine_for(world, flow)
    await engine.run_due()
    await start(world, flow, lamp_id)
    statements: list[str] = []
    original = Statement.arguments

    def counted(self: Statement, parameters: Any) -> Any:
        statements.append(self.sql.split()[0])
        return original(self, parameters)

    monkeypatch.setattr(Statement, "arguments", counted)
    await engine.run_due()
    reads = statements.count("SELECT")
    assert statements.count("UPDATE") == 1 + 5  # the claim, the steps
    assert statements.count("INSERT") == 1 + 5 + 1  # the record: started, the steps, done
    assert reads == 1 + 5 + 1  # what is due, the subject before each step, what is due now


def test_mistakes_in_declarations_are_refused() -> None:
    with pytest.raises(ValueError, match="machine is needed"):
        Flow("x", on=lamps, deadline=minutes(1), failed="fail")
    flow = Flow("x", on=lamps, deadline=minutes(1))

    async def step(work: Any, lamp: Any) -> None: ...

    flow.step(step)
    with pytest.raises(ValueError, match="two steps named step"):
        flow.step(step)
