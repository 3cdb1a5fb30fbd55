"""What every hypervisor driver promises (`compute/host/protocol.py`), tried on each of them."""

import asyncio
import hashlib

import msgspec
import pytest

from aerostat.kernel.errors import DriverError
from aerostat.kernel.ids import new_id
from aerostat.services.compute.host.protocol import (
    BaseImageSpec,
    ExportsDisks,
    Interface,
    Interrupts,
    RescueDisk,
    RootDisk,
    SetsPasswords,
    TakesScreenshots,
)

from .hypervisor_worlds import (
    BOOT_IMAGE,
    FakeWorld,
    LibvirtWorld,
    chunks,
    eventually,
    why_no_libvirt,
)


@pytest.fixture(params=["fake", pytest.param("libvirt", marks=pytest.mark.metal)])
async def world(request):
    if request.param == "libvirt" and (missing := why_no_libvirt()):
        pytest.skip(missing)
    world = FakeWorld() if request.param == "fake" else LibvirtWorld()
    await world.open()
    yield world
    await world.close()


@pytest.fixture
def hypervisor(world):
    return world.hypervisor


# The host


async def test_host_facts(hypervisor):
    facts = await hypervisor.inspect_host()
    assert facts.vcpus > 0
    assert facts.memory_mib > 0
    assert facts.disk_gib >= facts.disk_free_gib > 0
    assert facts.accelerator == "kvm" or facts.accelerator_reason
    assert facts.hypervisor_version > 1000
    assert facts.cpu_info["topology"]["cores"] > 0


async def test_opening_and_closing_twice_is_the_same_as_once(hypervisor):
    await hypervisor.open()
    await hypervisor.close()
    await hypervisor.close()
    await hypervisor.open()
    assert await hypervisor.list_domains() == []


# Base images


async def test_an_image_is_kept_once(world, hypervisor):
    async def unread():
        raise AssertionError("the image is there: nobody should read it again")
        yield b""

    image = await hypervisor.ensure_base_image(BaseImageSpec(id=world.image_id, format="raw"), unread())
    assert (image.format, image.virtual_bytes, image.uses) == ("raw", len(BOOT_IMAGE), 0)
    assert await hypervisor.find_base_image(world.image_id) == image
    assert await hypervisor.list_base_images() == [image]


async def test_a_removed_image_is_gone_and_may_be_removed_again(world, hypervisor):
    await hypervisor.remove_base_image(world.image_id)
    await hypervisor.remove_base_image(world.image_id)
    assert await hypervisor.find_base_image(world.image_id) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": "vmdk"},
        {"format": "qcow2"},
        {"size_bytes": 3},
        {"size_bytes": 4096},
        {"hash_value": "00" * 64},
        {"hash_algo": "md5", "hash_value": "00" * 16},
    ],
    ids=str,
)
async def test_an_image_that_is_not_what_it_says_leaves_nothing(hypervisor, wrong):
    image = BaseImageSpec(id=new_id(), **{"format": "raw", **wrong})
    with pytest.raises(DriverError):
        await hypervisor.ensure_base_image(image, chunks(BOOT_IMAGE[:100], BOOT_IMAGE[100:]))
    assert await hypervisor.find_base_image(image.id) is None


async def test_a_right_checksum_is_accepted(hypervisor):
    for algo in ("md5", "sha256", "sha512"):
        value = hashlib.new(algo, BOOT_IMAGE).hexdigest()
        image = BaseImageSpec(id=new_id(), format="raw", hash_algo=algo, hash_value=value)
        await hypervisor.ensure_base_image(image, chunks(BOOT_IMAGE))
        assert await hypervisor.find_base_image(image.id) is not None


async def test_a_stream_that_breaks_leaves_nothing_and_can_be_repeated(hypervisor):
    async def breaks():
        yield BOOT_IMAGE[:100]
        raise ConnectionError("the image service went away")

    image = BaseImageSpec(id=new_id(), format="raw")
    with pytest.raises(ConnectionError):
        await hypervisor.ensure_base_image(image, breaks())
    assert await hypervisor.find_base_image(image.id) is None
    await hypervisor.ensure_base_image(image, chunks(BOOT_IMAGE))
    assert (await hypervisor.find_base_image(image.id)).virtual_bytes == len(BOOT_IMAGE)


