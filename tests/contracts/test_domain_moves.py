"""What every hypervisor promises whose domains change hosts (`DomainMoves`), tried on each of them."""

import asyncio

import msgspec
import pytest

from aerostat.kernel.errors import DriverError
from aerostat.kernel.ids import new_id
from aerostat.services.compute.host.protocol import DomainFile, MovesDomains

from .hypervisor_worlds import chunks, eventually
from .move_worlds import FakePair, KeptPair, LibvirtPair, why_no_libvirtd


@pytest.fixture(params=["own disks", "shared disks"])
def shared(request):
    return request.param == "shared disks"


@pytest.fixture(params=["fake", "kept fake", pytest.param("libvirt", marks=pytest.mark.metal)])
async def pair(request, shared):
    if request.param == "libvirt" and (missing := why_no_libvirtd()):
        pytest.skip(missing)
    if request.param == "kept fake" and shared:
        pytest.skip("hosts of a fake world that are processes of their own keep their files apart")
    worlds = {"fake": FakePair, "kept fake": KeptPair, "libvirt": LibvirtPair}
    pair = worlds[request.param](shared=shared)
    try:
        await pair.open()
        yield pair
    finally:
        await pair.close()


async def carry(pair, spec) -> None:
    """What a target's agent does: the files that it does not see."""
    for file in await pair.one.moves.list_files(spec.id):
        pieces = _read_all(pair.one.moves, spec.id, file.name)
        await pair.two.moves.ensure_file(spec.id, file, pieces)


async def _read_all(moves, domain_id, name):
    offset = 0
    while piece := await moves.read_file(domain_id, name, offset, 1 << 20):
        offset += len(piece)
        yield piece


async def prepare(pair, spec):
    if not pair.shared:
        await carry(pair, spec)
    return await pair.two.moves.prepare_landing(spec)


async def running(pair, *, busy=False):
    """A domain on the first host that has printed something."""
    spec = pair.spec(busy=busy)
    await pair.one.ensure_domain(spec)
    await eventually(lambda: pair.one.console_log(spec.id))
    if busy:
        pair.make_busy(spec.id)
    return spec


async def test_both_can_move_and_files_have_one_owner(pair):
    spec = pair.spec()
    assert isinstance(pair.one, MovesDomains)
    assert await pair.one.moves.find_owner(spec.id) is None
    await pair.one.ensure_domain(spec, "shutoff")
    assert await pair.one.moves.find_owner(spec.id) == "one"
    assert await pair.two.moves.find_owner(spec.id) == ("one" if pair.shared else None)
    await pair.two.remove_domain(spec.id)
    assert pair.has_files(pair.one, spec.id), "they are not the second host's to remove"
    await pair.one.remove_domain(spec.id)
    assert not pair.has_files(pair.one, spec.id)


async def test_disks_and_what_is_left_of_domains_are_told(pair):
    spec = pair.spec()
    assert not await pair.two.moves.has_disk(spec.id)
    await pair.one.ensure_domain(spec, "shutoff")
    assert await pair.one.moves.has_disk(spec.id)
    assert await pair.two.moves.has_disk(spec.id) is pair.shared
    assert [await host.moves.list_leftovers() for host in (pair.one, pair.two)] == [[], []]
    await pair.one.moves.leave(spec.id, "two")
    assert await pair.one.moves.list_leftovers() == [], "they are the second host's, wherever they are"
    assert await pair.two.moves.list_leftovers() == ([spec.id] if pair.shared else [])
    await pair.two.remove_domain(spec.id)
    assert await pair.two.moves.list_leftovers() == []


@pytest.mark.parametrize("state", ["running", "paused"])
async def test_an_active_domain_is_sent(pair, state):
    spec = await running(pair)
    await pair.one.ensure_power(spec.id, state)
    used_s = (await pair.one.inspect_domain(spec.id)).cpu_time_s
    landing = await prepare(pair, spec)
    assert landing == await pair.two.moves.prepare_landing(spec), "a repeat is the same"
    assert await pair.one.moves.find_progress(spec.id) is None
    await pair.one.moves.send(spec.id, landing, copy_disks=not pair.shared)
    assert await pair.one.inspect_domain(spec.id) is None
    there = await pair.two.ensure_domain(spec, state)
    assert there.state == state
    assert await pair.two.moves.find_owner(spec.id) == "two"
    await pair.one.remove_domain(spec.id)
    assert pair.has_files(pair.two, spec.id)
    assert pair.has_files(pair.one, spec.id) is pair.shared
    assert used_s >= 0
    # It stops and starts there from the definition and the disk that came along.
    assert (await pair.two.ensure_power(spec.id, "shutoff", limit_s=0)).state == "shutoff"
    assert (await pair.two.ensure_domain(spec)).state == "running"
    assert await eventually(lambda: pair.two.console_log(spec.id))


