"""What the topology means for packets: guests (namespaces behind plugged taps) on a real OVN."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import pytest
from pyroute2 import IPRoute

from aerostat.kernel.namespaces import find_link, list_namespaces, run_inside
from aerostat.services.network.host.protocol import (
    FixedIP,
    FloatingIP,
    MetadataPort,
    Network,
    Port,
    Route,
    Router,
    RouterSide,
    Rule,
    SecurityGroup,
    Subnet,
    Thing,
)
from tests.metal.namespace_guest import NamespaceGuest, namespace_guest
from tests.metal.ovn_cloud import OvnCloud, missing_for_ovn, ovn_cloud

pytestmark = [
    pytest.mark.metal,
    pytest.mark.skipif(bool(missing_for_ovn()), reason=missing_for_ovn()),
]

GATEWAY_ADDRESS, FLOATING_ADDRESS, OUTSIDE_ADDRESS = "172.24.4.10", "172.24.4.101", "172.24.4.1"


def new_id() -> str:
    return str(uuid.uuid4())


@dataclass
class Scene:
    """Two networks, red and blue, behind one router to the outside; guests join by `guest()`."""

    cloud: OvnCloud
    networks: dict[str, Network]
    subnets: dict[str, Subnet]
    group: SecurityGroup
    router: Router
    things: list[Thing]
    guests: contextlib.AsyncExitStack
    ports: dict[str, Port] = field(default_factory=dict)

    async def guest(self, name: str, network: str, number: int, **rest: object) -> NamespaceGuest:
        """Make a port, plug it, start a guest on it and let it ask for its address."""
        octet = 10 if network == "red" else 20
        values = {
            "fixed_ips": (FixedIP(self.subnets[network].id, f"192.168.{octet}.{number}", 24),),
            "security_groups": (self.group.id,),
            "dns_names": (name, f"{name}.cloud.local"),
            **rest,
        }
        port = Port(
            id=new_id(),
            network_id=self.networks[network].id,
            mac=f"fa:16:3e:00:{octet:02x}:{number:02x}",
            host="host-1",
            **values,  # type: ignore[arg-type]
        )
        self.ports[name] = port
        self.things.append(port)
        await self.cloud.driver.ensure_things([port])
        tap = await self.cloud.host.plug_port(port.id, port.mac, 1442)
        guest = await self.guests.enter_async_context(
            namespace_guest(self.cloud.layout.prefix, name, tap, port.mac)
        )
        await self.cloud.driver.wait_applied()
        await guest.dhcp()
        return guest

    def outside(self) -> NamespaceGuest:
        """The outer network's own machine."""
        return NamespaceGuest(self.cloud.layout.external_namespace, "")

    async def allow(self, *rules: Rule) -> None:
        """Make these the group's rules, beside «everything may go out»."""
        out = Rule(id=new_id(), direction="egress", ethertype="IPv4")
        await self.ensure(msgspec.structs.replace(self.group, rules=(out, *rules)))

    async def ensure(self, *things: Thing) -> None:
        await self.cloud.driver.ensure_things(things)
        await self.cloud.driver.wait_applied()


def ingress(**values: object) -> Rule:
    return Rule(id=new_id(), direction="ingress", ethertype="IPv4", **values)  # type: ignore[arg-type]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with ovn_cloud(tmp_path) as cloud, contextlib.AsyncExitStack() as guests:
        made = _describe(cloud, guests)
        await cloud.driver.ensure_things(made.things)
        await made.allow(ingress(protocol="icmp"))
        yield made


