"""The compute host by itself: two drivers joined."""

import pytest

from aerostat.kernel.bus import Message, open_memory_bus
from aerostat.kernel.errors import DriverError
from aerostat.services.compute.drivers.fake import FakeHypervisor
from aerostat.services.compute.drivers.fake_moves import FakeFolder
from aerostat.services.compute.host.agent import HostAgent
from aerostat.services.compute.host.orders import (
    CONTROL_TOPIC,
    Card,
    EnsureGuest,
    GuestSpec,
    OfServer,
    PrepareLanding,
    RemoveGuest,
    WhoLeft,
)
from aerostat.services.compute.host.protocol import DomainSpec, Interface, RootDisk
from aerostat.services.network.drivers.fake import FakeHostNetworkDriver


async def test_what_was_plugged_for_a_guest_that_was_not_made_is_unplugged() -> None:
    """Found by the simulator: an order came late and failed, and its card stayed plugged for ever."""
    hypervisor, network = FakeHypervisor("here"), FakeHostNetworkDriver()
    agent = HostAgent("here", None, hypervisor, network)
    hypervisor.remember_image("image")
    tap = await network.plug_port("port-of-a-guest", "fa:16:3e:00:00:01", 1442)
    card = Interface(port_id="port-of-a-guest", mac="fa:16:3e:00:00:01", tap=tap)
    root = RootDisk("image")
    await hypervisor.ensure_domain(
        DomainSpec(id="s", name="instance-s", vcpus=1, memory_mib=64, root=root, interfaces=(card,))
    )
    await network.plug_port("stray", "fa:16:3e:00:00:02", 1442)
    assert await agent.tidy() == 0  # its guest may be on its way
    assert await agent.tidy() == 1
    assert set(await network.list_plugged_ports()) == {"port-of-a-guest"}
    await network.plug_port("stray", "fa:16:3e:00:00:02", 1442)
    assert await agent.tidy() == 0


async def test_what_is_plugged_for_a_guest_on_its_way_from_another_host_stays() -> None:
    hypervisor, network = FakeHypervisor("here"), FakeHostNetworkDriver()
    agent = HostAgent("here", None, hypervisor, network)
    hypervisor.files["s"] = FakeFolder(b"", "there")
    card = Card(port_id="port", mac="fa:16:3e:00:00:01")
    spec = GuestSpec(
        id="s", name="instance-s", title="s", vcpus=1, memory_mib=64, root=RootDisk("image"), cards=(card,)
    )
    await agent._prepare_landing(PrepareLanding(spec))
    assert [await agent.tidy() for _ in range(3)] == [0, 0, 0]
    await agent._remove_guest(RemoveGuest("s"))
    assert [await agent.tidy() for _ in range(2)] == [0, 0]
    assert await network.list_plugged_ports() == {"port": "tapport"}
    await agent._remove_guest(RemoveGuest("s", ("port",)))
    assert await network.list_plugged_ports() == {}


async def test_files_of_servers_that_left_are_removed_and_of_others_kept() -> None:
    """Found by the simulator: files were fetched once more after the server was deleted."""
    bus, hypervisor = await open_memory_bus(), FakeHypervisor("here")
    asked: list[WhoLeft] = []

    async def answer(message: Message) -> list[str]:
        asked.append(message.read(WhoLeft))
        return ["left"]

    await bus.serve(CONTROL_TOPIC, answer)
    agent = HostAgent("here", bus, hypervisor, FakeHostNetworkDriver())
    for id, owner in (("left", None), ("on its way", None), ("elsewhere", "there")):
        hypervisor.files[id] = FakeFolder(b"", owner)
    assert await agent.tidy() == 0
    assert asked == []
    assert await agent.tidy() == 1
    assert asked == [WhoLeft("here", ("left", "on its way"))]
    assert set(hypervisor.files) == {"on its way", "elsewhere"}
    await bus.close()


async def test_files_are_cleared_for_a_server_to_come_and_never_under_one_that_came() -> None:
    """Found by the simulator: a worker that had been stopped removed a server's guest, and its only disk, from the host
    to which another worker had moved it.
    """
    hypervisor = FakeHypervisor("here")
    agent = HostAgent("here", None, hypervisor, FakeHostNetworkDriver())
    hypervisor.files["s"] = FakeFolder(b"of an earlier stay", "here")
    await agent._clear_files(OfServer("s"))
    assert "s" not in hypervisor.files
    hypervisor.remember_image("image")
    spec = DomainSpec(id="s", name="instance-s", vcpus=1, memory_mib=64, root=RootDisk("image"))
    await hypervisor.ensure_domain(spec)
    with pytest.raises(DriverError, match="still has a guest"):
        await agent._clear_files(OfServer("s"))
    assert "s" in hypervisor.files
    assert await hypervisor.inspect_domain("s") is not None


async def test_a_guest_that_was_there_never_gets_an_empty_disk_unseen() -> None:
    """Found by the simulator: the files of a server that was moved went by a message that came twice. It was started
    with a fresh disk, and the one with its owner's data was thrown away by the confirmation.
    """
    hypervisor = FakeHypervisor("here")
    hypervisor.remember_image("image")
    agent = HostAgent("here", None, hypervisor, FakeHostNetworkDriver())
    spec = GuestSpec(id="s", name="instance-s", title="s", vcpus=1, memory_mib=64, root=RootDisk("image"))
    with pytest.raises(DriverError, match="disk is not on the host"):
        await agent._ensure_guest(EnsureGuest(spec))
    await agent._ensure_guest(EnsureGuest(spec, new=True))
    await agent._ensure_guest(EnsureGuest(spec))
    assert await hypervisor.inspect_domain("s") is not None
