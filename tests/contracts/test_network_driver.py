"""What every network driver keeps to, whatever carries its packets: the fake world and the real OVN."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from aerostat.kernel.errors import DriverError
from aerostat.services.network.drivers.fake import FakeHostNetworkDriver, FakeNetworkDriver, FakeWorld
from aerostat.services.network.host.protocol import (
    Changes,
    FixedIP,
    FloatingIP,
    HostNetworkDriver,
    Key,
    MetadataPort,
    Network,
    NetworkDriver,
    Port,
    Route,
    Router,
    RouterSide,
    Rule,
    SecurityGroup,
    Subnet,
    Thing,
    key_of,
    tap_name,
)
from tests.metal.ovn_cloud import missing_for_ovn, ovn_cloud


@dataclasses.dataclass
class Drivers:
    network: NetworkDriver
    host: HostNetworkDriver


_real = pytest.param(
    "ovn", marks=[pytest.mark.metal, pytest.mark.skipif(bool(missing_for_ovn()), reason=missing_for_ovn())]
)


@pytest.fixture(params=["fake", _real])
async def drivers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Drivers]:
    if request.param == "fake":
        world = FakeWorld()
        yield Drivers(FakeNetworkDriver(world), FakeHostNetworkDriver(world))
        return
    async with ovn_cloud(tmp_path) as cloud:
        yield Drivers(cloud.driver, cloud.host)


def new_id() -> str:
    return str(uuid.uuid4())


NETWORK = Network(id=new_id())
OUTSIDE = Network(id=new_id(), physical_network="public")
SUBNET = Subnet(id=new_id(), network_id=NETWORK.id, cidr="10.0.0.0/24", gateway_ip="10.0.0.1")
OPEN = SecurityGroup(
    id=new_id(),
    rules=(
        Rule(id=new_id(), direction="egress", ethertype="IPv4"),
        Rule(id=new_id(), direction="ingress", ethertype="IPv4", protocol="tcp", port_min=22, port_max=22),
    ),
)
ROUTER = Router(
    id=new_id(),
    routes=(Route("0.0.0.0/0", "172.24.4.1"),),
    snat_address="172.24.4.10",
    snat_cidrs=("10.0.0.0/24",),
)
LEG = Port(
    id=new_id(),
    network_id=NETWORK.id,
    mac="fa:16:3e:00:00:01",
    fixed_ips=(FixedIP(SUBNET.id, "10.0.0.1", 24),),
    kind="router",
    router=RouterSide(router_id=ROUTER.id),
)
GATEWAY = Port(
    id=new_id(),
    network_id=OUTSIDE.id,
    mac="fa:16:3e:00:00:02",
    fixed_ips=(FixedIP(new_id(), "172.24.4.10", 24),),
    kind="router",
    router=RouterSide(router_id=ROUTER.id, gateway=True),
)
GUEST = Port(
    id=new_id(),
    network_id=NETWORK.id,
    mac="fa:16:3e:00:00:11",
    fixed_ips=(FixedIP(SUBNET.id, "10.0.0.11", 24),),
    security_groups=(OPEN.id,),
    dns_names=("web", "web.cloud.local"),
)
FLOATING = FloatingIP(
    id=new_id(),
    router_id=ROUTER.id,
    address="172.24.4.101",
    fixed_ip="10.0.0.11",
    port_id=GUEST.id,
    mac="fa:16:3e:00:00:fa",
)
WHOLE: tuple[Thing, ...] = (NETWORK, OUTSIDE, SUBNET, OPEN, ROUTER, LEG, GATEWAY, GUEST, FLOATING)


async def eventually(what, limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not await what():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_whole_topology_is_there_exactly_as_described(drivers: Drivers) -> None:
    changes = await drivers.network.ensure_things(WHOLE)
    assert set(changes.ensured) == {key_of(thing) for thing in WHOLE}
    expected = {key_of(thing): drivers.network.fingerprint(thing) for thing in WHOLE}
    assert await drivers.network.list_things() == expected


async def test_things_of_one_call_may_come_in_any_order(drivers: Drivers) -> None:
    await drivers.network.ensure_things(reversed(WHOLE))
    assert await drivers.network.sync(WHOLE) == Changes()


async def test_ensuring_again_changes_nothing(drivers: Drivers) -> None:
    await drivers.network.ensure_things(WHOLE)
    assert await drivers.network.ensure_things(WHOLE) == Changes()
    assert await drivers.network.sync(WHOLE) == Changes()
    assert not await drivers.network.sync(WHOLE)


async def test_a_changed_thing_is_the_only_one_touched(drivers: Drivers) -> None:
    await drivers.network.ensure_things(WHOLE)
    before = await drivers.network.list_things()
    for changed in (
        msgspec.structs.replace(GUEST, security_groups=None),
        msgspec.structs.replace(GUEST, enabled=False),
        msgspec.structs.replace(OPEN, rules=OPEN.rules[:1]),
        msgspec.structs.replace(ROUTER, routes=(), snat_address=None),
        msgspec.structs.replace(SUBNET, dns_servers=("10.0.0.53",)),
        msgspec.structs.replace(FLOATING, fixed_ip="10.0.0.12", port_id=None, mac=None),
    ):
        key = key_of(changed)
        assert await drivers.network.ensure_things([changed]) == Changes(ensured=(key,))
        after = await drivers.network.list_things()
        assert after == {**before, key: drivers.network.fingerprint(changed)}
        before = after


async def test_a_thing_that_stands_on_nothing_is_refused_and_leaves_nothing(drivers: Drivers) -> None:
    for orphan in (GUEST, LEG, FLOATING):
        with pytest.raises(DriverError) as caught:
            await drivers.network.ensure_things([OUTSIDE, orphan])
        assert caught.value.retry
        assert await drivers.network.list_things() == {}


async def test_removing_twice_is_no_error(drivers: Drivers) -> None:
    await drivers.network.ensure_things(WHOLE)
    key = key_of(GUEST)
    assert await drivers.network.remove_things([key]) == Changes(removed=(key,))
    assert await drivers.network.remove_things([key, Key("port", new_id())]) == Changes()
    assert key not in await drivers.network.list_things()


async def test_sync_removes_what_is_not_described(drivers: Drivers) -> None:
    await drivers.network.ensure_things(WHOLE)
    changes = await drivers.network.sync([NETWORK, SUBNET])
    assert set(changes.removed) == {key_of(thing) for thing in WHOLE} - {key_of(NETWORK), key_of(SUBNET)}
    assert set(await drivers.network.list_things()) == {key_of(NETWORK), key_of(SUBNET)}
    await drivers.network.sync([])
    assert await drivers.network.list_things() == {}


async def test_many_ports_come_in_one_call(drivers: Drivers) -> None:
    ports = [
        msgspec.structs.replace(
            GUEST,
            id=new_id(),
            mac=f"fa:16:3e:00:01:{number:02x}",
            fixed_ips=(FixedIP(SUBNET.id, f"10.0.0.{number + 20}", 24),),
        )
        for number in range(100)
    ]
    await drivers.network.ensure_things([NETWORK, SUBNET, OPEN, *ports])
    assert len(await drivers.network.list_things()) == 103
    assert await drivers.network.sync([NETWORK, SUBNET, OPEN, *ports]) == Changes()


async def test_a_port_is_up_when_it_is_plugged(drivers: Drivers) -> None:
    seen: list[tuple[str, bool]] = []
    drivers.network.on_port_up(lambda port_id, is_up: seen.append((port_id, is_up)))
    await drivers.network.ensure_things([NETWORK, SUBNET, OPEN, GUEST])
    await drivers.network.check_answers()
    assert await drivers.network.list_up_ports() == frozenset()
    tap = await drivers.host.plug_port(GUEST.id, GUEST.mac, 1442)
    assert tap == tap_name(GUEST.id)

    async def is_up() -> bool:
        return await drivers.network.list_up_ports() == {GUEST.id}

    async def is_down() -> bool:
        return await drivers.network.list_up_ports() == frozenset()

    await eventually(is_up)
    await drivers.host.unplug_port(GUEST.id)
    await eventually(is_down)
    assert seen == [(GUEST.id, True), (GUEST.id, False)]


async def test_plugging_may_be_repeated(drivers: Drivers) -> None:
    assert await drivers.host.list_plugged_ports() == {}
    first = await drivers.host.plug_port(GUEST.id, GUEST.mac, 1442)
    assert await drivers.host.plug_port(GUEST.id, GUEST.mac, 1442) == first
    assert await drivers.host.list_plugged_ports() == {GUEST.id: first}
    await drivers.host.unplug_port(GUEST.id)
    await drivers.host.unplug_port(GUEST.id)
    assert await drivers.host.list_plugged_ports() == {}


async def test_metadata_namespaces_come_and_go(drivers: Drivers) -> None:
    port = MetadataPort(
        network_id=NETWORK.id, port_id=new_id(), mac="fa:16:3e:00:00:fe", addresses=("10.0.0.2/24",)
    )
    await drivers.host.ensure_metadata(port)
    await drivers.host.ensure_metadata(
        msgspec.structs.replace(port, addresses=("10.0.0.2/24", "10.0.1.2/24"))
    )
    assert await drivers.host.list_metadata() == {NETWORK.id}
    assert await drivers.host.list_plugged_ports() == {}
    listener = await drivers.host.listen(f"metadata/{NETWORK.id}", "169.254.169.254", 80)
    listener.close()
    await drivers.host.remove_metadata(NETWORK.id)
    await drivers.host.remove_metadata(NETWORK.id)
    assert await drivers.host.list_metadata() == frozenset()
    with pytest.raises(DriverError):
        await drivers.host.listen(f"metadata/{NETWORK.id}", "169.254.169.254", 80)


async def test_a_connection_inside_a_namespace_reaches_its_listener(drivers: Drivers) -> None:
    listener = await drivers.host.listen("external", "172.24.4.1", 8774)
    with pytest.raises(DriverError):
        await drivers.host.connect("external", "172.24.4.1", 8775, timeout_s=2)
    connection = await drivers.host.connect("external", "172.24.4.1", 8774)
    accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
    await asyncio.get_running_loop().sock_sendall(accepted, b"hello")
    assert await asyncio.get_running_loop().sock_recv(connection, 100) == b"hello"
    for one in (listener, connection, accepted):
        one.close()


async def test_fakes_go_wrong_when_told_to() -> None:
    driver = FakeNetworkDriver()
    driver.fail("ensure_things", times=2)
    for _ in range(2):
        with pytest.raises(DriverError, match="told to fail"):
            await driver.ensure_things([NETWORK])
    assert await driver.list_things() == {}
    driver.fail("sync", error=DriverError("no room", retry=False))
    with pytest.raises(DriverError, match="no room"):
        await driver.sync([NETWORK])
    await driver.ensure_things([NETWORK])
    driver.delay("list_things", 0.05)
    began = asyncio.get_running_loop().time()
    assert list(await driver.list_things()) == [key_of(NETWORK)]
    assert asyncio.get_running_loop().time() - began >= 0.05
