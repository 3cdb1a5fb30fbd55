"""The fake's own abilities: faults, guests that call back, several hosts."""

import pytest

from aerostat.kernel.errors import DriverError
from aerostat.services.compute.drivers.fake import FakeWorld
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
