"""Drift between rows and hosts, and its repair."""

import asyncio
import importlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from aerostat.kernel.bus import BusAway
from aerostat.kernel.clock import clock
from aerostat.kernel.db import StoreUnavailable
from aerostat.kernel.errors import DriverError
from aerostat.kernel.work.reconcile import Unfinished
from aerostat.services.compute import model
from aerostat.services.compute.host.agent import HostAgent
from aerostat.services.compute.host.protocol import Domain, DomainSpec, RootDisk

from .conftest import Cloud

power_states: Any = importlib.import_module("aerostat.services.compute.reconcilers.power_states")
orphans: Any = importlib.import_module("aerostat.services.compute.reconcilers.orphans")


async def power_of(cloud: Cloud, server_id: str) -> str:
    return str((await cloud.host().inspect_domain(server_id)).state)


async def test_a_guest_that_shuts_itself_down_is_believed(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    cloud.host().guest_shuts_down(server_id)
    assert await cloud.house.engine.run_one("compute.power") == 1
    server = await cloud.server(server_id)
    assert (server["status"], server["OS-EXT-STS:power_state"]) == ("SHUTOFF", 4)
    assert await power_of(cloud, server_id) == "shutoff"
    assert await cloud.house.engine.run_one("compute.power") == 0


async def test_a_guest_that_was_begun_again_meanwhile_is_not_believed_to_be_off(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_id = await cloud.active_server()
    cloud.host().guest_shuts_down(server_id)

    async def begin_again(house: Any, repair: Any) -> None:
        await cloud.host().ensure_power(server_id, "running")
        await power_states._apply(house, repair)

    monkeypatch.setattr(power_states.power_states, "_apply", begin_again)
    await cloud.house.engine.run_one("compute.power")
    assert (await cloud.server(server_id))["status"] == "ACTIVE"


async def test_a_suspended_server_whose_hard_reboot_failed_half_way_is_off(cloud: Cloud) -> None:
    """Found by the simulator: what it was to go on with was thrown away, and it was shown suspended ever after."""
    server_id = await cloud.active_server()
    await cloud.act(server_id, "suspend")
    await cloud.settle()
    cloud.host().faults.fail("inspect_domain", times=None, error=DriverError("No."))
    await cloud.act(server_id, "reboot", {"type": "HARD"})
    await cloud.settle()
    assert (await cloud.server(server_id))["status"] == "SUSPENDED"
    cloud.host().faults.heal()
    await cloud.house.engine.run_one("compute.power")
    assert await power_of(cloud, server_id) == "shutoff"
    assert (await cloud.server(server_id))["status"] == "SHUTOFF"


async def test_a_guest_whose_process_died_is_started_again(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    cloud.host().guest_crashes(server_id, "its process ended unexpectedly")
    await cloud.house.engine.run_one("compute.power")
    assert (await cloud.server(server_id))["status"] == "ACTIVE"
    assert await power_of(cloud, server_id) == "running"


async def test_a_stopped_server_does_not_run(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await cloud.act(server_id, "os-stop")
    await cloud.settle()
    await cloud.host().ensure_power(server_id, "running")
    await cloud.house.engine.run_one("compute.power")
    assert (await cloud.server(server_id))["status"] == "SHUTOFF"
    assert await power_of(cloud, server_id) == "shutoff"


async def test_a_guest_that_is_gone_is_told(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await cloud.host().remove_domain(server_id)
    await cloud.house.engine.run_one("compute.power")
    server = await cloud.server(server_id)
    assert (server["status"], server["fault"]["message"]) == (
        "ERROR",
        "Host fake-1 no longer has this server.",
    )
    assert (await cloud.ask("DELETE", f"/servers/{server_id}")).status_code == 204
    await cloud.settle()
    assert cloud.world.ports == {}


async def test_a_silent_host_says_nothing_about_its_guests(cloud: Cloud, standing_clock: None) -> None:
    server_id = await cloud.active_server()
    await cloud.host().remove_domain(server_id)
    cloud.host().faults.fail("list_domains", times=None)
    assert await cloud.house.engine.run_one("compute.power") == 0
    cloud.host().faults.heal()
    clock.step(seconds=600)
    assert await cloud.house.engine.run_one("compute.power") == 0
    assert (await cloud.server(server_id))["status"] == "ACTIVE"


async def test_a_reset_server_is_made_what_it_is_said_to_be(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await cloud.act(server_id, "os-stop")
    await cloud.settle()
    await cloud.act(server_id, "os-resetState", {"state": "active"}, user="root")
    await cloud.house.engine.run_one("compute.power")
    assert await power_of(cloud, server_id) in ("running", "shutoff")
    assert (await cloud.server(server_id))["status"] in ("ACTIVE", "SHUTOFF")


@pytest.mark.parametrize(
    ("state", "found", "what"),
    [
        ("active", "running", None),
        ("active", "shutoff", "start"),
        ("active", "crashed", "start"),
        ("active", "paused", "start"),
        ("active", None, "lost"),
        ("stopped", "shutoff", None),
        ("stopped", "running", "set"),
        ("stopped", "crashed", "set"),
        ("paused", "running", "set"),
        ("paused", "paused", None),
        ("paused", "shutoff", "believe_stopped"),
        ("suspended", "suspended", None),
        ("suspended", "running", "set"),
        ("suspended", "shutoff", "believe_stopped"),
    ],
)
def test_the_plan(state: str, found: str | None, what: str | None) -> None:
    from aerostat.kernel.db import Row
    from aerostat.services.compute.reconcilers.power_states import plan_power
    from aerostat.services.compute.states import DESIRED_POWER, POWER_STATES

    power = POWER_STATES[DESIRED_POWER[state]]
    server = Row(id="s", host="h", state=state, power_state=power, flavor_before=None)
    guest: Any = {}
    if found is not None:
        guest = {"s": Domain(id="s", name="n", state=found, vcpus=1, memory_mib=1)}  # type: ignore[arg-type]
    (repair,) = plan_power([server], {"h": guest}) or (None,)
    assert (repair.what if repair is not None else None) == what
    assert plan_power([server], {}) == []


async def test_orphans_of_ours_go_and_others_stay(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    root = RootDisk(cloud.image["id"])
    gone, foreign = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
    for id, name in ((gone, f"instance-{gone}"), (foreign, "somebody-elses")):
        await cloud.host().ensure_domain(DomainSpec(id=id, name=name, vcpus=1, memory_mib=64, root=root))
    deleted = await cloud.active_server()
    claim = dict(cloud.world.allocations[deleted])
    await cloud.ask("DELETE", f"/servers/{deleted}")
    await cloud.settle()
    cloud.world.allocations[deleted] = claim
    cloud.world.allocations["a-volume"] = claim
    await cloud.house.engine.run_one("compute.orphans")
    assert {guest.id for guest in await cloud.host().list_domains()} == {server_id, foreign}
    assert set(cloud.world.allocations) == {server_id, "a-volume"}


async def test_a_claim_that_a_worker_made_after_it_was_overtaken_is_corrected(cloud: Cloud) -> None:
    """Found by the simulator: it had stalled in a resize that others finished and took back."""
    server_id = await cloud.active_server()
    right = {host: dict(amounts) for host, amounts in cloud.world.allocations[server_id].items()}
    (host_id,) = right
    cloud.world.allocations[server_id] = {host_id: {**right[host_id], "MEMORY_MB": 9999}}
    assert await cloud.house.engine.run_one("compute.orphans") == 1
    assert cloud.world.allocations[server_id] == right
    await cloud.house.engine.run_one("compute.orphans")
    assert cloud.world.allocations[server_id] == right


async def test_a_guest_made_by_a_late_order_goes_with_its_failed_server(cloud: Cloud) -> None:
    """Its server failed, and has no host any more; the order to make it came a second time after that."""
    cloud.host().faults.fail("ensure_domain", times=None, error=DriverError("No."))
    server_id = await cloud.make_server()
    await cloud.settle()
    assert (await cloud.server(server_id))["status"] == "ERROR"
    cloud.host().faults.heal()
    root = RootDisk(cloud.image["id"])
    late = DomainSpec(id=server_id, name=f"instance-{server_id}", vcpus=1, memory_mib=64, root=root)
    await cloud.host().ensure_domain(late)
    await cloud.house.engine.run_one("compute.orphans")
    assert await cloud.host().list_domains() == []


async def test_a_card_whose_port_was_deleted_is_taken_out(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    port_id = cloud.host().spec(server_id).interfaces[0].port_id
    del cloud.world.ports[port_id]
    await cloud.house.engine.run_one("compute.interfaces")
    assert await cloud.house.engine.run_one("compute.cards") == 1
    assert cloud.host().spec(server_id).interfaces == ()
    assert await cloud.house.engine.run_one("compute.cards") == 0


async def test_a_card_that_a_late_order_took_out_is_put_back(cloud: Cloud, standing_clock: None) -> None:
    server_id = await cloud.active_server()
    port_id = cloud.host().spec(server_id).interfaces[0].port_id
    await cloud.host().remove_interface(server_id, port_id)
    clock.step(minutes=2)
    await cloud.house.state["compute"].agents[0].report()
    await _heard(cloud)
    assert await cloud.house.engine.run_one("compute.cards") == 1
    assert [card.port_id for card in cloud.host().spec(server_id).interfaces] == [port_id]


async def test_a_guest_that_a_late_order_paused_goes_on(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    await cloud.host().ensure_power(server_id, "paused")
    await cloud.house.engine.run_one("compute.power")
    assert await power_of(cloud, server_id) == "running"


async def test_a_paused_guest_that_lost_its_power_is_stopped(cloud: Cloud) -> None:
    """Found by the simulator: its server stayed paused for ever, and there was nothing to unpause."""
    server_id = await cloud.active_server()
    await cloud.act(server_id, "pause")
    await cloud.settle()
    cloud.host().guest_shuts_down(server_id)
    await cloud.house.engine.run_one("compute.power")
    assert (await cloud.server(server_id))["status"] == "SHUTOFF"
    await cloud.act(server_id, "os-start")
    await cloud.settle()
    assert (await cloud.server(server_id))["status"] == "ACTIVE"


async def test_providers_follow_hosts(cloud: Cloud) -> None:
    (id,) = cloud.world.providers
    cloud.world.providers.clear()
    assert await cloud.house.engine.run_one("compute.providers") == 1
    assert cloud.world.providers[id]["inventories"]["MEMORY_MB"]["total"] == 16384
    assert cloud.world.providers[id]["inventories"]["MEMORY_MB"]["reserved"] == 512
    assert cloud.world.providers[id]["inventories"]["VCPU"]["allocation_ratio"] == 16.0
    assert await cloud.house.engine.run_one("compute.providers") == 0


async def test_lost_news_about_ports_is_made_up_for(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    (port,) = cloud.world.ports.values()
    cloud.world.floating_ips["f"] = {"id": "f", "port_id": port["id"], "floating_ip_address": "172.24.4.9"}
    assert await cloud.house.engine.run_one("compute.interfaces") == 1
    assert len((await cloud.server(server_id))["addresses"]["private"]) == 2
    assert await cloud.house.engine.run_one("compute.interfaces") == 0


async def test_what_is_over_goes(cloud: Cloud, standing_clock: None) -> None:
    server_id = await cloud.active_server()
    await cloud.act(server_id, "os-getVNCConsole", {"type": "novnc"})
    await cloud.ask("DELETE", f"/servers/{server_id}")
    await cloud.settle()
    assert await cloud.house.engine.run_one("compute.console_tokens") == 0
    assert await cloud.house.engine.run_one("compute.deleted_servers") == 0
    clock.step(days=31)
    assert await cloud.house.engine.run_one("compute.console_tokens") == 1
    assert await cloud.house.engine.run_one("compute.deleted_servers") == 1
    assert await cloud.db.count(model.SERVERS) == 0


async def test_a_round_over_a_still_cloud_looks_at_no_guest(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a round costs when nothing changed must not grow with the number of servers."""
    server_id = await cloud.active_server()
    rounds = ("compute.power", "compute.orphans", "compute.providers")
    for name in rounds:
        await cloud.house.engine.run_one(name)
    monkeypatch.setattr("aerostat.services.compute.host_watch.OVERLAP", timedelta())
    looks: list[str] = []
    room = cloud.house.state["compute"]
    list_guests = HostAgent._list_guests

    async def count(agent: HostAgent, order: None) -> list[Domain]:
        looks.append(agent.name)
        return await list_guests(agent, order)

    for agent in room.agents:
        agent._verbs["list_guests"] = (None, lambda order, agent=agent: count(agent, order))
    for name in rounds:
        assert await cloud.house.engine.run_one(name) == 0
    assert looks == []
    cloud.host().guest_crashes(server_id, "its process ended unexpectedly")
    assert await cloud.house.engine.run_one("compute.power") == 1
    assert looks == ["fake-1"]


async def test_a_failed_repair_is_tried_again(cloud: Cloud) -> None:
    """The host's guests are the same as in the last round, and still wrong."""
    server_id = await cloud.active_server()
    cloud.host().guest_crashes(server_id, "its process ended unexpectedly")
    cloud.host().faults.fail("ensure_domain")
    with pytest.raises(Unfinished):
        await cloud.house.engine.run_one("compute.power")
    assert await cloud.house.engine.run_one("compute.power") == 1
    assert await power_of(cloud, server_id) == "running"


async def test_what_a_host_kept_that_was_away_while_its_server_was_deleted_goes(
    cloud: Cloud, standing_clock: None
) -> None:
    """The host came back, and was looked at, before the server's row was gone."""
    server_id = await cloud.active_server()
    clock.step(seconds=600)  # the host is silent now
    await cloud.house.engine.run_due()
    await cloud.ask("DELETE", f"/servers/{server_id}")
    engine = cloud.house.engine

    async def around(flow: Any, step: str, direction: str, call: Any) -> Any:
        found = await call()
        if step == "remove_guest":
            await cloud.house.state["compute"].agents[0].report()
            await _heard(cloud)
            assert await engine.run_one("compute.orphans") == 0
        return found

    engine.around = around
    await cloud.settle()
    assert (await cloud.db.get(model.SERVERS, id=server_id)).state == "deleted"
    assert await cloud.host().list_domains() == []


async def test_a_host_that_could_not_be_heard_is_not_taken_for_dead(
    cloud: Cloud, standing_clock: None
) -> None:
    """Its guest would have kept an address that is free again."""
    server_id = await cloud.active_server()
    clock.step(seconds=600)
    cloud.house.bus.hears_since_s = None  # the queue is away
    await cloud.ask("DELETE", f"/servers/{server_id}")
    cloud.host().faults.fail("remove_domain", error=BusAway("no connection to the message queue"))
    await cloud.settle()
    assert list(cloud.world.ports)
    await cloud.house.engine.settle()
    assert (await cloud.db.get(model.SERVERS, id=server_id)).state == "deleted"
    assert await cloud.host().list_domains() == []


async def _heard(cloud: Cloud) -> None:
    room = cloud.house.state["compute"]
    for _ in range(200):
        if room.was_heard(await cloud.db.get(model.HOSTS, name="fake-1")):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the report was not taken in")


async def test_an_orphan_that_a_broken_round_had_seen_goes_in_the_next(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = "11111111-1111-1111-1111-111111111111"
    spec = DomainSpec(
        id=gone, name=f"instance-{gone}", vcpus=1, memory_mib=64, root=RootDisk(cloud.image["id"])
    )
    await cloud.active_server()
    await cloud.host().ensure_domain(spec)
    faults = [StoreUnavailable("away")]
    true_rows = orphans._rows_of

    async def rows_of(*args: Any) -> Any:
        if faults:
            raise faults.pop()
        return await true_rows(*args)

    monkeypatch.setattr(orphans, "_rows_of", rows_of)
    with pytest.raises(StoreUnavailable):
        await cloud.house.engine.run_one("compute.orphans")
    assert await cloud.house.engine.run_one("compute.orphans") == 1
    assert gone not in {guest.id for guest in await cloud.host().list_domains()}


async def test_a_guest_that_a_late_order_made_of_a_deleted_server_goes_at_once(cloud: Cloud) -> None:
    server_id = await cloud.active_server()
    spec = cloud.host().spec(server_id)
    await cloud.ask("DELETE", f"/servers/{server_id}")
    await cloud.settle()
    assert await cloud.host().list_domains() == []
    await cloud.house.engine.run_due()
    await cloud.host().ensure_domain(spec)
    await _until(cloud, lambda: cloud.host().domains() == [])


async def test_a_host_that_did_not_answer_is_asked_again(cloud: Cloud) -> None:
    """It is up, so nobody will say that it came back."""
    server_id = await cloud.active_server()
    spec = cloud.host().spec(server_id)
    await cloud.ask("DELETE", f"/servers/{server_id}")
    await cloud.settle()
    await cloud.host().ensure_domain(spec)
    cloud.host().faults.fail("list_domains", times=3)
    with pytest.raises(Unfinished):
        await cloud.house.engine.run_one("compute.orphans")
    assert cloud.host().has(server_id)
    await _until(cloud, lambda: cloud.host().domains() == [])


async def _until(cloud: Cloud, look: Callable[[], bool]) -> None:
    for _ in range(200):
        if look():
            return
        await asyncio.sleep(0.01)
        await cloud.house.engine.run_due()
    raise AssertionError("it did not come to be")