# Domains come and go


async def test_a_domain_runs_and_a_repeat_changes_nothing(world, hypervisor):
    spec = world.spec(
        title="Grüße & <tags>\n",
        root=RootDisk(world.image_id, 1),
        ephemeral_gib=(1,),
        swap_mib=8,
        config_drive={"openstack/latest/meta_data.json": b"{}"},
    )
    first = await hypervisor.ensure_domain(spec)
    second = await hypervisor.ensure_domain(spec)
    assert (first.id, first.name, first.state) == (spec.id, spec.name, "running")
    assert (first.vcpus, first.memory_mib) == (1, 32)
    assert second.cpu_time_s >= first.cpu_time_s
    assert [domain.id for domain in await hypervisor.list_domains()] == [spec.id]
    assert (await hypervisor.inspect_domain(spec.id)).state == "running"
    assert (await hypervisor.find_base_image(world.image_id)).uses == 1


async def test_a_domain_whose_image_is_missing_can_be_made_later(world, hypervisor):
    spec = world.spec(root=RootDisk(new_id(), 1))
    with pytest.raises(DriverError) as refused:
        await hypervisor.ensure_domain(spec)
    assert refused.value.retry
    await hypervisor.ensure_base_image(BaseImageSpec(id=spec.root.image_id, format="raw"), chunks(BOOT_IMAGE))
    assert (await hypervisor.ensure_domain(spec)).state == "running"


async def test_a_name_belongs_to_one_domain(world, hypervisor):
    first = world.spec()
    await hypervisor.ensure_domain(first, "shutoff")
    with pytest.raises(DriverError):
        await hypervisor.ensure_domain(world.spec(name=first.name), "shutoff")


async def test_removal_takes_everything_and_may_be_repeated(world, hypervisor):
    spec = world.spec()
    await hypervisor.ensure_domain(spec)
    await hypervisor.remove_domain(spec.id)
    await hypervisor.remove_domain(spec.id)
    assert await hypervisor.inspect_domain(spec.id) is None
    assert await hypervisor.list_domains() == []
    assert (await hypervisor.find_base_image(world.image_id)).uses == 0


async def test_a_suspended_domain_can_be_removed(world, hypervisor):
    spec = world.spec()
    await hypervisor.ensure_domain(spec)
    await hypervisor.ensure_power(spec.id, "suspended")
    await hypervisor.remove_domain(spec.id)
    assert await hypervisor.inspect_domain(spec.id) is None


async def test_emptying_the_cache_does_not_harm_a_domain(world, hypervisor):
    spec = world.spec()
    await hypervisor.ensure_domain(spec, "shutoff")
    await hypervisor.remove_base_image(world.image_id)
    assert (await hypervisor.ensure_domain(spec)).state == "running"


async def test_a_domain_takes_on_a_new_spec_only_when_it_is_off(world, hypervisor):
    spec = world.spec()
    larger = msgspec.structs.replace(spec, memory_mib=48, vcpus=2)
    await hypervisor.ensure_domain(spec)
    assert (await hypervisor.ensure_domain(larger)).memory_mib == 32
    await hypervisor.ensure_power(spec.id, "shutoff", limit_s=0)
    grown = await hypervisor.ensure_domain(larger)
    assert (grown.state, grown.memory_mib, grown.vcpus) == ("running", 48, 2)


async def test_an_unknown_domain_is_an_error_and_not_worth_a_retry(hypervisor):
    nobody = new_id()
    card = Interface(port_id=new_id(), mac="02:00:00:00:00:01", tap="tap0")
    calls = [
        lambda: hypervisor.ensure_power(nobody, "running"),
        lambda: hypervisor.reboot(nobody),
        lambda: hypervisor.ensure_interface(nobody, card),
        lambda: hypervisor.remove_interface(nobody, card.port_id),
        lambda: hypervisor.console_log(nobody),
        lambda: hypervisor.console_sockets(nobody),
    ]
    for call in calls:
        with pytest.raises(DriverError) as refused:
            await call()
        assert not refused.value.retry
    assert await hypervisor.inspect_domain(nobody) is None


# Power


