"""Flows of stacks under everything that can happen to them, beside a real network room."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aerostat.kernel import ids
from aerostat.kernel.bus import open_memory_bus
from aerostat.kernel.client import RoomError
from aerostat.kernel.clock import clock
from aerostat.kernel.config import load
from aerostat.kernel.context import Context
from aerostat.kernel.db import Seal, create_schema, open_store
from aerostat.kernel.house import House
from aerostat.kernel.http.app import Application
from aerostat.kernel.model import metadata as kernel_tables
from aerostat.kernel.policy import Rules
from aerostat.kernel.state_folder import StateFolder
from aerostat.kernel.work import Engine
from aerostat.services import network, orchestration
from aerostat.services.network import model as network_model
from aerostat.services.orchestration import model
from aerostat.services.orchestration.flows import FLOWS
from aerostat.services.orchestration.plans import Source
from aerostat.services.orchestration.stacks import ask_delete, ask_update, insert_stack
from aerostat.services.orchestration.template import Environment, parse
from tests.contracts.flow_contract import FlowCase, Trial, trials

OWNER = Context(
    request_id="req-1", user_id="alice", user_name="Alice", project_id="p1", roles=("member", "reader")
)
TABLES = [
    network_model.NETWORKS,
    network_model.SUBNETS,
    network_model.PORTS,
    network_model.ROUTERS,
    network_model.SECURITY_GROUPS,
]


def template(side: str = "10.9.0.0/24", **more: Any) -> dict[str, Any]:
    def refer(name: str) -> dict[str, str]:
        return {"get_resource": name}

    return {
        "heat_template_version": "2018-08-31",
        "resources": {
            "net": {"type": "OS::Neutron::Net"},
            "subnet": {
                "type": "OS::Neutron::Subnet",
                "properties": {"network": refer("net"), "cidr": "10.8.0.0/24"},
            },
            "router": {"type": "OS::Neutron::Router"},
            "leg": {
                "type": "OS::Neutron::RouterInterface",
                "properties": {"router": refer("router"), "subnet": refer("subnet")},
            },
            "group": {
                "type": "OS::Neutron::SecurityGroup",
                "properties": {
                    "rules": [
                        {"protocol": "icmp"},
                        {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22},
                    ]
                },
            },
            "port": {
                "type": "OS::Neutron::Port",
                "properties": {"network": refer("net"), "security_groups": [refer("group")]},
            },
            "side": {"type": "OS::Neutron::Subnet", "properties": {"network": refer("net2"), "cidr": side}},
            "net2": {"type": "OS::Neutron::Net"},
            "leg2": {
                "type": "OS::Neutron::RouterInterface",
                "properties": {"router": refer("router"), "subnet": refer("side")},
            },
            "note": {"type": "OS::Heat::SoftwareConfig", "properties": {"config": "text"}},
            **more,
        },
    }


def source(data: dict[str, Any]) -> Source:
    return Source(parse(data), Environment(), {})


class World:
    def __init__(self, house: House) -> None:
        self.house = house
        self.store = house.store
        self.bus = house.bus
        self.made: str | None = None

    async def start(self, data: dict[str, Any], *, disable_rollback: bool = False) -> str:
        async with self.store.transaction() as tx:
            name = f"stack-{ids.short_id()}"
            stack = await insert_stack(
                tx, self.house, OWNER, source(data), name=name, disable_rollback=disable_rollback
            )
        return str(stack.id)

    async def update(self, stack_id: str, data: dict[str, Any]) -> None:
        async with self.store.transaction() as tx:
            stack = await tx.get(model.STACKS, id=stack_id)
            await ask_update(tx, self.house, OWNER, stack, source(data))

    async def delete(self, stack_id: str) -> None:
        async with self.store.transaction() as tx:
            await ask_delete(tx, self.house, OWNER, await tx.get(model.STACKS, id=stack_id))

    async def settle(self, name: str = "engine") -> None:
        await self.engine(name).settle()

    def engine(self, name: str) -> Engine:
        return Engine(self.store, self.bus, self.house, FLOWS.values(), name=name)

    async def things(self) -> dict[str, int]:
        """What there is outside, and rows that stand for it."""
        counts = {
            table.name: len([row for row in await self.store.all(table) if not _is_the_rooms_own(row)])
            for table in TABLES
        }
        counts["configs"] = await self.store.count(model.SOFTWARE_CONFIGS)
        counts["resources"] = await self.store.count(model.RESOURCES)
        return counts

    async def state(self, stack_id: str) -> tuple[str, str]:
        row = await self.store.get(model.STACKS, id=stack_id)
        return row.state, row.state_reason


def _is_the_rooms_own(row: Any) -> bool:
    """What the network room makes by itself: the default group, a network's port for metadata."""
    return row.get("name") == "default" or row.get("device_owner") == "network:distributed"


