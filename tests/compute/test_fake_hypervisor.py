"""The fake's own abilities: faults, guests that call back, several hosts."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aerostat.kernel.errors import DriverError
from aerostat.services.compute.drivers.fake import FakeWorld
from aerostat.services.compute.drivers.fake_kept import KeptFakeHypervisor
from aerostat.services.compute.host.protocol import BaseImageSpec, DomainSpec, RootDisk

SPEC = DomainSpec(id="an-id", name="a-name", vcpus=1, memory_mib=64, root=RootDisk("image"))


async def one_chunk():
    yield b"disk"


@pytest.fixture
async def world():
    return FakeWorld()


@pytest.fixture
async def host(world):
    host = world.host("one")
    await host.open()
    await host.ensure_base_image(BaseImageSpec(id="image", format="raw"), one_chunk())
    yield host
    await host.close()


async def test_a_planted_failure_happens_as_often_as_said(host):
    host.faults.fail("ensure_domain", times=2)
    for _ in range(2):
        with pytest.raises(DriverError, match="refused"):
            await host.ensure_domain(SPEC)
        assert await host.inspect_domain(SPEC.id) is None
    assert (await host.ensure_domain(SPEC)).state == "running"
    assert host.faults.calls["ensure_domain"] == 3


async def test_an_answer_can_be_lost_after_the_work_is_done(host):
    host.faults.fail("ensure_domain", after=True, error=TimeoutError())
    with pytest.raises(TimeoutError):
        await host.ensure_domain(SPEC)
    assert (await host.inspect_domain(SPEC.id)).state == "running"


async def test_a_host_can_refuse_everything_until_it_is_healed(host):
    host.faults.fail("*", times=None)
    for _ in range(3):
        with pytest.raises(DriverError):
            await host.list_domains()
    host.faults.heal()
    assert await host.list_domains() == []


async def test_a_guest_calls_back_each_time_it_boots(world, host):
    booted = []

    async def on_start(spec):
        booted.append(spec.id)
        host.guest_prints(spec.id, "called back\n")

    world.on_start = on_start
    await host.ensure_domain(SPEC)
    await host.settle()
    assert "called back" in await host.console_log(SPEC.id)
    await host.reboot(SPEC.id)
    await host.ensure_power(SPEC.id, "suspended")
    await host.ensure_power(SPEC.id, "running")
    await host.settle()
    assert booted == [SPEC.id, SPEC.id]


async def test_a_call_back_that_fails_harms_nobody(world, host):
    async def on_start(spec):
        raise RuntimeError("no such address")

    world.on_start = on_start
    assert (await host.ensure_domain(SPEC)).state == "running"
    await host.settle()


async def test_hosts_are_apart_and_found_again_by_name(world, host):
    other = world.host("two", vcpus=2)
    assert await other.list_domains() == []
    await host.ensure_domain(SPEC)
    assert len(await world.host("one").list_domains()) == 1
    assert await other.list_domains() == []
    assert (await other.inspect_host()).vcpus == 2


async def test_a_guest_that_powers_itself_off_is_told(host):
    await host.ensure_domain(SPEC)
    host.guest_shuts_down(SPEC.id)
    events = host.events()
    assert [(await anext(events)).what for _ in range(2)] == ["started", "stopped"]
    found = await host.inspect_domain(SPEC.id)
    assert (found.state, found.reason) == ("shutoff", "the guest shut down")


async def kept(name: str, folder: Path) -> KeptFakeHypervisor:
    (folder / name).mkdir(exist_ok=True)
    host = KeptFakeHypervisor(name, folder / name)
    await host.open()
    await host.ensure_base_image(BaseImageSpec(id="image", format="raw"), one_chunk())
    return host


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="as-kept-", dir="/tmp") as name:  # sockets want a short path
        yield Path(name)


async def test_a_kept_host_is_the_same_after_its_process_was_killed(folder):
    host = await kept("one", folder)
    await host.ensure_domain(SPEC)
    await host.ensure_power(SPEC.id, "suspended")
    disk = host.files[SPEC.id]
    again = await kept("one", folder)
    assert [(one.id, one.state) for one in again.domains()] == [(SPEC.id, "suspended")]
    assert again.files == {SPEC.id: disk}
    await again.remove_domain(SPEC.id)
    empty = await kept("one", folder)
    assert (empty.domains(), empty.files) == ([], {})


async def test_a_guest_whose_host_dies_while_it_is_sent_does_not_run_twice(folder):
    """The target has it; the source was killed before it knew."""
    one, two = await kept("one", folder), await kept("two", folder)
    await one.ensure_domain(SPEC)
    (file,) = await one.moves.list_files(SPEC.id)
    await two.moves.ensure_file(SPEC.id, file, one_chunk())
    landing = await two.moves.prepare_landing(SPEC)

    async def killed(domain_id: str) -> None:
        raise asyncio.CancelledError

    one.forget = killed
    with pytest.raises(asyncio.CancelledError):
        await one.moves.send(SPEC.id, landing, copy_disks=True)
    again = await kept("one", folder)
    assert [host.domains()[0].state for host in (again, two)] == ["paused", "running"]
    await again.moves.send(SPEC.id, landing, copy_disks=True)
    assert again.domains() == []
    assert two.files[SPEC.id].disk == again.files[SPEC.id].disk
