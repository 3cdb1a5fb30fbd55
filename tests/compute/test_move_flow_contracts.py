"""The flows that move servers, through the ordeals that all flows must withstand: on own disks and on shared ones."""

from typing import Any

import pytest

from aerostat.kernel.context import Context
from aerostat.services.compute import model
from aerostat.services.compute.flows import FLOWS
from aerostat.services.compute.flows.delete_server import delete_server
from aerostat.services.compute.states import SERVER
from tests.contracts.flow_contract import FlowCase, Trial, trials

from .conftest import Cloud
from .test_flow_contracts import _shape, delete, world_of
from .test_moves import ONE, TWO, claims, force_down, guests, is_shared

LIVE, COLD, EVACUATE = "server.live-migration", "server.migrate", "server.evacuate"
CONFIRM, REVERT = "server.confirmResize", "server.revertResize"
NAMES = (LIVE, COLD, EVACUATE, CONFIRM, REVERT)

ROOT = Context(request_id="req-1", user_id="root", project_id="p0", roles=("admin", "member", "reader"))


@pytest.fixture(params=["own disks", "shared disks"])
def config_overrides(request: Any) -> dict[str, str]:
    overrides = {"AEROSTAT_COMPUTE_FAKE_HOSTS": "2"}
    if request.param == "shared disks":
        overrides["AEROSTAT_COMPUTE_INSTANCES"] = "/shared"
    return overrides


def flow_of(name: str) -> Any:
    return next(flow for flow in FLOWS if flow.name == name)


async def describe(world: Any) -> str:
    """A server has one host on which all is that belongs to it; or two, while it waits to be confirmed."""
    cloud, server_id = world.cloud, world.server_id
    server = await world.store.get(model.SERVERS, id=server_id)
    if world.flow in (CONFIRM, REVERT) and server.state == "active":
        # What waited to be confirmed or reverted and was neither: it stays, and the other host is cleared.
        await cloud.house.engine.run_one("compute.orphans")
    migrations = await world.store.all(model.MIGRATIONS, {"server_id": server_id})
    held = claims(cloud)
    there = {name for name, ids in (await guests(cloud)).items() if server_id in ids}
    dead = world.dead
    if server.state == "deleted":
        assert there <= {dead}
        assert server_id not in held
        assert set(held) <= {one.id for one in migrations if one.status == "done"}
        assert not cloud.world.ports
        return "whole"
    if server.state in ("active", "stopped"):
        assert server.host in there
        assert there - {server.host} <= {dead}
        assert held[server_id] == [server.host]
        assert set(held) - {server_id} <= {one.id for one in migrations if one.status == "done"}
        assert not [one for one in migrations if one.status == "finished"]
    elif server.state == "resized":
        assert there == {ONE, TWO}
        (open_one,) = [one for one in migrations if one.status == "finished"]
        assert held == {server_id: [open_one.dest_host], open_one.id: [open_one.source_host]}
        assert server.host == open_one.dest_host
    owner = await cloud.host(server.host).moves.find_owner(server_id)
    assert owner == server.host, f"its disk belongs to {owner}"
    if is_shared(cloud) or world.flow != EVACUATE:
        assert cloud.host(server.host).files[server_id].disk == world.disk, "its disk is another"
    for port in cloud.world.ports.values():
        assert port["binding:host_id"] == server.host
        assert "migrating_to" not in port.get("binding:profile", {})
    return "whole"


async def start(world: Any) -> str:
    cloud, server_id = world.cloud, world.server_id
    asked: dict[str, tuple[str, Any]] = {
        LIVE: ("os-migrateLive", {"host": None, "block_migration": "auto"}),
        COLD: ("migrate", None),
        EVACUATE: ("evacuate", {}),
        CONFIRM: ("confirmResize", None),
        REVERT: ("revertResize", None),
    }
    answer = await cloud.act(server_id, *asked[world.flow], user="root", version="2.79")
    assert answer.status_code in (200, 202, 204), answer.text
    return str(server_id)


async def worked(world: Any, server_id: str) -> None:
    server = await world.store.get(model.SERVERS, id=server_id)
    assert (server.state, server.fault) == ("resized" if world.flow == COLD else "active", None)
    assert server.host == (world.home if world.flow == REVERT else world.other)
    await describe(world)


def case(name: str) -> FlowCase:
    return FlowCase(
        flow=flow_of(name),
        others=[delete_server],
        start=start,
        describe=describe,
        worked=worked,
        delete=delete,
    )


def all_trials() -> list[Any]:
    return [
        pytest.param(name, trial, id=f"{name} {trial}")
        for name in NAMES
        for trial in trials(_shape(flow_of(name)))
    ]


@pytest.mark.parametrize(("name", "trial"), all_trials())
async def test_moves(name: str, trial: Trial, cloud: Cloud) -> None:
    world = world_of(cloud)
    world.flow, world.dead = name, None
    world.server_id = await cloud.active_server()
    world.home = (await cloud.db.get(model.SERVERS, id=world.server_id)).host
    world.other = TWO if world.home == ONE else ONE
    world.disk = cloud.host(world.home).files[world.server_id].disk
    if name == EVACUATE:
        await force_down(cloud, world.home)
        world.dead = world.home
    if name in (CONFIRM, REVERT):
        await cloud.act(world.server_id, "migrate", user="root")
        await cloud.settle()
    await trial.run(case(name), world)


def test_a_server_in_every_passing_state_comes_to_rest() -> None:
    for state in ("migrating", "evacuating"):
        assert SERVER.target(state, "running") == "active"
        assert SERVER.target(state, "halted") == "stopped"
