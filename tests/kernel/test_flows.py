"""Flows under the engine, on both databases: steps, results, failures, deadlines."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from aerostat.kernel import operation
from aerostat.kernel.bus import BusAway, Message, open_memory_bus
from aerostat.kernel.clock import clock, minutes
from aerostat.kernel.db import StoreUnavailable
from aerostat.kernel.db.store import Statement
from aerostat.kernel.errors import Conflict, DriverError
from aerostat.kernel.model import flows
from aerostat.kernel.work import Engine, Flow, Machine, trim_flows

from .toy_flows import (
    CONTEXT,
    LAMP,
    World,
    engine_for,
    lamps,
    light,
    noting_flow,
    only_flow,
    start,
)


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


async def test_a_database_that_is_away_when_a_flow_fails_does_not_lose_the_end_of_its_subject(
    world: World, standing_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the simulator: the flow was marked as failed, and the lamp stayed in the state «building»."""
    flow = Flow("doomed", on=lamps, deadline=minutes(5), failed="fail", machine=LAMP)
    true_move = Machine.move
    away = [StoreUnavailable("away"), StoreUnavailable("away")]

    async def move(self: Machine, *args: Any, **values: Any) -> Any:
        if away:
            raise away.pop()
        return await true_move(self, *args, **values)

    @flow.step
    async def refuse(work: Any, lamp: Any) -> None:
        raise DriverError("no")

    monkeypatch.setattr(Machine, "move", move)
    lamp_id = await start(world, flow)
    await engine_for(world, flow).settle()
    lamp = await world.store.get(lamps, id=lamp_id)
    assert (lamp.state, lamp.fault["message"]) == ("broken", "no")


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


class _Queue:
    """Away until told otherwise."""

    def __init__(self, away_s: float) -> None:
        self.back_at = clock.now() + timedelta(seconds=away_s)

    def ask(self) -> None:
        if clock.now() < self.back_at:
            raise BusAway("no connection to the message queue at mq:5672 for 7 s: refused")


async def test_what_is_away_does_not_use_up_the_tries_of_a_step(world: World, standing_clock: Any) -> None:
    """A queue that was away for more than a minute made an end of every flow that needed it."""
    flow = Flow("patient", on=lamps, deadline=minutes(30), failed="fail", machine=LAMP)
    queue = _Queue(away_s=1200)
    refusals = [DriverError("busy", retry=True)]

    @flow.step(attempts=2)
    async def ask(work: Any, lamp: Any) -> None:
        queue.ask()
        assert work.attempt == 2 - len(refusals)
        assert work.data == {}
        if refusals:
            raise refusals.pop()

    lamp_id = await start(world, flow)
    await engine_for(world, flow).settle()
    assert (await only_flow(world)).state == "done"
    record = await operation.list_for(world.store, subject_id=lamp_id)
    waits = [row for row in record if row.verdict == "retry" and "message queue" in row.reason]
    assert 40 <= len(waits) <= 60  # every half a minute, and a few at the beginning
    assert waits[-1].data["away"] == len(waits)


async def test_what_is_away_for_longer_than_the_deadline_ends_the_flow_and_all_is_given_back(
    world: World, standing_clock: Any
) -> None:
    flow = Flow("patient", on=lamps, deadline=minutes(10), failed="fail", machine=LAMP)
    queue = _Queue(away_s=1800)
    given_back: list[bool] = []

    @flow.step(attempts=2)
    async def ask(work: Any, lamp: Any) -> None:
        queue.ask()

    @ask.undo
    async def give_back(work: Any, lamp: Any) -> None:
        queue.ask()
        given_back.append(True)

    lamp_id = await start(world, flow)
    await engine_for(world, flow).settle()
    lamp = await world.store.get(lamps, id=lamp_id)
    assert (lamp.state, given_back) == ("broken", [True])
    assert "message queue" in lamp.fault["message"]


async def test_a_flow_that_is_undone_does_not_wait_for_ever(world: World, standing_clock: Any) -> None:
    flow = Flow("patient", on=lamps, deadline=minutes(10), failed="fail", machine=LAMP)
    queue = _Queue(away_s=1e6)

    @flow.step
    async def ask(work: Any, lamp: Any) -> None:
        queue.ask()

    @ask.undo
    async def give_back(work: Any, lamp: Any) -> None:
        queue.ask()

    lamp_id = await start(world, flow)
    began = clock.now()
    await engine_for(world, flow).settle(limit=timedelta(hours=3))
    assert (await world.store.get(lamps, id=lamp_id)).state == "broken"
    assert timedelta(minutes=65) < clock.now() - began < timedelta(minutes=75)
