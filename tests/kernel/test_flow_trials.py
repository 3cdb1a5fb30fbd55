"""The contract kit on flows that are right, on both databases; and it must catch those that are wrong."""

from typing import Any

import pytest

from aerostat.kernel.clock import minutes
from aerostat.kernel.db import Store
from aerostat.kernel.errors import DriverError
from aerostat.kernel.model import flows
from aerostat.kernel.work import Flow
from tests.contracts.flow_contract import FlowCase, Trial, trials

from .toy_flows import (
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
