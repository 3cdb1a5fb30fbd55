"""What survives: daemons killed under a running guest, a killed supervisor, a reboot."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from aerostat.kernel.namespaces import remove_namespace
from aerostat.kernel.supervise import Supervisor
from aerostat.services.network.drivers.ovn.daemons import remove_everything
from aerostat.services.network.drivers.ovn.host import OvnHostNetworkDriver
from aerostat.services.network.drivers.ovn.northbound import OvnNetworkDriver
from aerostat.services.network.host.protocol import FixedIP, Network, Port, Subnet
from tests.metal.namespace_guest import NamespaceGuest, namespace_guest
from tests.metal.ovn_cloud import OvnCloud, missing_for_ovn, ovn_cloud

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(bool(missing_for_ovn()), reason=missing_for_ovn()),
]

NETWORK = Network(id="0aa5c7ab-0000-4000-8000-000000000001")
SUBNET = Subnet(id="0aa5c7ab-0000-4000-8000-000000000002", network_id=NETWORK.id, cidr="10.1.0.0/24")
PORTS = [
    Port(
        id=f"{number}e3c2a10-0000-4000-8000-00000000000{number}",
        network_id=NETWORK.id,
        mac=f"fa:16:3e:00:01:0{number}",
        fixed_ips=(FixedIP(SUBNET.id, f"10.1.0.1{number}", 24),),
        security_groups=None,
    )
    for number in (1, 2)
]
TOPOLOGY = [NETWORK, SUBNET, *PORTS]


async def plug_all(cloud: OvnCloud) -> list[str]:
    return [await cloud.host.plug_port(port.id, port.mac, 1442) for port in PORTS]


def guest(cloud: OvnCloud, index: int, tap: str):
    return namespace_guest(cloud.layout.prefix, f"g{index}", tap, PORTS[index].mac)


async def meets(one: NamespaceGuest, other: NamespaceGuest, limit_s: float = 30.0) -> None:
    async with asyncio.timeout(limit_s):
        while not await one.pings(other.address):
            pass


@pytest.mark.parametrize(
    "victim", ["ovn-nb", "ovn-sb", "ovn-northd", "ovs-db", "ovs-switch", "ovn-controller"]
)
async def test_any_daemon_may_be_killed(tmp_path: Path, victim: str) -> None:
    async with ovn_cloud(tmp_path) as cloud:
        await cloud.driver.ensure_things(TOPOLOGY)
        taps = await plug_all(cloud)
        async with guest(cloud, 0, taps[0]) as one, guest(cloud, 1, taps[1]) as other:
            await cloud.driver.wait_applied()
            await one.dhcp()
            await other.dhcp()
            assert await one.pings(other.address)
            before = {one.name: one for one in cloud.supervisor.status()}[victim]
            assert before.pid is not None
            os.kill(before.pid, signal.SIGKILL)
            await meets(one, other)
            # And the whole chain works again: a change reaches the switch, a repeat plugs nothing anew.
            late = Network(id="0aa5c7ab-0000-4000-8000-00000000000f")
            async with asyncio.timeout(30):
                while True:
                    try:
                        await cloud.driver.ensure_things([late])
                        await cloud.driver.wait_applied(timeout_s=10)
                        break
                    except Exception:
                        await asyncio.sleep(0.2)
            assert await plug_all(cloud) == taps
            after = {one.name: one for one in cloud.supervisor.status()}[victim]
            assert after.pid not in (None, before.pid)
            assert after.restarts == 1


async def test_a_new_supervisor_takes_over_without_a_lost_packet(tmp_path: Path) -> None:
    async with ovn_cloud(tmp_path) as cloud:
        await cloud.driver.ensure_things(TOPOLOGY)
        taps = await plug_all(cloud)
        async with guest(cloud, 0, taps[0]) as one, guest(cloud, 1, taps[1]) as other:
            await cloud.driver.wait_applied()
            await one.dhcp()
            await other.dhcp()
            pids = {child.name: child.pid for child in cloud.supervisor.status()}
            _forget(cloud.supervisor)  # as kill -9 does: the record stays, nobody watches
            pinging = asyncio.create_task(one.run("ping", "-i", "0.05", "-c", "40", other.address))
            await cloud.layout.ensure_namespaces()
            cloud.supervisor = Supervisor(cloud.layout.children(), tmp_path)
            try:
                await cloud.supervisor.start()
                assert {child.name: child.pid for child in cloud.supervisor.status()} == pids
                assert all(child.adopted for child in cloud.supervisor.status())
                code, output = await pinging
                assert code == 0
                assert " 0% packet loss" in output
            finally:
                await cloud.supervisor.stop()


async def test_after_a_reboot_the_same_calls_rebuild_everything(tmp_path: Path) -> None:
    async with ovn_cloud(tmp_path) as cloud:
        layout = cloud.layout
        await cloud.driver.ensure_things(TOPOLOGY)
        await plug_all(cloud)
        await cloud.driver.wait_applied()
        await cloud.driver.close()
        await cloud.host.close()
        # A reboot: processes, namespaces and taps are gone, the databases' files are not.
        await cloud.supervisor.stop()
        await remove_everything(layout.prefix)

        await layout.ensure_namespaces()
        cloud.supervisor = Supervisor(layout.children(), tmp_path)
        await cloud.supervisor.start()
        driver = OvnNetworkDriver(layout.northbound, ["host-1"])
        host = OvnHostNetworkDriver(layout.switch, layout.prefix)
        try:
            await driver.start()
            await host.start()
            assert not await driver.sync(TOPOLOGY)
            taps = [await host.plug_port(port.id, port.mac, 1442) for port in PORTS]
            async with guest(cloud, 0, taps[0]) as one, guest(cloud, 1, taps[1]) as other:
                await driver.wait_applied()
                await one.dhcp()
                await other.dhcp()
                assert await one.pings(other.address)
        finally:
            await driver.close()
            await host.close()
            await cloud.supervisor.stop()


async def test_a_namespace_of_the_host_lost_half_way_is_made_whole(tmp_path: Path) -> None:
    async with ovn_cloud(tmp_path) as cloud:
        await remove_namespace(cloud.layout.external_namespace)
        # A death between making the file and mounting the namespace on it.
        await asyncio.to_thread(Path("/run/netns", cloud.layout.external_namespace).touch)
        await cloud.layout.ensure_namespaces()
        outside = NamespaceGuest(cloud.layout.external_namespace, "")
        _, addresses = await outside.run("ip", "-4", "addr", "show", "public")
        assert "172.24.4.1/24" in addresses


def _forget(supervisor: Supervisor) -> None:
    """Drop a supervisor without its children noticing."""
    for slot in supervisor._slots.values():
        assert slot.task is not None
        slot.task.cancel()
    assert supervisor._lock is not None
    supervisor._lock.close()
    supervisor._lock = None
    supervisor._slots.clear()