async def test_power_goes_from_each_state_to_each(world, hypervisor):
    spec = world.spec()
    assert (await hypervisor.ensure_domain(spec, "shutoff")).state == "shutoff"
    path = [
        "shutoff",
        "running",
        "running",
        "paused",
        "paused",
        "running",
        "suspended",
        "suspended",
        "running",
    ]
    path += [
        "paused",
        "suspended",
        "paused",
        "shutoff",
        "paused",
        "shutoff",
        "running",
        "suspended",
        "shutoff",
    ]
    for power in path:
        assert (await hypervisor.ensure_power(spec.id, power, limit_s=0)).state == power
        assert (await hypervisor.inspect_domain(spec.id)).state == power
    with pytest.raises(DriverError, match="running or paused"):
        await hypervisor.ensure_power(spec.id, "suspended")


async def test_a_guest_that_does_not_obey_its_power_button_is_cut_off(world, hypervisor):
    spec = world.spec()
    await hypervisor.ensure_domain(spec)
    if isinstance(world, FakeWorld):
        world.fake.make_deaf(spec.id)
    found = await hypervisor.ensure_power(spec.id, "shutoff", limit_s=0.5)
    assert (found.state, found.reason) == ("shutoff", "the power was cut")


@pytest.mark.parametrize("hard", [False, True])
async def test_reboot_restarts_the_guest(world, hypervisor, hard):
    spec = world.spec()
    await hypervisor.ensure_domain(spec)
    first = await eventually(lambda: hypervisor.console_log(spec.id))
    assert (await hypervisor.reboot(spec.id, hard=hard, limit_s=0.5)).state == "running"

    async def printed_again():
        return len(await hypervisor.console_log(spec.id)) > len(first)

    assert await eventually(printed_again)


async def test_reboot_starts_what_is_not_running(world, hypervisor):
    spec = world.spec()
    await hypervisor.ensure_domain(spec, "shutoff")
    assert (await hypervisor.reboot(spec.id)).state == "running"
    await hypervisor.ensure_power(spec.id, "paused")
    assert (await hypervisor.reboot(spec.id, hard=True)).state == "running"


async def test_a_crash_is_seen_told_and_overcome(world, hypervisor):
    spec = world.spec()
    await hypervisor.ensure_domain(spec)
    told = _collect(hypervisor)

    world.crash(spec)

    async def crashed():
        return (await hypervisor.inspect_domain(spec.id)).state == "crashed"

    await eventually(crashed)
    await told("crashed")
    assert (await hypervisor.inspect_domain(spec.id)).reason
    assert (await hypervisor.ensure_domain(spec)).state == "running"


async def test_a_crashed_domain_can_be_switched_off(world, hypervisor):
    spec = world.spec()
    await hypervisor.ensure_domain(spec)
    world.crash(spec)

    async def crashed():
        return (await hypervisor.inspect_domain(spec.id)).state == "crashed"

    await eventually(crashed)
    assert (await hypervisor.ensure_power(spec.id, "shutoff")).state == "shutoff"


async def test_events_tell_what_happened(world, hypervisor):
    told = _collect(hypervisor)
    spec = world.spec()
    await hypervisor.ensure_domain(spec)
    await told("started")
    await hypervisor.ensure_power(spec.id, "paused")
    await told("paused")
    await hypervisor.ensure_power(spec.id, "running")
    await told("resumed")
    await hypervisor.reboot(spec.id, hard=True)
    await told("rebooted")
    await hypervisor.ensure_power(spec.id, "suspended")
    await told("suspended")
    await hypervisor.ensure_power(spec.id, "running")
    await hypervisor.ensure_power(spec.id, "shutoff", limit_s=0)
    await told("stopped")
    await hypervisor.remove_domain(spec.id)
    await told("removed")


def _collect(hypervisor):
    """Gives a function that waits until an event has been told."""
    events = hypervisor.events()

    async def told(what):
        async with asyncio.timeout(10):
            while (await anext(events)).what != what:
                pass

    return told


async def test_verbs_on_one_domain_do_not_disturb_each_other(world, hypervisor):
    spec = world.spec()
    await asyncio.gather(*(hypervisor.ensure_domain(spec) for _ in range(4)))
    assert [domain.state for domain in await hypervisor.list_domains()] == ["running"]
    await asyncio.gather(*(hypervisor.ensure_power(spec.id, "paused") for _ in range(4)))
    await asyncio.gather(*(hypervisor.remove_domain(spec.id) for _ in range(4)))
    assert await hypervisor.list_domains() == []


