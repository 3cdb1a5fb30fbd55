"""Objects on several devices: a quorum acknowledges, handoffs stand in, and the newest is found."""

import asyncio
import os
import time

import pytest

from aerostat.services.object.cluster.errors import DeviceFull, NoQuorum
from aerostat.services.object.cluster.policies import Policy
from aerostat.services.object.cluster.writing import LANE_BYTES
from aerostat.services.object.stores.object_file import Revision
from aerostat.services.object.stores.objects import Superseded

from .faults import Devices, facts, leftovers, read, write


@pytest.fixture
async def four(tmp_path):
    devices = Devices(tmp_path, 4)
    yield devices
    await devices.close()
    assert leftovers(tmp_path) == []


@pytest.fixture
def store(four):
    return four.cluster.objects(0)


@pytest.fixture
async def one(tmp_path):
    devices = Devices(tmp_path, 1)
    yield devices
    await devices.close()


async def copies(devices, name="o"):
    """What each device has, by itself, of those that hold it and those that stand in."""
    store = devices.cluster.objects(0)
    place = store.layout.place(devices.cluster.hasher.hash("a", "c", name))
    found = []
    for faulty in devices.of("a", "c", name):
        opened = await faulty.device.find(0, place)
        found.append(None if opened is None else opened.facts.timestamp)
        if opened is not None:
            await opened.close()
    return found


async def put(store, data, at, name="o"):
    await store.put("a", "c", name, data, facts(data, at, name))


