"""Every flow of the room through the ordeals that all flows must withstand."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from aerostat.kernel.context import Context
from aerostat.services.compute import model
from aerostat.services.compute.flows import FLOWS
from aerostat.services.compute.flows import power_server as power
from aerostat.services.compute.flows.create_server import create_server
from aerostat.services.compute.flows.delete_server import delete_server
from aerostat.services.compute.states import SERVER
from tests.contracts.flow_contract import FlowCase, Trial, trials

from .conftest import Cloud

ALICE = Context(request_id="req-1", user_id="alice", project_id="p1", roles=("member", "reader"))


def world_of(cloud: Cloud) -> Any:
    return SimpleNamespace(store=cloud.db, house=cloud.house, bus=cloud.house.bus, cloud=cloud)


async def describe(world: Any) -> Any:
    """All that a server leaves in the world: guests, ports, claims."""
    cloud = world.cloud
    guests = [(guest.id, guest.ports) for guest in await cloud.host().list_domains()]
    return guests, dict(cloud.world.ports), dict(cloud.world.allocations)


async def make(world: Any) -> str:
    return str(await world.cloud.make_server())


async def delete(world: Any, server_id: str) -> None:
    async with world.store.transaction() as tx:
        server = await tx.get(model.SERVERS, id=server_id)
        if await SERVER.move(tx, model.SERVERS, server_id, "delete", state_before=server.state):
            await delete_server.start(tx, server_id, context=ALICE, supersede=True)


async def is_active(world: Any, server_id: str) -> None:
    server = await world.store.get(model.SERVERS, id=server_id)
    assert (server.state, server.fault) == ("active", None)
    guests, ports, claims = await describe(world)
    assert [guest for guest, _ in guests] == [server_id]
    assert [port["device_id"] for port in ports.values()] == [server_id]
    assert list(claims) == [server_id]


CREATE = FlowCase(
    flow=create_server, others=[delete_server], start=make, describe=describe, worked=is_active, delete=delete
)


@pytest.mark.parametrize("trial", trials(CREATE), ids=str)
async def test_create(trial: Trial, cloud: Cloud) -> None:
    await trial.run(CREATE, world_of(cloud))


async def begin_deletion(world: Any) -> str:
    await delete(world, world.server_id)
    return str(world.server_id)


async def is_gone(world: Any, server_id: str) -> None:
    assert (await world.store.get(model.SERVERS, id=server_id)).state == "deleted"
    assert await describe(world) == ([], {}, {})


DELETE = FlowCase(
    flow=delete_server, start=begin_deletion, describe=describe, worked=is_gone, start_again=delete
)


@pytest.mark.parametrize("trial", trials(DELETE), ids=str)
async def test_delete(trial: Trial, cloud: Cloud) -> None:
    world = world_of(cloud)
    world.server_id = await cloud.active_server()
    await trial.run(DELETE, world)


# flow → state before, action that leads there, action that starts it, its argument, state after
POWER: dict[str, tuple[tuple[str, ...], str, Any, str]] = {
    "server.stop": ((), "os-stop", None, "stopped"),
    "server.start": (("os-stop",), "os-start", None, "active"),
    "server.reboot": ((), "reboot", {"type": "HARD"}, "active"),
    "server.pause": ((), "pause", None, "paused"),
    "server.unpause": (("pause",), "unpause", None, "active"),
    "server.suspend": ((), "suspend", None, "suspended"),
    "server.resume": (("suspend",), "resume", None, "active"),
}


def power_case(name: str, cloud: Cloud, server_id: str) -> FlowCase:
    _, action, argument, after = POWER[name]

    async def start(world: Any) -> str:
        answer = await cloud.act(server_id, action, argument)
        assert answer.status_code == 202, answer.text
        return server_id

    async def worked(world: Any, id: str) -> None:
        assert (await world.store.get(model.SERVERS, id=id)).state == after

    async def remove(world: Any, id: str) -> None:
        await delete(world, id)

    async def what_is_left(world: Any) -> Any:
        """A server that failed rests again; a deleted one is gone. Neither may leave anything half done."""
        server = await world.store.get(model.SERVERS, id=server_id)
        if server.state == "deleted":
            assert await describe(world) == ([], {}, {})
            return "whole"
        guest = await cloud.host().inspect_domain(server_id)
        known = {"active": "running", "stopped": "shutoff", "paused": "paused", "suspended": "suspended"}
        if server.state in known:
            assert guest.state == known[server.state]
        return "whole"

    flow = next(flow for flow in FLOWS if flow.name == name)
    return FlowCase(
        flow=flow,
        others=[delete_server],
        start=start,
        describe=what_is_left,
        worked=worked,
        delete=remove,
    )


def power_trials() -> list[Any]:
    return [
        pytest.param(name, trial, id=f"{name} {trial}")
        for name in POWER
        for trial in trials(_shape(next(flow for flow in FLOWS if flow.name == name)))
    ]


def _shape(flow: Any) -> FlowCase:
    """Enough of a case to list its trials."""

    async def never(*_: Any) -> Any:
        raise AssertionError("only the steps are asked for")

    call: Callable[..., Awaitable[Any]] = never
    return FlowCase(flow=flow, start=call, describe=call, worked=call, delete=call)


@pytest.mark.parametrize(("name", "trial"), power_trials())
async def test_power(name: str, trial: Trial, cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    for action in POWER[name][0]:
        assert (await cloud.act(server_id, action)).status_code == 202
        await cloud.settle()
    await trial.run(power_case(name, cloud, server_id), world_of(cloud))


def test_every_power_flow_is_tried() -> None:
    flows = [getattr(power, name) for name in dir(power) if name.endswith("_server")]
    assert {flow.name for flow in flows} == set(POWER)