# Network cards


async def test_cards_are_plugged_and_unplugged_while_it_is_off(world, hypervisor):
    first = Interface(port_id=new_id(), mac="02:00:00:00:00:01", tap="tap1", mtu=1442)
    second = Interface(port_id=new_id(), mac="02:00:00:00:00:02", tap="tap2")
    spec = world.spec(interfaces=(first,))
    await hypervisor.ensure_domain(spec, "shutoff")
    for _ in range(2):
        await hypervisor.ensure_interface(spec.id, second)
        assert (await hypervisor.inspect_domain(spec.id)).ports == (first.port_id, second.port_id)
    for _ in range(2):
        await hypervisor.remove_interface(spec.id, first.port_id)
        assert (await hypervisor.inspect_domain(spec.id)).ports == (second.port_id,)


async def test_cards_are_plugged_into_a_running_domain(world, hypervisor):
    first = Interface(port_id=new_id(), mac="02:00:00:00:00:01", tap=world.tap(), mtu=1442)
    second = Interface(port_id=new_id(), mac="02:00:00:00:00:02", tap=world.tap())
    spec = world.spec(interfaces=(first,))
    assert (await hypervisor.ensure_domain(spec)).ports == (first.port_id,)
    for _ in range(2):
        await hypervisor.ensure_interface(spec.id, second)
        assert (await hypervisor.inspect_domain(spec.id)).ports == (first.port_id, second.port_id)
    await hypervisor.ensure_power(spec.id, "shutoff", limit_s=0)
    assert (await hypervisor.inspect_domain(spec.id)).ports == (first.port_id, second.port_id)


# Consoles


async def test_the_console_log_is_kept_over_starts_and_cut_at_its_beginning(world, hypervisor):
    spec = world.spec()
    await hypervisor.ensure_domain(spec, "shutoff")
    assert await hypervisor.console_log(spec.id) == ""
    await hypervisor.ensure_power(spec.id, "running")

    async def whole_line():
        text = await hypervisor.console_log(spec.id)
        return text if "sector\r\n" in text or "login: " in text else ""

    text = await eventually(whole_line)
    assert await hypervisor.console_log(spec.id, max_bytes=5) == text[-5:]
    await hypervisor.ensure_power(spec.id, "shutoff", limit_s=0)
    assert await hypervisor.console_log(spec.id) == text


async def test_console_sockets_reach_the_guest(world, hypervisor):
    spec = world.spec()
    await hypervisor.ensure_domain(spec)
    await eventually(lambda: hypervisor.console_log(spec.id))
    sockets = await hypervisor.console_sockets(spec.id)
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_unix_connection(sockets.vnc)
        assert await reader.readexactly(12) == b"RFB 003.008\n"
        writer.close()
        reader, writer = await asyncio.open_unix_connection(sockets.serial)
        writer.write(b"#")
        await reader.readuntil(b"#")
        writer.close()
    await hypervisor.ensure_power(spec.id, "shutoff", limit_s=0)
    with pytest.raises(DriverError, match="not running"):
        await hypervisor.console_sockets(spec.id)


async def test_screenshots_where_they_can_be_taken(world, hypervisor):
    if not isinstance(hypervisor, TakesScreenshots):
        pytest.skip("this hypervisor takes no screenshots")
    spec = world.spec()
    await hypervisor.ensure_domain(spec)
    assert (await hypervisor.screenshot(spec.id)).startswith(b"\x89PNG")


# Rescue