async def test_it_can_come_back(pair):
    spec = await running(pair)
    landing = await prepare(pair, spec)
    await pair.one.moves.send(spec.id, landing, copy_disks=not pair.shared)
    await pair.two.ensure_domain(spec)
    await pair.one.remove_domain(spec.id)
    pair.one, pair.two = pair.two, pair.one
    back = await prepare(pair, spec)
    await pair.one.moves.send(spec.id, back, copy_disks=not pair.shared)
    assert (await pair.two.ensure_domain(spec)).state == "running"


async def broken_off(pair, domain_id):
    """As an agent asks for it: again, where the driver says that this may help. A busy machine can take a minute."""
    for tries_left in (1, 0):
        try:
            await pair.one.moves.abort(domain_id)
            return
        except DriverError as error:
            if not (error.retry and tries_left):
                raise


async def test_a_sending_is_broken_off(pair):
    spec = await running(pair, busy=True)
    landing = await prepare(pair, spec)
    sending = asyncio.create_task(pair.one.moves.send(spec.id, landing, copy_disks=not pair.shared))
    progress = await eventually(lambda: pair.one.moves.find_progress(spec.id))
    assert progress.memory_total_bytes >= progress.memory_remaining_bytes
    await broken_off(pair, spec.id)
    with pytest.raises(DriverError):
        await sending
    assert (await pair.one.inspect_domain(spec.id)).state == "running"
    assert await pair.two.inspect_domain(spec.id) is None
    await pair.two.remove_domain(spec.id)
    assert pair.has_files(pair.one, spec.id)
    await pair.one.moves.abort(spec.id)


async def test_a_sending_is_hurried(pair):
    spec = await running(pair, busy=True)
    landing = await prepare(pair, spec)
    sending = asyncio.create_task(pair.one.moves.send(spec.id, landing, copy_disks=not pair.shared))
    await eventually(lambda: pair.one.moves.find_progress(spec.id))
    await pair.one.moves.hurry(spec.id)
    async with asyncio.timeout(90):
        await sending
    assert (await pair.two.ensure_domain(spec)).state == "running"


async def test_a_sending_to_where_nobody_is_leaves_it_running(pair):
    spec = await running(pair)
    landing = await prepare(pair, spec)
    nowhere = msgspec.structs.replace(landing, uri=landing.uri.replace("two", "three"))
    with pytest.raises((DriverError, KeyError)):
        await pair.one.moves.send(spec.id, nowhere, copy_disks=not pair.shared)
    assert (await pair.one.inspect_domain(spec.id)).state == "running"


async def test_a_domain_that_is_off_is_made_from_its_files(pair):
    spec = await running(pair)
    await pair.one.ensure_power(spec.id, "shutoff", limit_s=0)
    if not pair.shared:
        await carry(pair, spec)
        await carry(pair, spec)  # what is there is not fetched again
    assert (await pair.two.ensure_domain(spec)).state == "running"
    assert await eventually(lambda: pair.two.console_log(spec.id))
    await pair.one.remove_domain(spec.id)
    assert pair.has_files(pair.two, spec.id)
    # And back: who makes it takes its files over, the other then leaves them alone.
    await pair.two.ensure_power(spec.id, "shutoff", limit_s=0)
    if pair.shared:
        await pair.one.ensure_domain(spec, "shutoff")
        await pair.two.remove_domain(spec.id)
        assert pair.has_files(pair.one, spec.id)


async def test_who_leaves_files_to_another_keeps_no_domain(pair):
    spec = await running(pair)
    await pair.one.moves.leave(spec.id, "two")
    await pair.one.moves.leave(spec.id, "two")
    assert await pair.one.inspect_domain(spec.id) is None
    assert await pair.one.moves.find_owner(spec.id) == "two"
    await pair.one.remove_domain(spec.id)
    assert pair.has_files(pair.one, spec.id)
    await pair.one.ensure_domain(spec)
    assert await pair.one.moves.find_owner(spec.id) == "one"


async def test_half_a_file_is_none(pair):
    domain_id = new_id()
    pair.domain_ids.append(domain_id)
    file = DomainFile("disk" if isinstance(pair, FakePair) else "base", 1000)
    with pytest.raises(DriverError, match="whole"):
        await pair.two.moves.ensure_file(domain_id, file, chunks(b"x" * 10))
    await pair.two.moves.ensure_file(domain_id, file, chunks(b"x" * 400, b"\0" * 600))
    assert await pair.two.moves.read_file(domain_id, file.name, 399, 3) == b"x\0\0"


async def test_only_a_servers_own_files_are_read(pair):
    if isinstance(pair, FakePair):
        pytest.skip("the fake has one file")
    spec = await running(pair)
    for name in ("../owner", "/etc/passwd", "owner", "console.log", "disk.qcow2/x"):
        with pytest.raises(DriverError, match="no file of a server"):
            await pair.one.moves.read_file(spec.id, name, 0, 10)