@pytest.mark.parametrize("size", [0, 10, 3_000_000])
async def test_an_object_is_on_all_its_devices(four, store, size):
    data = os.urandom(size)
    await write(store, data, 5)
    assert await copies(four) == [5, 5, 5, None]
    assert await read(store) == data
    assert await read(store, start=size // 3, end=size // 2) == data[size // 3 : size // 2]


async def test_with_one_device_it_goes_straight_to_it(one):
    store = one.cluster.objects(0)
    await put(store, b"x", 5)
    await write(store, b"y" * 1_000_000, 6, "p")
    assert await read(store) == b"x"
    assert await read(store, "p") == b"y" * 1_000_000
    assert await read(store, "q") is None
    assert (await store.delete("a", "c", "o", 7)).size == 1
    assert (await store.delete("a", "c", "q", 7)) is None
    one.of("a", "c", "o")[0].full = True
    with pytest.raises(DeviceFull):
        await put(store, b"x", 8)
    one.mend()
    one.of("a", "c", "o")[0].away = True
    with pytest.raises(NoQuorum):
        await put(store, b"x", 9)
    with pytest.raises(NoQuorum):
        await read(store)


@pytest.mark.parametrize("fault", ["away", "full"])
async def test_a_handoff_takes_what_a_holder_cannot(four, store, fault):
    setattr(four.of("a", "c", "o")[0], fault, True)
    await put(store, b"small", 5)
    await write(store, b"large" * 300_000, 6, "o")
    four.mend()
    assert await copies(four) == [None, 6, 6, 6]


async def test_without_a_quorum_nothing_is_acknowledged(four, store):
    for faulty in four.of("a", "c", "o")[1:]:
        faulty.away = True
    with pytest.raises(NoQuorum):
        await put(store, b"x", 5)
    with pytest.raises(NoQuorum):
        await write(store, b"x", 6)
    with pytest.raises(NoQuorum):
        await store.delete("a", "c", "o", 7)
    four.mend()
    for faulty in four.of("a", "c", "o")[1:]:
        faulty.full = True
    with pytest.raises(DeviceFull):
        await put(store, b"x", 8)


async def test_what_is_only_on_handoffs_is_found(four, store):
    holders = four.of("a", "c", "o")
    holders[0].away = holders[1].away = True
    await put(store, b"x", 5)
    four.mend()
    holders[2].away = True
    assert await read(store) == b"x"


async def test_nothing_is_told_missing_unless_enough_devices_say_so(four, store):
    holders = four.of("a", "c", "o")
    assert await read(store) is None
    holders[0].away = True
    assert await read(store) is None
    holders[1].away = True
    with pytest.raises(NoQuorum):
        await read(store)
    with pytest.raises(NoQuorum):
        await store.post("a", "c", "o", Revision(timestamp=5))


async def test_a_newer_tombstone_hides_an_older_object(four, store):
    holders = four.of("a", "c", "o")
    await put(store, b"x", 5)
    holders[0].away = True
    assert (await store.delete("a", "c", "o", 6)).size == 1
    four.mend()
    assert await copies(four) == [5, 6, 6, 6]
    assert await read(store, newest=True) is None
    found = await store.find("a", "c", "o", newest=True)
    assert (found.facts.is_gone, found.facts.timestamp) == (True, 6)
    await found.close()


async def test_the_newest_is_found_when_it_is_asked_for(four, store):
    holders = four.of("a", "c", "o")
    for number in range(3):
        await put(store, b"old", 10 * number + 1)
        holders[number].away = True
        await put(store, b"new", 10 * number + 2)
        four.mend()
        assert await read(store, newest=True) == b"new"


async def test_a_handoff_that_hangs_does_not_hold_up_who_asks_for_the_newest(four, store):
    await put(store, b"x", 5)
    four.of("a", "c", "o")[3].hang()
    began_s = time.monotonic()
    assert await read(store, newest=True) == b"x"
    assert time.monotonic() - began_s < 0.7, "as long as a device that does not answer is waited for"


async def test_the_newer_stays_and_who_comes_late_is_told(four, store):
    await put(store, b"new", 6)
    with pytest.raises(Superseded) as refused:
        await put(store, b"old", 5)
    assert refused.value.timestamp == 6
    with pytest.raises(Superseded):
        await write(store, b"old", 5)
    with pytest.raises(Superseded):
        await store.delete("a", "c", "o", 5)
    with pytest.raises(Superseded):
        await store.post("a", "c", "o", Revision(timestamp=5))
    assert await read(store) == b"new"


async def test_metadata_is_changed_on_all(four, store):
    await put(store, b"x", 5)
    said = Revision(timestamp=6, headers={"x-object-meta-a": "1"})
    assert (await store.post("a", "c", "o", said)).headers == {"x-object-meta-a": "1"}
    assert await copies(four) == [6, 6, 6, None]
    assert await store.post("a", "c", "q", said) is None


async def test_a_device_that_dies_in_the_middle_of_a_write_is_dropped(four, store):
    data = os.urandom(2_000_000)
    four.of("a", "c", "o")[0].dies_after = 500_000
    await write(store, data, 5)
    assert await copies(four) == [None, 5, 5, None]
    assert await read(store) == data


async def test_when_too_many_die_in_the_middle_the_write_fails(four, store):
    for faulty in four.of("a", "c", "o")[:2]:
        faulty.dies_after = 500_000
    with pytest.raises(NoQuorum):
        await write(store, os.urandom(5_000_000), 5)
    four.mend()
    assert await read(store) is None


async def test_a_device_that_hangs_in_the_middle_of_a_write_is_dropped(four, store):
    data = os.urandom(8_000_000)
    hanging = four.of("a", "c", "o")[1]
    writing = await store.begin("a", "c", "o", None)
    hanging.hang()
    for start in range(0, len(data), 100_000):
        await writing.write(data[start : start + 100_000])
    await writing.commit(facts(data, 5))
    await writing.close()
    assert await read(store) == data
    four.mend()
    await four.cluster.calls.close()
    assert await copies(four) == [5, None, 5, None]


async def test_a_slow_device_does_not_hold_up_the_others(four, store):
    slow = four.of("a", "c", "o")[2]
    slow.hang()
    began = asyncio.get_running_loop().time()
    for at in range(1, 20):
        await put(store, b"x", at)
    assert asyncio.get_running_loop().time() - began < 1.5, "waited for once, and not again"
    assert await read(store) == b"x"


async def test_a_device_that_owes_too_many_answers_is_passed_over(four, store):
    slow = four.of("a", "c", "o")[2]
    slow.hang()
    for at in range(1, 100):
        await put(store, b"x", at)
    assert slow.calls.count("put") < 80, "what it holds up takes memory"


async def test_a_read_goes_on_where_another_broke_off(four, store):
    data = os.urandom(3_000_000)
    await write(store, data, 5)
    for faulty in four.of("a", "c", "o")[:2]:
        faulty.dies_after = 700_000
    assert await read(store) == data
    assert await read(store, start=10, end=2_000_000) == data[10:2_000_000]


async def test_a_read_that_hangs_goes_on_elsewhere(four, store):
    data = os.urandom(3_000_000)
    await write(store, data, 5)
    found = await store.find("a", "c", "o")
    received = b""
    async for piece in found.stream(0, len(data)):
        if not received:
            first = next(one for one in four.faulty.values() if one.calls[-1:] == ["find"])
            first.hang()
        received += piece
    assert received == data
    await found.close()


async def test_a_read_does_not_go_on_with_another_object(four, store):
    await write(store, os.urandom(3_000_000), 5)
    found = await store.find("a", "c", "o")
    await write(store, os.urandom(3_000_000), 6)
    for faulty in four.faulty.values():
        faulty.dies_after = 700_000
    with pytest.raises(Exception, match="died"):
        [piece async for piece in found.stream(0, 3_000_000)]
    await found.close()


async def test_damaged_copies_are_passed_by(four, store):
    await put(store, b"x", 5)
    for faulty in four.of("a", "c", "o")[:2]:
        faulty.damaged = True
    assert await read(store) == b"x"
    four.of("a", "c", "o")[2].damaged = True
    with pytest.raises(NoQuorum):
        await read(store)


async def test_a_hanging_device_is_not_waited_for_when_reading(four, store):
    await put(store, b"x", 5)
    for faulty in four.of("a", "c", "o")[:2]:
        faulty.hang()
    assert await read(store) == b"x"
    assert await read(store, newest=True) == b"x"


async def test_each_policy_has_its_own_devices(tmp_path):
    policies = [
        Policy(index=0, name="gold", replicas=3, is_default=True),
        Policy(index=1, name="tin", replicas=1),
    ]
    devices = Devices(tmp_path, 4, policies)
    await put(devices.cluster.objects(1), b"x", 5)
    assert await read(devices.cluster.objects(0)) is None
    assert await read(devices.cluster.objects(1)) == b"x"
    await devices.close()


@pytest.mark.parametrize("length", [0, 20, 4000])
async def test_a_torn_file_is_passed_by_and_put_aside(four, store, tmp_path, length):
    data = os.urandom(5000)
    await put(store, data, 5)
    files = [path for path in tmp_path.glob("d*/objects/*/*/*") if path.is_file()]
    assert len(files) == 3
    for path in files[:2]:
        os.truncate(path, length)
    assert await read(store, newest=True) == data
    await four.cluster.calls.close()
    assert [path.exists() for path in files] == [False, False, True]
    assert len([path for path in tmp_path.glob("d*/quarantined/**/*") if path.is_file()]) >= 2


async def test_memory_does_not_grow_with_what_a_slow_device_is_behind(four, store):
    """The writer waits for it, as long as it gets on."""
    slow = four.of("a", "c", "o")[0]
    slow.delay_s = 0.05
    writing = await store.begin("a", "c", "o", None)
    data = os.urandom(500_000)
    for _ in range(20):
        await writing.write(data)
        assert max(lane._behind for lane in writing._lanes._lanes) <= LANE_BYTES + 500_000
    await writing.commit(facts(data * 20, 5))
    await writing.close()
    assert await copies(four) == [5, 5, 5, None]
