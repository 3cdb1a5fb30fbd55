"""From the API through the rows into the driver's world, and back: what is up."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from aerostat.kernel import operation
from aerostat.kernel.clock import clock
from aerostat.kernel.errors import DriverError
from aerostat.services.network import model
from aerostat.services.network import topology as reading
from aerostat.services.network.config import NetworkConfig
from aerostat.services.network.host.protocol import Key, Network, Port
from aerostat.services.network.reconcilers import topology
from aerostat.services.network.reconcilers.topology import Progress

from .conftest import Api, make_subnet
from .scenario import everything, things_of
from .test_router import make_reachable


def of_kind(api: Api, kind: str) -> list[Any]:
    return [thing for key, thing in sorted(api.world.things.items()) if key.kind == kind]


async def test_a_subnet_that_goes_while_ports_are_read_is_no_error(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_reachable(api)
    read = reading._rows

    async def without_subnets(store: Any, table: Any, *args: Any, **where: Any) -> Any:
        return [] if table is model.SUBNETS else await read(store, table, *args, **where)

    monkeypatch.setattr(reading, "_rows", without_subnets)
    things = await reading.read_things(api.house.store, api.house.config.section(NetworkConfig))
    assert {thing.fixed_ips for thing in things if isinstance(thing, Port)} == {()}


async def test_what_a_project_builds_appears_in_the_world(api: Api) -> None:
    external, router, port = await make_reachable(api)
    floating = await api.make("floatingips", floating_network_id=external["id"], port_id=port["id"])
    await api.settle()
    assert {thing.physical_network for thing in of_kind(api, "network")} == {None, "public"}
    inner = next(thing for thing in of_kind(api, "subnet") if thing.dhcp)
    assert (inner.cidr, inner.gateway_ip, inner.metadata_ip, inner.mtu) == (
        "10.0.0.0/24",
        "10.0.0.1",
        "10.0.0.2",
        1442,
    )
    ports = {thing.id: thing for thing in of_kind(api, "port")}
    assert sorted(thing.kind for thing in ports.values()) == ["guest", "metadata", "router", "router"]
    guest = ports[port["id"]]
    assert (guest.mac, guest.fixed_ips[0].address, guest.fixed_ips[0].prefix_length) == (
        port["mac_address"],
        "10.0.0.3",
        24,
    )
    assert list(guest.security_groups) == port["security_groups"]
    (made,) = of_kind(api, "router")
    assert made.snat_address == "172.24.4.10"
    assert made.snat_cidrs == ("10.0.0.0/24",)
    assert [(route.destination, route.next_hop) for route in made.routes] == [("0.0.0.0/0", "172.24.4.1")]
    assert {(leg.router.gateway, leg.fixed_ips[0].address) for leg in ports.values() if leg.router} == {
        (True, "172.24.4.10"),
        (False, "10.0.0.1"),
    }
    (nat,) = of_kind(api, "floating_ip")
    assert (nat.address, nat.fixed_ip, nat.router_id) == ("172.24.4.11", "10.0.0.3", router["id"])
    legs = (await api("root").get("ports?device_owner=network:router_interface"))["ports"]
    assert [leg["status"] for leg in legs] == ["ACTIVE"]
    await api.delete(f"floatingips/{floating['id']}")
    await api.delete(f"ports/{port['id']}")
    await api.settle()
    assert of_kind(api, "floating_ip") == []
    assert port["id"] not in {thing.id for thing in of_kind(api, "port")}


async def test_a_small_change_is_a_small_call(api: Api) -> None:
    network = await api.make("networks")
    await make_subnet(api, network["id"])
    await api.settle()
    calls = []
    ensure, remove = api.driver.ensure_things, api.driver.remove_things

    async def ensure_things(things: Any) -> Any:
        calls.append(sorted(type(thing).__name__ for thing in things))
        return await ensure(things)

    async def remove_things(keys: Any) -> Any:
        calls.append([str(key) for key in keys])
        return await remove(keys)

    api.driver.ensure_things, api.driver.remove_things = ensure_things, remove_things
    port = await api.make("ports", network_id=network["id"])
    await api.settle()
    await api.change(f"ports/{port['id']}", name="n")
    await api.settle()
    await api.delete(f"ports/{port['id']}")
    await api.settle()
    assert calls == [["Port", "SecurityGroup"], ["Port"], [f"port/{port['id']}"]]


async def test_a_driver_that_fails_is_asked_again(api: Api) -> None:
    await api.settle()
    api.driver.fail("ensure_things")
    network = await api.make("networks")
    await api.settle()
    key = Key("network", network["id"])
    assert key not in api.world.things
    clock.stop()
    try:
        clock.step(seconds=10)
        await api.settle()
    finally:
        clock.run()
    assert key in api.world.things


async def test_drift_is_repaired_on_the_clock(api: Api) -> None:
    network = await api.make("networks")
    await api.settle()
    kept = dict(api.world.things)
    api.world.things.clear()
    api.world.things[Key("network", "stray")] = kept[Key("network", network["id"])]
    clock.stop()
    try:
        clock.step(minutes=11)
        await api.settle()
    finally:
        clock.run()
    assert api.world.things == kept


async def test_a_port_is_active_while_a_host_carries_it(api: Api) -> None:
    network = await api.make("networks")
    port = await api.make(
        "ports", network_id=network["id"], device_id="server-1", device_owner="compute:nova"
    )
    heard: list[tuple[str, Any]] = []

    async def hear(message: Any) -> None:
        heard.append((message.verb, message.body))

    await api.house.bus.subscribe("network.port.", hear)
    await api.house.bus.subscribe("network.ports_changed", hear)
    await api.settle()
    await asyncio.sleep(0)
    assert heard == [("network.ports_changed", {"device_ids": ["server-1"]})]
    heard.clear()
    url = f"ports/{port['id']}"
    assert (await api.get(url))["port"]["status"] == "DOWN"
    host = api.house.state["network.host_half"]("node1")
    await host.plug_port(port["id"], port["mac_address"], 1442)
    await api.settle()
    assert (await api.get(url))["port"]["status"] == "ACTIVE"
    body = {"port_id": port["id"], "device_id": "server-1"}
    await api.settle()
    assert heard == [("network.port.active", body)]
    await host.unplug_port(port["id"])
    await api.settle()
    assert (await api.get(url))["port"]["status"] == "DOWN"
    assert heard[1:] == [("network.port.down", body)]


async def test_a_port_moves_to_another_host_without_going_down(api: Api) -> None:
    network = await api.make("networks")
    port = await api("root").make("ports", network_id=network["id"], **{"binding:host_id": "node1"})
    url, half = f"ports/{port['id']}", api.house.state["network.host_half"]
    world = api.house.state["network"].driver.world
    await half("node1").plug_port(port["id"], port["mac_address"], 1442)
    await api.settle()

    async def change(**binding: Any) -> Any:
        changed = await api("root").change(url, **{f"binding:{name}": it for name, it in binding.items()})
        await api.settle()
        return changed, world.things[Key("port", port["id"])]

    _, thing = await change(profile={"migrating_to": "node2"})
    assert (thing.host, thing.next_host) == ("node1", "node2")
    await half("node2").plug_port(port["id"], port["mac_address"], 1442)
    changed, thing = await change(host_id="node2", profile={})
    assert (thing.host, thing.next_host) == ("node2", None)
    assert changed["status"] == (await api.get(url))["port"]["status"] == "ACTIVE"
    changed, _ = await change(host_id="node3")
    assert changed["status"] == "DOWN", "nobody said that it was going there"


async def test_what_the_driver_did_not_tell_is_found_on_the_clock(api: Api) -> None:
    network = await api.make("networks")
    port = await api.make("ports", network_id=network["id"])
    await api.settle()
    await api.house.state["network.host_half"]("node1").plug_port(port["id"], port["mac_address"], 1442)
    api.house.state["network"].told.clear()
    await api.house.engine.run_one("network.port_status")
    assert (await api.get(f"ports/{port['id']}"))["port"]["status"] == "ACTIVE"


async def test_port_security_and_pairs_reach_the_driver(api: Api) -> None:
    network = await api.make("networks")
    await make_subnet(api, network["id"], "fd00:2::/64", ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    open_port = await api.make("ports", network_id=network["id"], port_security_enabled=False)
    pairs = [{"ip_address": "10.9.0.0/16"}]
    paired = await api.make(
        "ports", network_id=network["id"], allowed_address_pairs=pairs, security_groups=[], dns_name="web"
    )
    await api.settle()
    ports = {thing.id: thing for thing in of_kind(api, "port")}
    assert ports[open_port["id"]].security_groups is None
    assert ports[paired["id"]].security_groups == ()
    assert ports[paired["id"]].address_pairs[0].address == "10.9.0.0/16"
    assert ports[paired["id"]].dns_names == ("web", "web.openstack.local")
    (subnet,) = of_kind(api, "subnet")
    assert subnet.ipv6_mode == "slaac"


async def test_small_calls_lead_where_a_full_comparison_leads(api: Api) -> None:
    await api.settle()
    async for what in everything(api):
        await api.settle()
        assert api.world.things == await things_of(api), what
    assert {key.kind for key in api.world.things} == {"security_group"}


async def test_a_thing_that_the_driver_does_not_understand_holds_up_no_other(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.settle()
    odd = await api.make("networks", name="odd")
    understand = api.driver.fingerprint

    def fingerprint(thing: Any) -> str:
        if thing.id == odd["id"]:
            raise ValueError("too odd")
        return str(understand(thing))

    monkeypatch.setattr(api.driver, "fingerprint", fingerprint)
    plain = await api.make("networks", name="plain")
    await api.settle()
    assert Key("network", plain["id"]) in api.world.things
    assert Key("network", odd["id"]) not in api.world.things
    (record,) = await operation.list_for(api.house.store, subject_id=odd["id"], request_id="network.topology")
    assert "too odd" in record.reason


async def test_stateless_groups(api: Api) -> None:
    group = await api.make("security-groups", name="g", stateful=False)
    await api.make("security-group-rules", security_group_id=group["id"], direction="ingress", protocol="ip")
    await api.settle()
    thing = api.world.things[Key("security_group", group["id"])]
    assert thing.stateful is False
    assert {rule.protocol for rule in thing.rules} == {None, "0"}


async def test_a_floating_ip_let_go_while_the_world_is_told_of_it_is_not_shown_active(api: Api) -> None:
    """Found by the simulator: the reconciler marked what it had read, not what was there by then."""
    external, _, port = await make_reachable(api)
    await api.settle()
    floating = await api.make("floatingips", floating_network_id=external["id"], port_id=port["id"])
    true_ensure = api.driver.ensure_things

    async def let_go_meanwhile(things: Any) -> Any:
        api.driver.ensure_things = true_ensure
        done = await true_ensure(things)
        await api.change(f"floatingips/{floating['id']}", port_id=None)
        return done

    api.driver.ensure_things = let_go_meanwhile
    await api.settle()
    shown = (await api.get(f"floatingips/{floating['id']}"))["floatingip"]
    assert (shown["status"], shown["port_id"]) == ("DOWN", None)


async def test_what_a_stalled_process_wrote_over_newer_things_is_put_right(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the simulator: a process stopped between reading and writing made a deleted port anew."""
    slept_s = 0.0
    monkeypatch.setattr(topology, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + slept_s))
    _, _, port = await make_reachable(api)
    await api.settle()
    true_ensure = api.driver.ensure_things

    async def ensure_late(things: Any) -> Any:
        nonlocal slept_s
        api.driver.ensure_things = true_ensure
        slept_s = 20.0
        await api.delete(f"ports/{port['id']}")
        await topology.reconcile(api.house)  # another process's
        return await true_ensure(things)

    api.driver.ensure_things = ensure_late
    await api.change(f"ports/{port['id']}", admin_state_up=False)
    await api.settle()
    assert port["id"] not in {thing.id for thing in of_kind(api, "port")}


async def test_a_comparison_that_failed_is_made_up_for_by_whoever_comes_next(api: Api) -> None:
    """Found by the simulator: the process that owed it remembered, and another one took the next round."""
    await api.settle()
    room = api.house.state["network"]
    api.world.things[Key("network", "stray")] = Network(id="stray")
    ours, others = Progress(), room.progress
    room.progress = ours
    api.driver.fail("sync")
    with pytest.raises(DriverError):
        await topology.reconcile(api.house)
    room.progress = others
    await topology.reconcile(api.house)
    assert Key("network", "stray") not in api.world.things
    assert await api.house.store.all(model.CHANGES) == []
