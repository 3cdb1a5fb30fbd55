"""The compute host by itself: two drivers joined."""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from aerostat.kernel import clock
from aerostat.kernel.bus import Message, open_memory_bus
from aerostat.kernel.bus.frames import encode_body
from aerostat.kernel.errors import DriverError
from aerostat.services.compute.drivers.fake import FakeHypervisor
from aerostat.services.compute.drivers.fake_moves import FakeFolder
from aerostat.services.compute.host.agent import HostAgent
from aerostat.services.compute.host.orders import (
    CONTROL_TOPIC,
    HELLO_VERB,
    WHO_COMES_VERB,
    Card,
    ClearFiles,
    EnsureGuest,
    GuestSpec,
    HostLink,
    PrepareLanding,
    RebuildGuest,
    RemoveGuest,
    SetPower,
    Welcome,
    WhoComes,
    WhoLeft,
)
from aerostat.services.compute.host.protocol import DiskFull, DomainSpec, Interface, RootDisk
from aerostat.services.network.drivers.fake import FakeHostNetworkDriver

NOON = datetime(2030, 1, 1, 12)
SPEC = GuestSpec(id="s", name="instance-s", title="s", vcpus=1, memory_mib=64, root=RootDisk("image"))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


async def answered(agent: HostAgent, verb: str, order: Any) -> Any:
    """The order as it comes from the bus."""
    return await agent.answer(Message("host.here", verb, encode_body(order), None))


def guest_with(*ports: str) -> GuestSpec:
    cards = tuple(Card(port_id=port, mac=f"fa:16:3e:00:00:0{n}") for n, port in enumerate(ports))
    root = RootDisk("image")
    return GuestSpec(id="s", name="instance-s", title="s", vcpus=1, memory_mib=64, root=root, cards=cards)


@pytest.fixture
async def control() -> "AsyncIterator[Control]":
    control = Control(await open_memory_bus())
    await control.bus.serve(CONTROL_TOPIC, control.answer)
    yield control
    await control.bus.close()


class Control:
    """The control side, as far as hosts ask it."""

    def __init__(self, bus: Any) -> None:
        self.bus = bus
        self.coming: list[str] = []
        self.left: list[str] = []
        self.asked: list[Any] = []
        self.now = NOON
        self.meanwhile: Callable[[], Awaitable[object]] | None = (
            None  # happens while a question is on its way
        )

    async def answer(self, message: Message) -> Any:
        if self.meanwhile is not None:
            await self.meanwhile()
        if message.verb == HELLO_VERB:
            return Welcome(at=self.now)
        if message.verb == WHO_COMES_VERB:
            self.asked.append(message.read(WhoComes))
            return self.coming
        self.asked.append(message.read(WhoLeft))
        return self.left


async def test_what_was_plugged_for_a_guest_that_was_not_made_is_unplugged(control: Control) -> None:
    """Found by the simulator: an order came late and failed, and its card stayed plugged for ever."""
    hypervisor, network = FakeHypervisor("here"), FakeHostNetworkDriver()
    agent = HostAgent("here", control.bus, hypervisor, network)
    hypervisor.remember_image("image")
    tap = await network.plug_port("port-of-a-guest", "fa:16:3e:00:00:01", 1442)
    card = Interface(port_id="port-of-a-guest", mac="fa:16:3e:00:00:01", tap=tap)
    root = RootDisk("image")
    await hypervisor.ensure_domain(
        DomainSpec(id="s", name="instance-s", vcpus=1, memory_mib=64, root=root, interfaces=(card,))
    )
    await network.plug_port("stray", "fa:16:3e:00:00:02", 1442)
    assert await agent.tidy() == 0  # its guest may be on its way
    assert control.asked == []
    assert await agent.tidy() == 1
    assert set(await network.list_plugged_ports()) == {"port-of-a-guest"}
    await network.plug_port("stray", "fa:16:3e:00:00:02", 1442)
    assert await agent.tidy() == 0


async def test_what_is_plugged_for_a_guest_on_its_way_from_another_host_stays(control: Control) -> None:
    """A new process of the host knew nothing of it, and took the cards away while the guest was being sent."""
    hypervisor, network = FakeHypervisor("here"), FakeHostNetworkDriver()
    agent = HostAgent("here", control.bus, hypervisor, network)
    hypervisor.files["s"] = FakeFolder(b"", "there")
    await answered(agent, "prepare_landing", PrepareLanding(guest_with("port")))
    control.coming = ["port"]
    for process in (agent, HostAgent("here", control.bus, hypervisor, network)):
        assert [await process.tidy() for _ in range(3)] == [0, 0, 0]
    control.coming = []  # it does not come any more, or the port was detached
    assert [await process.tidy() for _ in range(2)] == [1, 0]
    assert await network.list_plugged_ports() == {}


