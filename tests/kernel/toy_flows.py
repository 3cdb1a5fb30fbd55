"""A toy room: lamps in a tiny world of sockets and switches, with flows that light and remove them."""

from typing import Any

from sqlalchemy import Column, MetaData, String

from aerostat.kernel.clock import minutes
from aerostat.kernel.context import Context
from aerostat.kernel.db import Json, Row, Store, create_schema, new_table, uuid_id
from aerostat.kernel.model import flows
from aerostat.kernel.work import ANY, Engine, Flow, Machine, Work

metadata = MetaData()
lamps = new_table(
    metadata,
    "toy_lamps",
    uuid_id(),
    Column("name", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("socket", String(64)),
    Column("fault", Json),
)
LAMP = Machine(
    ("lit", {"building"}, "lit"),
    ("fail", {"building"}, "broken"),
    ("delete", ANY, "deleting"),
    initial="building",
)
CONTEXT = Context(request_id="req-toy", user_id="user", project_id="project")


class World:
    """The store and what is outside of it: sockets that are taken, switches that are mounted."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.house = self
        self.sockets: dict[str, str] = {}
        self.switches: dict[str, int] = {}
        self.calls: list[str] = []

    async def open(self) -> "World":
        await create_schema(self.store, [metadata])
        return self

    async def describe(self) -> Any:
        return {"sockets": dict(self.sockets), "switches": dict(self.switches)}


light = Flow("lamp.light", on=lamps, deadline=minutes(10), failed="fail", machine=LAMP)
remove = Flow("lamp.remove", on=lamps, deadline=minutes(10))


@light.step
async def take_socket(work: Work, lamp: Row) -> None:
    """The same lamp always gets the same socket."""
    world: World = work.house
    world.sockets[f"socket-{lamp.id}"] = lamp.id
    lamp.socket = f"socket-{lamp.id}"


@take_socket.undo
async def leave_socket(work: Work, lamp: Row) -> None:
    work.house.sockets.pop(f"socket-{lamp.id}", None)
    lamp.socket = None


@light.step
async def mount_switch(work: Work, lamp: Row) -> Any:
    """Mounted at the first look, steady at the third."""
    switches = work.house.switches
    assert lamp.socket in work.house.sockets
    switches.setdefault(lamp.id, 0)
    work.data["looks"] = work.data.get("looks", 0) + 1
    return work.done() if work.data["looks"] >= 3 else work.again(2)


@mount_switch.undo
async def unmount_switch(work: Work, lamp: Row) -> None:
    work.house.switches.pop(lamp.id, None)


@light.step
async def turn_on(work: Work, lamp: Row) -> None:
    work.house.switches[lamp.id] = 1
    work.move("lit")


@remove.step
async def take_down(work: Work, lamp: Row) -> None:
    """Everything that lighting may have made, whether the row knows of it or not."""
    work.house.switches.pop(lamp.id, None)


@remove.step
async def free_socket(work: Work, lamp: Row) -> None:
    work.house.sockets.pop(f"socket-{lamp.id}", None)


@remove.step
async def forget(work: Work, lamp: Row) -> None:
    work.also(lambda tx: tx.delete(lamps, id=lamp.id))


async def start_light(world: World, flow: Flow = light) -> str:
    async with world.store.transaction() as tx:
        lamp = await tx.insert(lamps, name="desk", state=LAMP.initial)
        await flow.start(tx, lamp.id, context=CONTEXT)
    return str(lamp.id)


async def start_remove(world: World, lamp_id: str) -> None:
    async with world.store.transaction() as tx:
        await LAMP.move(tx, lamps, lamp_id, "delete")
        await remove.start(tx, lamp_id, context=CONTEXT, supersede=True)


async def assert_lit(world: World, lamp_id: str) -> None:
    lamp = await world.store.get(lamps, id=lamp_id)
    assert (lamp.state, lamp.socket, lamp.fault) == ("lit", f"socket-{lamp_id}", None)
    assert world.switches == {lamp_id: 1}
    assert world.sockets == {f"socket-{lamp_id}": lamp_id}


async def assert_removed(world: World, lamp_id: str) -> None:
    assert await world.store.find(lamps, id=lamp_id) is None
    assert (world.switches, world.sockets) == ({}, {})


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