def _describe(cloud: OvnCloud, guests: contextlib.AsyncExitStack) -> Scene:
    outside = Network(id=new_id(), physical_network="public")
    router = Router(
        id=new_id(),
        routes=(Route("0.0.0.0/0", OUTSIDE_ADDRESS),),
        snat_address=GATEWAY_ADDRESS,
        snat_cidrs=("192.168.10.0/24", "192.168.20.0/24"),
    )
    gateway = Port(
        id=new_id(),
        network_id=outside.id,
        mac="fa:16:3e:00:04:0a",
        fixed_ips=(FixedIP(new_id(), GATEWAY_ADDRESS, 24),),
        kind="router",
        router=RouterSide(router_id=router.id, gateway=True),
    )
    group = SecurityGroup(id=new_id())
    networks: dict[str, Network] = {}
    subnets: dict[str, Subnet] = {}
    things: list[Thing] = [outside, router, gateway, group]
    for name, octet in (("red", 10), ("blue", 20)):
        network = networks[name] = Network(id=new_id())
        subnet = subnets[name] = Subnet(
            id=new_id(),
            network_id=network.id,
            cidr=f"192.168.{octet}.0/24",
            gateway_ip=f"192.168.{octet}.1",
            metadata_ip=f"192.168.{octet}.2",
            dns_domain="cloud.local",
        )
        leg = Port(
            id=new_id(),
            network_id=network.id,
            mac=f"fa:16:3e:00:{octet:02x}:01",
            fixed_ips=(FixedIP(subnet.id, f"192.168.{octet}.1", 24),),
            kind="router",
            router=RouterSide(router_id=router.id),
        )
        things += [network, subnet, leg]
    return Scene(cloud, networks, subnets, group, router, things, guests)


async def test_a_guest_is_told_its_address_routes_and_names(scene: Scene) -> None:
    guest = await scene.guest("web", "red", 11)
    assert guest.address == "192.168.10.11"
    _, routes = await guest.run("ip", "-4", "route")
    assert "default via 192.168.10.1" in routes
    assert "169.254.169.254 via 192.168.10.2" in routes
    options = await guest.dhcp()
    assert int.from_bytes(options[26], "big") == 1442
    assert options[15] == b"cloud.local"


async def test_guests_meet_on_their_network_and_across_the_router(scene: Scene) -> None:
    web, peer = await scene.guest("web", "red", 11), await scene.guest("peer", "red", 12)
    far = await scene.guest("far", "blue", 21)
    assert await web.pings(peer.address)
    assert await web.pings(far.address)
    assert await far.pings(web.address)


async def test_a_security_group_blocks_until_it_opens_and_again_after(scene: Scene) -> None:
    web, peer = await scene.guest("web", "red", 11), await scene.guest("peer", "red", 12)
    async with web.serving(8080):
        assert await peer.fetch(web.address, 8080) is None
        await scene.allow(ingress(protocol="tcp", port_min=8000, port_max=8090))
        assert await peer.fetch(web.address, 8080) is not None
        await scene.allow(ingress(protocol="tcp", port_min=22, port_max=22))
        assert await peer.fetch(web.address, 8080) is None
        await scene.allow(ingress(protocol="tcp", remote_ip_prefix=f"{peer.address}/32"))
        assert await peer.fetch(web.address, 8080) is not None


async def test_a_remote_group_lets_in_its_members_only(scene: Scene) -> None:
    friends = SecurityGroup(id=new_id(), rules=(Rule(id=new_id(), direction="egress", ethertype="IPv4"),))
    await scene.ensure(friends)
    web = await scene.guest("web", "red", 11)
    friend = await scene.guest("friend", "red", 12, security_groups=(friends.id,))
    stranger = await scene.guest("stranger", "red", 13)
    await scene.allow(ingress(remote_group_id=friends.id))
    async with web.serving(8080):
        assert await friend.fetch(web.address, 8080) is not None
        assert await stranger.fetch(web.address, 8080) is None
        joined = msgspec.structs.replace(scene.ports["stranger"], security_groups=(friends.id,))
        await scene.ensure(joined)
        assert await stranger.fetch(web.address, 8080) is not None


async def test_without_any_rule_a_guest_still_gets_its_address_and_nothing_else(scene: Scene) -> None:
    peer = await scene.guest("peer", "red", 12)
    mute = await scene.guest("mute", "red", 13, security_groups=())
    assert mute.address == "192.168.10.13"
    assert not await mute.pings(peer.address)
    await scene.ensure(msgspec.structs.replace(scene.ports["mute"], security_groups=None))
    assert await mute.pings(peer.address)


async def test_a_guest_cannot_send_from_an_address_that_is_not_its_own(scene: Scene) -> None:
    web, peer = await scene.guest("web", "red", 11), await scene.guest("peer", "red", 12)
    await run_inside(web.namespace, partial(_add_address, "192.168.10.99"))
    code, _ = await web.run("ping", "-c", "1", "-W", "2", "-I", "192.168.10.99", peer.address)
    assert code != 0
    assert await web.pings(peer.address)