async def test_a_card_that_is_plugged_again_while_it_is_asked_about_stays(control: Control) -> None:
    hypervisor, network = FakeHypervisor("here"), FakeHostNetworkDriver()
    agent = HostAgent("here", control.bus, hypervisor, network)
    hypervisor.files["s"] = FakeFolder(b"", "there")
    landing = PrepareLanding(guest_with("port"))
    await answered(agent, "prepare_landing", landing)
    control.meanwhile = lambda: answered(agent, "prepare_landing", landing)
    assert [await agent.tidy() for _ in range(2)] == [0, 0]
    assert set(await network.list_plugged_ports()) == {"port"}


async def test_files_of_servers_that_left_are_removed_and_of_others_kept(control: Control) -> None:
    """Found by the simulator: files were fetched once more after the server was deleted."""
    hypervisor = FakeHypervisor("here")
    control.left = ["left"]
    agent = HostAgent("here", control.bus, hypervisor, FakeHostNetworkDriver())
    for id, owner in (("left", None), ("on its way", None), ("elsewhere", "there")):
        hypervisor.files[id] = FakeFolder(b"", owner)
    assert await agent.tidy() == 0
    assert control.asked == []
    assert await agent.tidy() == 1
    assert control.asked == [WhoLeft("here", ("left", "on its way"))]
    assert set(hypervisor.files) == {"on its way", "elsewhere"}


async def test_files_are_cleared_for_a_server_to_come_and_never_under_one_that_came() -> None:
    """Found by the simulator: a worker that had been stopped removed a server's guest, and its only disk, from the host
    to which another worker had moved it.
    """
    hypervisor = FakeHypervisor("here")
    agent = HostAgent("here", None, hypervisor, FakeHostNetworkDriver())
    hypervisor.files["s"] = FakeFolder(b"of an earlier stay", "here")
    await answered(agent, "clear_files", ClearFiles("s"))
    assert "s" not in hypervisor.files
    hypervisor.remember_image("image")
    spec = DomainSpec(id="s", name="instance-s", vcpus=1, memory_mib=64, root=RootDisk("image"))
    await hypervisor.ensure_domain(spec)
    with pytest.raises(DriverError, match="still has a guest"):
        await answered(agent, "clear_files", ClearFiles("s"))
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
        await answered(agent, "ensure_guest", EnsureGuest(spec))
    await answered(agent, "ensure_guest", EnsureGuest(spec, new=True))
    await answered(agent, "ensure_guest", EnsureGuest(spec))
    assert await hypervisor.inspect_domain("s") is not None


async def test_an_order_that_comes_again_after_others_is_not_followed(control: Control) -> None:
    """Found by the simulator: a server was moved away and back, then the first move's order came a second time and
    took it with its disk. Another was moved while it was off, and an order to make it came again and started it.
    """
    hypervisor = FakeHypervisor("here")
    hypervisor.remember_image("image")
    agent = HostAgent("here", control.bus, hypervisor, FakeHostNetworkDriver())
    control.now = at(60)
    created, moved_away = EnsureGuest(SPEC, new=True, at=at(0)), RemoveGuest("s", at=at(10))
    await answered(agent, "ensure_guest", created)
    await answered(agent, "ensure_guest", created)  # nothing came between
    await answered(agent, "remove_guest", moved_away)
    with pytest.raises(DriverError, match="older than"):
        await answered(agent, "ensure_guest", created)
    hypervisor.files["s"] = FakeFolder(b"its data", None)
    await answered(agent, "prepare_landing", PrepareLanding(SPEC, at=at(20)))
    for verb, order in (("remove_guest", moved_away), ("clear_files", ClearFiles("s", at=at(15)))):
        with pytest.raises(DriverError, match="older than") as caught:
            await answered(agent, verb, order)
        assert caught.value.retry
    assert hypervisor.files["s"].disk == b"its data"
    await answered(agent, "remove_guest", RemoveGuest("s", at=at(30)))
    assert "s" not in hypervisor.files


@pytest.mark.parametrize("back_s", [60.0, 900.0, 7200.0])
async def test_orders_of_a_clock_that_was_set_back_are_refused_once(control: Control, back_s: float) -> None:
    """They were refused until the clock had come to where it was before, for up to half an hour."""
    hypervisor = FakeHypervisor("here")
    hypervisor.remember_image("image")
    control.now = at(-back_s)
    agent = HostAgent("here", control.bus, hypervisor, FakeHostNetworkDriver())
    await answered(agent, "ensure_guest", EnsureGuest(SPEC, new=True, at=at(0)))
    of_before = RemoveGuest("s", at=at(-back_s - 1))
    with contextlib.suppress(DriverError):  # from further back than any order comes it is followed at once
        await answered(agent, "remove_guest", of_before)
    if back_s < 3600:
        assert "s" in hypervisor.files
        with pytest.raises(DriverError, match="older than"):
            await answered(agent, "remove_guest", of_before)
    await answered(agent, "remove_guest", RemoveGuest("s", at=at(-back_s + 1)))
    assert "s" not in hypervisor.files


