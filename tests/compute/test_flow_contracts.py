"""Every flow of the room through the ordeals that all flows must withstand."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from aerostat.kernel.context import Context
from aerostat.services.compute import model
from aerostat.services.compute.flows import FLOWS
from aerostat.services.compute.flows.create_server import create_server
from aerostat.services.compute.flows.delete_server import delete_server
from aerostat.services.compute.flows.shelve_server import offload_server
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
    "server.reboot": ((), "reboot", {"type": "SOFT"}, "active"),
    "server.reboot_hard": ((), "reboot", {"type": "HARD"}, "active"),
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


# Flows that change a server in place: name → how the request starts it, and what holds at the good end.


async def no_flavor_is_left_between(world: Any) -> Any:
    """A server that is not deleted has guest, claim and row of one and the same flavor."""
    cloud = world.cloud
    server = await world.store.get(model.SERVERS, id=world.server_id)
    if server.state == "deleted":
        assert await describe(world) == ([], {}, {})
        return "whole"
    (claim,) = cloud.world.allocations[world.server_id].values()
    memory = cloud.host().spec(world.server_id).memory_mib
    if server.flavor_before is None and server.state in ("active", "stopped"):
        assert memory == server.flavor["memory_mib"] == claim["MEMORY_MB"]
    guests, ports, _ = await describe(world)
    assert [set(cards) for _, cards in guests] == [set(ports)]
    assert {one["port_id"] for one in server.interfaces} == set(ports)
    return "whole"


CHANGES: dict[str, tuple[list[tuple[str, Any]], str, Any, dict[str, Any]]] = {
    "server.rebuild": ([], "rebuild", "image", {"state": "active"}),
    "server.resize": ([], "resize", {"flavorRef": "84"}, {"state": "resized", "flavor_id": "84"}),
    "server.confirmResize": (
        [("resize", {"flavorRef": "84"})],
        "confirmResize",
        None,
        {"state": "active", "flavor_id": "84", "flavor_before": None},
    ),
    "server.revertResize": (
        [("resize", {"flavorRef": "84"})],
        "revertResize",
        None,
        {"state": "active", "flavor_id": "42", "flavor_before": None},
    ),
}


def change_case(name: str, cloud: Cloud) -> FlowCase:
    _, action, argument, after = CHANGES[name]

    async def start(world: Any) -> str:
        body = {"imageRef": cloud.image["id"]} if argument == "image" else argument
        answer = await cloud.act(world.server_id, action, body)
        assert answer.status_code in (202, 204), answer.text
        return str(world.server_id)

    async def worked(world: Any, id: str) -> None:
        server = await world.store.get(model.SERVERS, id=id)
        assert {column: server[column] for column in after} == after
        await no_flavor_is_left_between(world)

    flow = next(flow for flow in FLOWS if flow.name == name)
    return FlowCase(
        flow=flow,
        others=[delete_server],
        start=start,
        describe=no_flavor_is_left_between,
        worked=worked,
        delete=delete,
    )


def change_trials() -> list[Any]:
    return [
        pytest.param(name, trial, id=f"{name} {trial}")
        for name in CHANGES
        for trial in trials(_shape(next(flow for flow in FLOWS if flow.name == name)))
    ]


@pytest.mark.parametrize(("name", "trial"), change_trials())
async def test_changes(name: str, trial: Trial, cloud: Cloud) -> None:
    world = world_of(cloud)
    world.server_id = await cloud.active_server()
    for action, argument in CHANGES[name][0]:
        await cloud.act(world.server_id, action, argument)
        await cloud.settle()
    await trial.run(change_case(name, cloud), world)


def interface_case(name: str, cloud: Cloud) -> FlowCase:
    attaching = name == "server.attach_interface"

    async def start(world: Any) -> str:
        url = f"/servers/{world.server_id}/os-interface"
        if attaching:
            assert (await cloud.ask("POST", url, {"interfaceAttachment": {}})).status_code == 200
        else:
            port_id = list(cloud.world.ports)[-1]
            assert (await cloud.ask("DELETE", f"{url}/{port_id}")).status_code == 202
        return str(world.server_id)

    async def worked(world: Any, id: str) -> None:
        assert len(cloud.world.ports) == (2 if attaching else 1)
        await no_flavor_is_left_between(world)

    flow = next(flow for flow in FLOWS if flow.name == name)
    again = None if attaching else _detach_again
    return FlowCase(
        flow=flow,
        others=[delete_server],
        start=start,
        describe=no_flavor_is_left_between,
        worked=worked,
        delete=delete,
        start_again=again,
    )


async def _detach_again(world: Any, server_id: str) -> None:
    """A detach that failed half-way can be asked for once more; one that had done all of it cannot."""
    cloud = world.cloud
    server = await world.store.get(model.SERVERS, id=server_id)
    for one in server.interfaces[1:]:
        await cloud.ask("DELETE", f"/servers/{server_id}/os-interface/{one['port_id']}")


def interface_trials() -> list[Any]:
    return [
        pytest.param(name, trial, id=f"{name} {trial}")
        for name in ("server.attach_interface", "server.detach_interface")
        for trial in trials(_shape(next(flow for flow in FLOWS if flow.name == name)))
    ]


@pytest.mark.parametrize(("name", "trial"), interface_trials())
async def test_interfaces(name: str, trial: Trial, cloud: Cloud) -> None:
    world = world_of(cloud)
    world.server_id = await cloud.active_server()
    if name == "server.detach_interface":
        await cloud.ask("POST", f"/servers/{world.server_id}/os-interface", {"interfaceAttachment": {}})
        await cloud.settle()
    await trial.run(interface_case(name, cloud), world)


def image_case(cloud: Cloud) -> FlowCase:
    async def start(world: Any) -> str:
        assert (await cloud.act(world.server_id, "createImage", {"name": "copy"})).status_code == 202
        return str(world.server_id)

    async def images(world: Any) -> Any:
        """Only whole images are left, no copy on the host, and a server that rests."""
        server = await world.store.get(model.SERVERS, id=world.server_id)
        assert server.snapshot_id is None
        assert all(image["status"] == "active" for image in cloud.world.images.values())
        if server.state == "deleted":
            assert await describe(world) == ([], {}, {})
        else:
            assert server.state == "active"
            assert cloud.host()._guests[world.server_id].exports == {}
        return "whole"

    async def worked(world: Any, id: str) -> None:
        await images(world)
        assert len(cloud.world.images) == 2

    flow = next(flow for flow in FLOWS if flow.name == "server.createImage")
    return FlowCase(
        flow=flow, others=[delete_server], start=start, describe=images, worked=worked, delete=delete
    )


@pytest.mark.parametrize(
    "trial",
    trials(_shape(next(flow for flow in FLOWS if flow.name == "server.createImage"))),
    ids=str,
)
async def test_image(trial: Trial, cloud: Cloud) -> None:
    world = world_of(cloud)
    world.server_id = await cloud.active_server()
    await trial.run(image_case(cloud), world)


# Flows between a server's own disk and others: name → actions that lead there, the one that starts it, its body,
# the state it ends in. Backups are kept to one, so the one before goes.

BACKUP = {"name": "nightly", "backup_type": "daily", "rotation": 1}
DISKS: dict[str, tuple[tuple[tuple[str, Any], ...], str, Any, str]] = {
    "server.createBackup": ((("createBackup", BACKUP),), "createBackup", BACKUP, "active"),
    "server.rescue": ((), "rescue", None, "rescued"),
    "server.unrescue": ((("rescue", None),), "unrescue", None, "active"),
    "server.shelve": ((), "shelve", None, "shelved_offloaded"),
    "server.unshelve": ((("shelve", None),), "unshelve", None, "active"),
}


def disk_case(name: str, cloud: Cloud) -> FlowCase:
    _, action, argument, after = DISKS[name]

    async def start(world: Any) -> str:
        answer = await cloud.act(world.server_id, action, argument)
        assert answer.status_code in (200, 202), answer.text
        return str(world.server_id)

    async def whole(world: Any) -> Any:
        """Whatever it is: its guest, claim, ports and images go with it, and nothing is half done."""
        server = await world.store.get(model.SERVERS, id=world.server_id)
        assert server.snapshot_id is None
        assert all(image["status"] == "active" for image in cloud.world.images.values())
        kept = [id for id in cloud.world.images if id != cloud.image["id"]]
        guests, ports, claims = await describe(world)
        if server.state == "deleted":
            assert (guests, ports, claims) == ([], {}, {})
        elif server.state == "shelved_offloaded":
            assert (guests, claims, kept) == ([], {}, [server.shelved_image_id])
            assert [port["binding:host_id"] for port in ports.values()] == [""]
        else:
            assert server.state in ("active", "error", "rescued")
            assert [guest for guest, _ in guests] == list(claims) == [server.id]
            assert [port["binding:host_id"] for port in ports.values()] == ["fake-1"]
            assert (cloud.host().spec(server.id).rescue is not None) == (server.rescue is not None)
            assert cloud.host()._guests[server.id].exports == {}
            if server.shelved_image_id is None and "Backup" not in name:
                assert kept == []
        return "whole"

    async def worked(world: Any, id: str) -> None:
        server = await world.store.get(model.SERVERS, id=id)
        assert server.state == after
        await whole(world)
        if "Backup" in name:
            assert len(cloud.world.images) == 2

    return FlowCase(
        flow=next(flow for flow in FLOWS if flow.name == name),
        others=[delete_server, offload_server],
        start=start,
        describe=whole,
        worked=worked,
        delete=delete,
    )


def disk_trials() -> list[Any]:
    return [
        pytest.param(name, trial, id=f"{name} {trial}")
        for name in DISKS
        for trial in trials(_shape(next(flow for flow in FLOWS if flow.name == name)))
    ]


@pytest.mark.parametrize(("name", "trial"), disk_trials())
async def test_disks(name: str, trial: Trial, cloud: Cloud) -> None:
    world = world_of(cloud)
    world.server_id = await cloud.active_server()
    for action, argument in DISKS[name][0]:
        await cloud.act(world.server_id, action, argument)
        await cloud.settle()
    await trial.run(disk_case(name, cloud), world)


async def begin_offload(world: Any) -> str:
    await world.cloud.act(world.server_id, "shelveOffload", user="root")
    return str(world.server_id)


async def offload_again(world: Any, server_id: str) -> None:
    """One that failed after its work was done has nothing left to do."""
    if (await world.store.get(model.SERVERS, id=server_id)).state == "shelved":
        assert (await world.cloud.act(server_id, "shelveOffload", user="root")).status_code == 202


async def is_offloaded(world: Any, server_id: str) -> None:
    assert (await world.store.get(model.SERVERS, id=server_id)).state == "shelved_offloaded"
    guests, _, claims = await describe(world)
    assert (guests, claims) == ([], {})


OFFLOAD = FlowCase(
    flow=offload_server,
    others=[delete_server],
    start=begin_offload,
    describe=describe,
    worked=is_offloaded,
    start_again=offload_again,
)


@pytest.mark.parametrize("trial", trials(OFFLOAD), ids=str)
async def test_offload(trial: Trial, cloud: Cloud) -> None:
    world = world_of(cloud)
    world.server_id = await cloud.active_server()
    room = cloud.house.state["compute"]
    room.config = msgspec.structs.replace(room.config, keep_shelved_on_host=True)
    await cloud.act(world.server_id, "shelve")
    await cloud.settle()
    await trial.run(OFFLOAD, world)


def test_every_flow_is_tried() -> None:
    tried = {"server.create", "server.delete", "server.attach_interface", "server.detach_interface"}
    tried |= {"server.createImage", "server.shelveOffload", *DISKS}
    tried |= {"server.live-migration", "server.migrate", "server.evacuate"}  # test_move_flow_contracts.py
    assert {flow.name for flow in FLOWS} == tried | set(POWER) | set(CHANGES)