WHOLE = {
    "network_networks": 2,
    "network_subnets": 2,
    "network_ports": 3,
    "network_routers": 1,
    "network_security_groups": 1,
    "configs": 1,
    "resources": 10,
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock.stop()
    store = await open_store(f"sqlite:///{tmp_path}/flows.sqlite?synchronous=off", Seal("of the tests"))
    services = [network.SERVICE, orchestration.SERVICE]
    await create_schema(store, [kernel_tables, *(one.tables for one in services if one.tables is not None)])
    bus = await open_memory_bus()
    house = House(load(StateFolder(tmp_path), fake=True), store, bus, Rules(), "http://cloud.test")
    for one in services:
        house.add(one)
    application = Application(house)
    if network.SERVICE.start is not None:
        await network.SERVICE.start(house)
    yield World(house)
    if network.SERVICE.stop is not None:
        await network.SERVICE.stop(house)
    await application.journal.close()
    await bus.close()
    await store.close()
    clock.run()


async def start_create(world: World) -> str:
    return await world.start(template())


async def created(world: World, stack_id: str) -> None:
    assert await world.state(stack_id) == ("CREATE_COMPLETE", "Stack CREATE completed successfully")
    assert await world.things() == WHOLE


async def start_update(world: World) -> str:
    stack_id = await start_create(world)
    await world.settle()
    # A subnet is replaced, and with it its leg; one network is added, the note goes.
    changed = template("10.10.0.0/24", more={"type": "OS::Neutron::Net"})
    del changed["resources"]["note"]
    await world.update(stack_id, changed)
    return stack_id


async def start_delete(world: World) -> str:
    """Delete the stack that the test had made before; or one made for it now."""
    if world.made is None:
        world.made = await start_create(world)
        await world.settle()
    await world.delete(world.made)
    return world.made


async def deleted(world: World, stack_id: str) -> None:
    assert (await world.state(stack_id))[0] == "DELETE_COMPLETE"
    assert not any((await world.things()).values())


async def delete_again(world: World, stack_id: str) -> None:
    await world.delete(stack_id)


CREATE = FlowCase(
    flow=FLOWS["stack.create"],
    others=[FLOWS["stack.delete"], FLOWS["stack.roll_back"]],
    start=start_create,
    describe=World.things,
    delete=World.delete,
    worked=created,
)
DELETE = FlowCase(
    flow=FLOWS["stack.delete"],
    others=[FLOWS["stack.create"]],
    start=start_delete,
    describe=World.things,
    worked=deleted,
    start_again=delete_again,
)


@pytest.mark.parametrize("trial", trials(CREATE), ids=str)
async def test_create(trial: Trial, world: World) -> None:
    await trial.run(CREATE, world)


@pytest.mark.parametrize("trial", trials(DELETE), ids=str)
async def test_delete(trial: Trial, world: World) -> None:
    world.made = await start_create(world)
    await world.settle()
    await trial.run(DELETE, world)


class Died(BaseException):
    """The process is gone in the middle of a call."""


class Fated:
    """A room's client whose n-th call is the last thing its process does; or fails, if `error` is given."""

    def __init__(self, client: Any, fate: "Fate") -> None:
        self._client = client
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        async def with_fate(*args: Any, **values: Any) -> Any:
            self._fate.strike()
            answer = await call(*args, **values)
            self._fate.strike()
            return answer

        return with_fate


class Fate:
    def __init__(self, at: int) -> None:
        self.left = at

    def strike(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Died


async def meet(world: World, fate: Fate) -> None:
    """Work until the end, or until fate strikes."""
    client = type(world.house).client
    world.house.client = lambda room, context: Fated(client(world.house, room, context), fate)  # type: ignore[method-assign]
    try:
        await world.settle("first")
    except Died:
        pass
    del world.house.client  # type: ignore[method-assign]


@pytest.mark.parametrize("at", range(1, 42, 2))
async def test_death_at_any_call_of_a_create(world: World, at: int) -> None:
    stack_id = await start_create(world)
    await meet(world, Fate(at))
    await world.settle("second")
    await created(world, stack_id)
    await world.delete(stack_id)
    await world.settle()
    await deleted(world, stack_id)


@pytest.mark.parametrize("at", range(2, 42, 4))
async def test_death_then_delete(world: World, at: int) -> None:
    """What a run made that died before it could tell is found and deleted."""
    stack_id = await start_create(world)
    await meet(world, Fate(at))
    await world.delete(stack_id)
    await world.settle("second")
    await deleted(world, stack_id)


@pytest.mark.parametrize("at", range(1, 50, 3))
async def test_death_at_any_call_of_an_update(world: World, at: int) -> None:
    stack_id = await start_update(world)
    await meet(world, Fate(at))
    await world.settle("second")
    assert await world.state(stack_id) == ("UPDATE_COMPLETE", "Stack UPDATE completed successfully")
    assert await world.things() == WHOLE | {"network_networks": 3, "configs": 0}
    await world.delete(stack_id)
    await world.settle()
    await deleted(world, stack_id)


@pytest.mark.parametrize("at", range(1, 40, 3))
async def test_death_at_any_call_of_a_delete(world: World, at: int) -> None:
    stack_id = await start_delete(world)
    await meet(world, Fate(at))
    await world.settle("second")
    await deleted(world, stack_id)


async def test_a_failed_update_goes_back_to_what_was(world: World) -> None:
    stack_id = await start_create(world)
    await world.settle()
    before = {row.name: row.physical_id for row in await world.store.all(model.RESOURCES)}
    worse = template(
        "10.11.0.0/24",
        bad={"type": "OS::Heat::TestResource", "properties": {"fail": True}, "depends_on": "leg2"},
    )
    await world.update(stack_id, worse)
    await world.settle()
    state, _ = await world.state(stack_id)
    assert state == "ROLLBACK_COMPLETE"
    rows = await world.store.all(model.RESOURCES)
    after = {row.name: row.physical_id for row in rows}
    assert after["net"] == before["net"]
    assert after == before
    assert await world.things() == WHOLE


class Held:
    """A room's client; the first calls of this name wait until they are let go, each in its turn, as in processes that
    were stopped.
    """

    def __init__(self, client: Any, name: str, turns: "list[Turn]") -> None:
        self._client = client
        self._name = name
        self._turns = turns

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        async def maybe_wait(*args: Any, **values: Any) -> Any:
            if name == self._name and self._turns:
                turn = self._turns.pop(0)
                turn.reached.set()
                await turn.go_on.wait()
                made = await call(*args, **values)
                if turn.is_last:
                    raise Died
                return made
            return await call(*args, **values)

        return maybe_wait


class Turn:
    """A call that is held; if it `is_last`, its process dies when it is done."""

    def __init__(self, *, is_last: bool = False) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self.is_last = is_last


async def is_made(world: World, name: str) -> bool:
    """Whether the stack knows of a thing outside for this resource."""
    return any(row.physical_id is not None for row in await world.store.all(model.RESOURCES, {"name": name}))


@pytest.mark.parametrize("who_is_first", ["who was overtaken", "who took over"])
@pytest.mark.parametrize(
    "call", ["create_network", "create_subnet", "create_port", "create_router", "create_security_group"]
)
async def test_what_two_runs_made_is_there_once(world: World, call: str, who_is_first: str) -> None:
    """Found by the simulator: a clock was set forward, so another engine took a stack over while the first was about
    to make its server. There were two, and the stack knew of one.
    """
    stack_id = await start_create(world)
    old, new = Turn(), Turn()
    waiting = [old, new]
    client = type(world.house).client
    world.house.client = lambda room, context: Held(  # type: ignore[method-assign]
        client(world.house, room, context), call, waiting
    )
    first = asyncio.create_task(world.settle("first"))
    await old.reached.wait()
    clock.step(seconds=60)
    second = asyncio.create_task(world.settle("second"))
    await new.reached.wait()
    order = [old, new] if who_is_first == "who was overtaken" else [new, old]
    name = call.removeprefix("create_").removeprefix("security_")
    order[0].go_on.set()
    for _ in range(1000):
        if await is_made(world, name):
            break
        await asyncio.sleep(0.005)
    order[1].go_on.set()
    async with asyncio.timeout(20):
        await asyncio.gather(first, second)
    await world.settle("second")
    await created(world, stack_id)
    await world.delete(stack_id)
    await world.settle("second")
    await deleted(world, stack_id)


async def test_what_was_made_twice_goes_though_its_room_is_away_for_a_moment(world: World) -> None:
    """Found by the simulator: the one call that would have deleted the second port was refused with a 503."""
    stack_id = await start_create(world)
    old, new = Turn(), Turn()
    waiting = [old, new]
    client = type(world.house).client
    refused: list[str] = []

    class Away(Held):
        def __getattr__(self, name: str) -> Any:
            if name == "delete_port" and not refused:
                return self._refuse
            return super().__getattr__(name)

        async def _refuse(self, port_id: str) -> None:
            refused.append(port_id)
            raise RoomError(503, "away", "ServiceUnavailable", "network", away=True)

    world.house.client = lambda room, context: Away(  # type: ignore[method-assign]
        client(world.house, room, context), "create_port", waiting
    )
    first = asyncio.create_task(world.settle("first"))
    await old.reached.wait()
    clock.step(seconds=60)
    second = asyncio.create_task(world.settle("second"))
    await new.reached.wait()
    new.go_on.set()
    for _ in range(1000):
        if await is_made(world, "port"):
            break
        await asyncio.sleep(0.005)
    old.go_on.set()
    async with asyncio.timeout(20):
        await asyncio.gather(first, second)
    await created(world, stack_id)
    assert len(refused) == 1


@pytest.mark.parametrize("died", ["before it told", "before it deleted"])
async def test_what_was_made_twice_goes_though_its_maker_dies(world: World, died: str) -> None:
    stack_id = await start_create(world)
    old, new = Turn(is_last=died == "before it told"), Turn()
    waiting = [old, new]
    client = type(world.house).client
    deletions: list[str] = []

    class Dying(Held):
        def __getattr__(self, name: str) -> Any:
            if name == "delete_port" and died == "before it deleted" and not deletions:
                return self._die
            return super().__getattr__(name)

        async def _die(self, port_id: str) -> None:
            deletions.append(port_id)
            raise Died

    world.house.client = lambda room, context: Dying(  # type: ignore[method-assign]
        client(world.house, room, context), "create_port", waiting
    )
    first = asyncio.create_task(world.settle("first"))
    await old.reached.wait()
    clock.step(seconds=60)
    second = asyncio.create_task(world.engine("second").run_due())
    await new.reached.wait()
    new.go_on.set()
    for _ in range(1000):
        if await is_made(world, "port"):
            break
        await asyncio.sleep(0.005)
    old.go_on.set()
    async with asyncio.timeout(20):
        ends = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(end) for end in ends].count(Died) == 1
    await world.settle("third")
    await created(world, stack_id)
    assert await world.store.count(model.LEFTOVERS) == 0


async def test_an_update_that_another_overtook_is_made_though_it_asks_for_the_same(world: World) -> None:
    """Found by the simulator: the second update saw the properties that the first one had written down before it
    began, took the resource for done, and left it in UPDATE_IN_PROGRESS.
    """
    stack_id = await start_create(world)
    await world.settle()
    group = await world.store.get(model.RESOURCES, name="group")
    changed = template()
    changed["resources"]["group"]["properties"]["rules"] = [{"protocol": "icmp"}]
    wanted = {**group.properties, "rules": [{"protocol": "icmp"}]}
    begun = {"state": "UPDATE_IN_PROGRESS", "properties": wanted}
    data = {**group.data, "before": group.properties}
    await world.store.update(model.RESOURCES, {"id": group.id}, **begun, data=data)
    await world.update(stack_id, changed)
    await world.settle()
    rows = await world.store.all(model.RESOURCES, {"stack_id": stack_id})
    assert [row.name for row in rows if not row.state.endswith("_COMPLETE")] == []
    rules = await world.store.all(
        network_model.SECURITY_GROUP_RULES, {"security_group_id": group.physical_id}
    )
    assert not any(rule.protocol == "tcp" for rule in rules)


async def test_what_was_given_up_half_made_goes_with_the_stack(world: World) -> None:
    """It is outside, and its row does not say so: the run that made it could not write that down, and the next one
    failed for another reason.
    """
    stack_id = await start_create(world)
    await world.settle()
    await created(world, stack_id)
    await world.store.update(
        model.RESOURCES, {"name": "port"}, physical_id=None, state="CREATE_FAILED", current=False
    )
    await world.delete(stack_id)
    await world.settle()
    await deleted(world, stack_id)