async def test_a_late_order_is_refused_though_nobody_tells_the_time() -> None:
    hypervisor, bus = FakeHypervisor("here"), await open_memory_bus()
    hypervisor.remember_image("image")
    agent = HostAgent("here", bus, hypervisor, FakeHostNetworkDriver())
    await answered(agent, "ensure_guest", EnsureGuest(SPEC, new=True, at=at(0)))
    with pytest.raises(DriverError, match="older than"):
        await answered(agent, "remove_guest", RemoveGuest("s", at=at(-60)))
    await bus.close()


async def test_a_new_process_does_not_follow_orders_of_before_it(control: Control) -> None:
    """It cannot know what came after them."""
    hypervisor = FakeHypervisor("here")
    hypervisor.files["s"] = FakeFolder(b"its data", "here")
    control.now = clock.now()
    agent = HostAgent("here", control.bus, hypervisor, FakeHostNetworkDriver())
    await agent.start()
    with pytest.raises(DriverError, match="older than") as caught:
        await answered(agent, "remove_guest", RemoveGuest("s", at=clock.now() - timedelta(seconds=60)))
    assert caught.value.retry
    assert "s" in hypervisor.files
    await HostLink(control.bus, "here").remove_guest("s")
    assert "s" not in hypervisor.files
    await agent.stop()


async def test_a_rebuild_that_comes_again_leaves_the_new_disk_alone() -> None:
    hypervisor = FakeHypervisor("here")
    hypervisor.remember_image("image")
    agent = HostAgent("here", None, hypervisor, FakeHostNetworkDriver())
    await answered(agent, "ensure_guest", EnsureGuest(SPEC, new=True, at=at(0)))
    old = hypervisor.files["s"]
    rebuild = RebuildGuest(SPEC, at=at(10))
    await answered(agent, "rebuild_guest", rebuild)
    new = hypervisor.files["s"]
    assert new is not old
    await answered(agent, "rebuild_guest", rebuild)
    assert hypervisor.files["s"] is new
    await answered(agent, "rebuild_guest", RebuildGuest(SPEC, at=at(20)))
    assert hypervisor.files["s"] is not new


async def test_files_of_a_server_that_comes_back_while_it_is_asked_about_stay(control: Control) -> None:
    hypervisor = FakeHypervisor("here")
    hypervisor.files["s"] = FakeFolder(b"", None)
    agent = HostAgent("here", control.bus, hypervisor, FakeHostNetworkDriver())
    control.left = ["s"]
    control.meanwhile = lambda: answered(agent, "prepare_landing", PrepareLanding(SPEC, at=at(0)))
    assert [await agent.tidy() for _ in range(2)] == [0, 0]
    assert "s" in hypervisor.files


async def test_a_card_that_a_guest_has_no_more_when_it_is_made_again_is_unplugged() -> None:
    """Its port was deleted while it was being rebooted."""
    hypervisor, network = FakeHypervisor("here"), FakeHostNetworkDriver()
    agent = HostAgent("here", None, hypervisor, network)
    hypervisor.remember_image("image")
    await answered(agent, "ensure_guest", EnsureGuest(guest_with("one", "two"), new=True))
    await hypervisor.ensure_power("s", "shutoff")
    await answered(agent, "ensure_guest", EnsureGuest(guest_with("one")))
    assert set(await network.list_plugged_ports()) == {"one"}


async def test_what_is_plugged_for_a_guest_that_takes_long_to_make_stays() -> None:
    hypervisor, network = FakeHypervisor("here"), FakeHostNetworkDriver()
    agent = HostAgent("here", None, hypervisor, network)
    hypervisor.remember_image("image")
    hypervisor.faults.delay("ensure_domain", 0.2)
    making = asyncio.create_task(answered(agent, "ensure_guest", EnsureGuest(guest_with("one"), new=True)))
    await asyncio.sleep(0.05)
    assert [await agent.tidy() for _ in range(3)] == [0, 0, 0]
    await making
    assert [await agent.tidy() for _ in range(2)] == [0, 0]
    assert set(await network.list_plugged_ports()) == {"one"}


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), DiskFull("qemu-img: no space")]
)
@pytest.mark.parametrize("verb", ["ensure_guest", "set_power"])
async def test_a_full_disk_is_one_error_whoever_meets_it(
    control: Control, error: Exception, verb: str
) -> None:
    hypervisor = FakeHypervisor("here")
    hypervisor.remember_image("image")
    agent = HostAgent("here", control.bus, hypervisor, FakeHostNetworkDriver())
    await answered(agent, "ensure_guest", EnsureGuest(SPEC, new=True))
    for meets in ("ensure_domain", "ensure_power"):
        hypervisor.faults.fail(meets, error=error)
    order = EnsureGuest(SPEC) if verb == "ensure_guest" else SetPower("s", "suspended")
    with pytest.raises(DiskFull, match="The host's disk is full") as caught:
        await answered(agent, verb, order)
    assert caught.value.detail
    assert caught.value.retry is (verb == "set_power"), "what is there has to wait for room"