async def test_a_disabled_port_carries_nothing(scene: Scene) -> None:
    web, peer = await scene.guest("web", "red", 11), await scene.guest("peer", "red", 12)
    assert await web.pings(peer.address)
    await scene.ensure(msgspec.structs.replace(scene.ports["web"], enabled=False))
    assert not await web.pings(peer.address)


async def test_going_out_guests_share_the_routers_address(scene: Scene) -> None:
    web = await scene.guest("web", "red", 11)
    async with scene.outside().serving(8000) as callers:
        assert await web.fetch(OUTSIDE_ADDRESS, 8000) is not None
    assert callers == [GATEWAY_ADDRESS]


@pytest.mark.parametrize("where", ["on its host", "centrally"])
async def test_a_floating_ip_leads_in_and_out(scene: Scene, where: str) -> None:
    web, outside = await scene.guest("web", "red", 11), scene.outside()
    floating = FloatingIP(
        id=new_id(),
        router_id=scene.router.id,
        address=FLOATING_ADDRESS,
        fixed_ip=web.address,
        port_id=scene.ports["web"].id if where == "on its host" else None,
        mac="fa:16:3e:00:04:65" if where == "on its host" else None,
    )
    await scene.allow(ingress(protocol="tcp", port_min=22, port_max=22))
    await scene.ensure(floating)
    async with web.serving(22), outside.serving(8000) as callers:
        assert await outside.fetch(FLOATING_ADDRESS, 22) is not None
        connection = await scene.cloud.host.connect("external", FLOATING_ADDRESS, 22)
        assert b"greets" in await asyncio.wait_for(asyncio.get_running_loop().sock_recv(connection, 1000), 5)
        connection.close()
        assert await web.fetch(OUTSIDE_ADDRESS, 8000) is not None
    assert callers == [FLOATING_ADDRESS]


async def test_metadata_knows_who_asks(scene: Scene) -> None:
    """Two networks, one address for all: the socket tells the network, the peer's address the guest."""
    heard: dict[str, list[str]] = {"red": [], "blue": []}
    servers = []
    for name, octet in (("red", 10), ("blue", 20)):
        network_id, mac = scene.networks[name].id, f"fa:16:3e:00:{octet:02x}:fe"
        address = FixedIP(scene.subnets[name].id, f"192.168.{octet}.2", 24)
        port = Port(id=new_id(), network_id=network_id, mac=mac, fixed_ips=(address,), kind="metadata")
        await scene.ensure(port)
        await scene.cloud.host.ensure_metadata(
            MetadataPort(
                network_id=network_id, port_id=port.id, mac=mac, addresses=(f"192.168.{octet}.2/24",)
            )
        )
        listener = await scene.cloud.host.listen(f"metadata/{network_id}", "169.254.169.254", 80)
        servers.append(await asyncio.start_server(partial(_answer, heard[name]), sock=listener))
    web, far = await scene.guest("web", "red", 11), await scene.guest("far", "blue", 21)
    mute = await scene.guest("mute", "red", 13, security_groups=())
    for guest in (web, far, mute):
        assert await guest.fetch("169.254.169.254", 80) == b"metadata"
    assert heard == {"red": [web.address, mute.address], "blue": [far.address]}
    for server in servers:
        server.close()


async def test_names_of_guests_are_answered_inside_their_network(scene: Scene) -> None:
    web, peer = await scene.guest("web", "red", 11), await scene.guest("peer", "red", 12)
    assert await web.resolve("192.168.10.1", "peer.cloud.local") == peer.address
    assert await web.resolve("192.168.10.1", "peer") == peer.address
    assert await web.resolve("192.168.10.1", "nobody.cloud.local") is None


