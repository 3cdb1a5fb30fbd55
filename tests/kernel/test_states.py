"""State tables and the guarded update."""

import asyncio
from typing import Any

import pytest

from aerostat.kernel.db import RowNotFound, Store, create_schema
from aerostat.kernel.errors import InvalidState
from aerostat.kernel.work import ANY, Machine

from .toy_flows import lamps, metadata

SERVER = Machine(
    ("built", {"building"}, "active"),
    ("stop", {"active", "paused"}, "stopping"),
    ("stopped", "stopping", "stopped"),
    ("fail", {"building"}, "error"),
    ("fail", {"stopping"}, "stuck"),
    ("delete", ANY - {"gone"}, "deleting"),
    ("deleted", {"deleting"}, "gone"),
    initial="building",
)


@pytest.fixture
async def lamp_id(store: Store) -> str:
    await create_schema(store, [metadata])
    return str((await store.insert(lamps, name="desk", state="active")).id)


async def state_of(store: Store, lamp_id: str) -> str:
    return str((await store.get(lamps, id=lamp_id)).state)


async def move(store: Store, lamp_id: str, event: str, **options: Any) -> Any:
    async with store.transaction() as tx:
        return await SERVER.move(tx, lamps, lamp_id, event, **options)


async def test_moves_and_sets_columns_in_one_go(store: Store, lamp_id: str) -> None:
    moved = await move(store, lamp_id, "stop", name="quiet")
    assert moved
    assert moved.state == "stopping"
    row = await store.get(lamps, id=lamp_id)
    assert (row.state, row.name) == ("stopping", "quiet")


async def test_says_when_it_was_there_already(store: Store, lamp_id: str) -> None:
    await move(store, lamp_id, "stop")
    again = await move(store, lamp_id, "stop", name="not written")
    assert not again
    assert again.state == "stopping"
    assert (await store.get(lamps, id=lamp_id)).name == "desk"


async def test_a_state_that_does_not_allow_it_is_named(store: Store, lamp_id: str) -> None:
    class ServerBusy(InvalidState):
        message = "%(id)s is %(state)s: no %(event)s"

    with pytest.raises(ServerBusy, match="is active: no stopped"):
        await move(store, lamp_id, "stopped", error=ServerBusy)
    with pytest.raises(InvalidState, match="in state active"):
        await move(store, lamp_id, "deleted")
    assert await state_of(store, lamp_id) == "active"


async def test_an_absent_row_is_not_found(store: Store, lamp_id: str) -> None:
    with pytest.raises(RowNotFound):
        await move(store, "nobody", "stop")
    with pytest.raises(RowNotFound):
        await move(store, lamp_id, "stop", where={"name": "another"})


async def test_one_event_may_lead_to_several_states(store: Store, lamp_id: str) -> None:
    await move(store, lamp_id, "stop")
    assert (await move(store, lamp_id, "fail")).state == "stuck"


async def test_any_state_but_those_left_out(store: Store, lamp_id: str) -> None:
    assert await move(store, lamp_id, "delete")
    assert not await move(store, lamp_id, "delete")
    await move(store, lamp_id, "deleted")
    with pytest.raises(InvalidState):
        await move(store, lamp_id, "delete")


async def test_of_two_at_once_one_moves(store: Store, lamp_id: str) -> None:
    moves = await asyncio.gather(*(move(store, lamp_id, "stop") for _ in range(8)))
    assert sorted(bool(moved) for moved in moves) == [False] * 7 + [True]


async def test_the_column_may_have_another_name(store: Store, lamp_id: str) -> None:
    task = Machine(("spawn", {"scheduling"}, "spawning"), column="socket")
    await store.update(lamps, {"id": lamp_id}, socket="scheduling")
    async with store.transaction() as tx:
        assert await task.move(tx, lamps, lamp_id, "spawn")
    row = await store.get(lamps, id=lamp_id)
    assert (row.state, row.socket) == ("active", "spawning")


def test_what_the_table_says() -> None:
    assert SERVER.states[0] == "building"
    assert SERVER.allowed_from("stop") == {"active", "paused"}
    assert SERVER.target("stopping", "fail") == "stuck"
    assert SERVER.target("active", "fail") is None
    assert "deleting" not in SERVER.allowed_from("delete")
    assert "gone" not in SERVER.allowed_from("delete")


def test_draws_itself() -> None:
    lines = SERVER.mermaid().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> building"]
    assert "    paused --> stopping: stop" in lines
    assert "    gone --> deleting: delete" not in lines


def test_two_ways_out_of_one_state_are_refused() -> None:
    with pytest.raises(ValueError, match="leads two ways"):
        Machine(("go", {"a"}, "b"), ("go", {"a"}, "c"))
