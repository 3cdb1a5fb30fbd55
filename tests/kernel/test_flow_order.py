"""Which flow of a subject comes first, which wait, and which are put aside."""

from typing import Any

from aerostat.kernel import operation
from aerostat.kernel.model import flows
from aerostat.kernel.work import Flow

from .toy_flows import (
    World,
    engine_for,
    noting_flow,
    remove,
    start,
)


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
    assert sorted(calls) == ["one.first", "two.first", "two.second"], (
        "in whatever order the database lets them"
    )


async def test_flows_of_different_subjects_are_not_ordered(world: World, standing_clock: Any) -> None:
    calls: list[str] = []
    one, two = noting_flow("one", calls, wait_s=5), noting_flow("two", calls)
    await start(world, one)
    await start(world, two)
    await engine_for(world, one, two).run_due()
    assert sorted(calls) == ["one.first", "two.first", "two.second"], (
        "in whatever order the database lets them"
    )


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