async def test_ipv6_guests_address_themselves_from_the_routers_word(scene: Scene) -> None:
    subnet = Subnet(id=new_id(), network_id=scene.networks["red"].id, cidr="fd00:10::/64", ipv6_mode="slaac")
    leg = Port(
        id=new_id(),
        network_id=scene.networks["red"].id,
        mac="fa:16:3e:00:06:01",
        fixed_ips=(FixedIP(subnet.id, "fd00:10::1", 64),),
        kind="router",
        router=RouterSide(router_id=scene.router.id, ra_mode="slaac"),
    )
    await scene.ensure(subnet, leg)
    both = (
        FixedIP(scene.subnets["red"].id, "192.168.10.11", 24),
        FixedIP(subnet.id, "fd00:10::f816:3eff:fe00:a0b", 64),  # what the MAC address makes of the prefix
    )
    await scene.allow(ingress(protocol="icmp"), Rule(id=new_id(), direction="egress", ethertype="IPv6"))
    guest = await scene.guest("six", "red", 11, fixed_ips=both)
    await run_inside(guest.namespace, _enable_ipv6)
    async with asyncio.timeout(30):  # for the router to speak, and to make sure nobody else has the address
        while not await guest.pings("fd00:10::1"):
            pass
    _, addresses = await guest.run("ip", "-6", "addr", "show", "scope", "global")
    assert both[1].address in addresses


async def test_sync_mends_what_was_damaged_by_hand(scene: Scene) -> None:
    web, peer = await scene.guest("web", "red", 11), await scene.guest("peer", "red", 12)
    await scene.allow(ingress(protocol="icmp"))
    present = (await scene.cloud.driver.list_things()).keys()
    group = await _described_group(scene)
    things = [group if isinstance(thing, SecurityGroup) else thing for thing in scene.things]
    assert not await scene.cloud.driver.sync(things)
    await _nbctl(scene, "lsp-del", scene.ports["web"].id)
    await _nbctl(scene, "ls-del", f"neutron-{scene.networks['blue'].id}")
    await _nbctl(scene, "lsp-set-addresses", scene.ports["peer"].id, "fa:16:3e:00:10:0c 192.168.10.99")
    await _nbctl(scene, "clear", "Port_Group", "pg_aerostat_drop", "ports")
    await _nbctl(scene, "destroy", "DHCP_Options", *(await _dhcp_rows(scene)))
    await asyncio.sleep(0.2)  # what nbctl wrote must have come back to the driver's mirror
    assert await scene.cloud.driver.sync(things)
    await scene.cloud.driver.wait_applied()
    assert (await scene.cloud.driver.list_things()).keys() == present
    assert not await scene.cloud.driver.sync(things)
    await web.dhcp()
    assert await web.pings(peer.address)


async def test_nothing_is_left_when_a_cloud_is_gone(tmp_path: Path) -> None:
    async with ovn_cloud(tmp_path) as cloud:
        prefix = cloud.layout.prefix
        await cloud.host.plug_port(new_id(), "fa:16:3e:00:00:01", 1442)
        assert list_namespaces(prefix) == [f"{prefix}-ext", f"{prefix}-host"]
    assert list_namespaces(prefix) == []
    assert [one.state for one in cloud.supervisor.status()] == ["stopped"] * 6


async def _described_group(scene: Scene) -> SecurityGroup:
    """The scene's group with the rules it has now."""
    group = msgspec.structs.replace(
        scene.group, rules=(Rule(id=new_id(), direction="egress", ethertype="IPv4"), ingress(protocol="icmp"))
    )
    await scene.ensure(group)
    return group


async def _nbctl(scene: Scene, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "ovn-nbctl",
        f"--db={scene.cloud.layout.northbound}",
        "--timeout=10",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode()


async def _dhcp_rows(scene: Scene) -> list[str]:
    return (await _nbctl(scene, "--bare", "--columns=_uuid", "list", "DHCP_Options")).split()


async def _answer(heard: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    heard.append(writer.get_extra_info("peername")[0])
    writer.write(b"metadata")
    await writer.drain()
    writer.close()


def _add_address(address: str) -> None:
    with IPRoute() as ip:
        ip.addr("add", index=find_link(ip, "eth0"), address=address, prefixlen=24)


def _enable_ipv6() -> None:
    # The guest's kernel makes the address from its MAC only in the old way.
    for name, value in (("addr_gen_mode", "0"), ("disable_ipv6", "0")):
        Path(f"/proc/sys/net/ipv6/conf/eth0/{name}").write_text(value)