@pytest.mark.parametrize("place", [{}, {"device": "disk", "bus": "virtio"}, {"bus": "usb"}], ids=str)
async def test_a_domain_is_rescued_and_boots_its_own_disk_again(world, hypervisor, place):
    image_id, rescue_says = await world.add_image("the rescue disk")
    own_id, own_says = await world.add_image("its own disk")
    spec = world.spec(root=RootDisk(own_id, 1))
    await hypervisor.ensure_domain(spec)
    await _until_it_says(hypervisor, spec, own_says, 1)
    await hypervisor.ensure_power(spec.id, "shutoff", limit_s=0)
    rescued = msgspec.structs.replace(spec, rescue=RescueDisk(image_id=image_id, **place))
    for _ in range(2):
        assert (await hypervisor.ensure_domain(rescued)).state == "running"
    await _until_it_says(hypervisor, spec, rescue_says, 1)
    assert (await hypervisor.console_log(spec.id)).count(own_says) == 1
    await hypervisor.ensure_power(spec.id, "shutoff", limit_s=0)
    assert (await hypervisor.ensure_domain(spec)).state == "running"
    await _until_it_says(hypervisor, spec, own_says, 2)


async def test_rescue_needs_its_image_on_the_host(world, hypervisor):
    spec = world.spec()
    await hypervisor.ensure_domain(spec, "shutoff")
    rescued = msgspec.structs.replace(spec, rescue=RescueDisk(image_id=new_id()))
    with pytest.raises(DriverError) as refused:
        await hypervisor.ensure_domain(rescued)
    assert refused.value.retry


async def _until_it_says(hypervisor, spec, text, times):
    async def said():
        return (await hypervisor.console_log(spec.id)).count(text) >= times

    await eventually(said)


# Copies of disks


async def read_export(hypervisor, domain_id, export_id):
    content = b""
    while piece := await hypervisor.read_export(domain_id, export_id, len(content), 100_000):
        assert len(piece) <= 100_000
        content += piece
    return content


@pytest.mark.parametrize("power", ["running", "paused", "suspended", "shutoff"])
async def test_a_copy_of_a_disk_is_an_image(world, hypervisor, power):
    assert isinstance(hypervisor, ExportsDisks)
    spec, export_id = world.spec(root=RootDisk(world.image_id, 1)), new_id()
    await hypervisor.ensure_domain(spec)
    await hypervisor.ensure_power(spec.id, power, limit_s=0)
    await hypervisor.export_disk(spec.id, export_id)
    assert (await hypervisor.inspect_domain(spec.id)).state == power
    content = await read_export(hypervisor, spec.id, export_id)
    await hypervisor.export_disk(spec.id, export_id)  # a repeat finds the copy
    assert await read_export(hypervisor, spec.id, export_id) == content
    image = BaseImageSpec(id=new_id(), format=hypervisor.export_format, size_bytes=len(content))
    await hypervisor.ensure_base_image(image, chunks(content))
    await hypervisor.remove_domain(spec.id)  # the copy stands on nothing of its domain
    copy = world.spec(root=RootDisk(image.id, 1))
    assert (await hypervisor.ensure_domain(copy)).state == "running"
    assert await eventually(lambda: hypervisor.console_log(copy.id))


async def test_a_removed_copy_is_gone_and_may_be_removed_again(world, hypervisor):
    spec, export_id = world.spec(), new_id()
    await hypervisor.ensure_domain(spec, "shutoff")
    await hypervisor.export_disk(spec.id, export_id)
    for _ in range(2):
        await hypervisor.remove_export(spec.id, export_id)
    with pytest.raises(DriverError):
        await hypervisor.read_export(spec.id, export_id, 0, 100)


async def test_copies_of_unknown_domains(hypervisor):
    with pytest.raises(DriverError) as refused:
        await hypervisor.export_disk(new_id(), new_id())
    assert not refused.value.retry
    await hypervisor.remove_export(new_id(), new_id())


# What is done to a guest that runs


async def test_interrupts_reach_only_guests_that_run(world, hypervisor):
    assert isinstance(hypervisor, Interrupts)
    spec = world.spec()
    await hypervisor.ensure_domain(spec)
    await hypervisor.interrupt(spec.id)
    await hypervisor.ensure_power(spec.id, "shutoff", limit_s=0)
    with pytest.raises(DriverError, match="not running"):
        await hypervisor.interrupt(spec.id)


async def test_passwords_are_not_set_in_guests_that_are_off(world, hypervisor):
    assert isinstance(hypervisor, SetsPasswords)
    spec = world.spec()
    await hypervisor.ensure_domain(spec, "shutoff")
    with pytest.raises(DriverError, match="not running"):
        await hypervisor.set_password(spec.id, "root", "s3cret")
