"""Objects as fragments: any that suffice make the object, and a write counts when enough are there for good."""

import os
from itertools import chain

import pytest

from aerostat.services.object.cluster.cluster import Cluster
from aerostat.services.object.cluster.coding import SEGMENT_BYTES, Code, NotDecodable
from aerostat.services.object.cluster.errors import DeviceFull, NoQuorum
from aerostat.services.object.cluster.policies import Policies, Policy, PolicyError
from aerostat.services.object.ring import Hasher
from aerostat.services.object.stores.object_file import SMALL, Revision
from aerostat.services.object.stores.objects import Superseded

from .faults import SECRET, Devices, facts, leftovers, read, ring_of, write

FOUR_TWO = Policy(index=0, name="tin", kind="erasure", ec_data=4, ec_parity=2)
TWO_ONE = Policy(index=0, name="tin", kind="erasure", ec_data=2, ec_parity=1)
SIZES = [0, 1, 10, SMALL, SMALL + 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES - 7]


@pytest.fixture
async def eight(tmp_path):
    devices = Devices(tmp_path, 8, [FOUR_TWO])
    yield devices
    await devices.close()
    assert leftovers(tmp_path) == []


@pytest.fixture
def store(eight):
    return eight.cluster.objects(0)


async def put(store, data, at, name="o"):
    await store.put("a", "c", name, data, facts(data, at, name))


async def held(devices, name="o"):
    """By device, of those that hold it and those that stand in: what is there."""
    store = devices.cluster.objects(0)
    place = store.layout.place(devices.cluster.hasher.hash("a", "c", name))
    found = []
    for faulty in devices.of("a", "c", name):
        opened = await faulty.device.find_fragment(0, place)
        if opened is None:
            found.append([])
            continue
        found.append([(one.timestamp, one.fragment, one.is_durable) for one in opened.versions])
        await opened.close()
    return found


# The code


@pytest.mark.parametrize("shape", [(2, 1), (4, 2), (3, 5)])
@pytest.mark.parametrize("size", [1, 2, 1000, 100_001])
def test_any_pieces_that_suffice_make_the_segment(shape, size):
    code = Code(*shape)
    segment = os.urandom(size)
    pieces = code.encode(segment)
    assert {len(piece) for piece in pieces} == {code.piece_bytes(size)}
    for first in range(code.parity + 1):
        assert code.decode(pieces[first : first + code.data]) == segment
    with pytest.raises(NotDecodable):
        code.decode(pieces[: code.data - 1])


def test_a_damaged_piece_is_known():
    code = Code(2, 1)
    pieces = code.encode(os.urandom(1000))
    assert [code.damage(piece, index) for index, piece in enumerate(pieces)] == [None] * 3
    assert code.damage(pieces[0], 1) is not None
    for at in (20, 300):
        broken = bytearray(pieces[0])
        broken[at] ^= 1
        assert code.damage(bytes(broken), 0) is not None
    assert code.damage(pieces[0][:50], 0) is not None


# Reading and writing


@pytest.mark.parametrize("size", SIZES)
async def test_an_object_comes_back(eight, store, size):
    data = os.urandom(size)
    await write(store, data, 5)
    await put(store, data[:SMALL], 5, "small")
    found = await store.find("a", "c", "o")
    assert (found.facts, found.written) == (facts(data, 5), facts(data, 5))
    await found.close()
    assert await read(store) == data
    assert await read(store, "small") == data[:SMALL]
    for start, end in ((0, size // 2), (size // 3, size), (size // 2, size // 2 + 1)):
        assert await read(store, start=start, end=min(end, size)) == data[start : min(end, size)]
    assert await held(eight) == [[(5, index, True)] for index in range(6)] + [[], []]


async def test_a_range_reads_no_more_than_its_segments(eight, store):
    await write(store, os.urandom(8 * SEGMENT_BYTES), 5)
    found = await store.find("a", "c", "o")
    pieces = [piece async for piece in found.stream(SEGMENT_BYTES - 1, SEGMENT_BYTES + 1)]
    await found.close()
    assert [len(piece) for piece in pieces] == [1, 1]


@pytest.mark.parametrize("size", SIZES)
async def test_missing_fragments_are_made_up_for(eight, store, size):
    data = os.urandom(size)
    await write(store, data, 5)
    for faulty in eight.of("a", "c", "o")[:2]:
        faulty.away = True
    assert await read(store) == data
    eight.of("a", "c", "o")[2].away = True
    with pytest.raises(NoQuorum):
        await read(store)


async def test_a_handoff_takes_the_fragment_of_who_is_away(eight, store):
    data = os.urandom(2_000_000)
    holders = eight.of("a", "c", "o")
    holders[1].away = holders[3].away = True
    await write(store, data, 5)
    eight.mend()
    assert sorted(chain(*await held(eight))) == [(5, index, True) for index in range(6)]
    holders[0].away = holders[2].away = True
    assert await read(store) == data


async def test_without_enough_fragments_nothing_is_acknowledged(eight, store):
    await put(store, b"old" * 1000, 4)
    for faulty in eight.of("a", "c", "o")[:4]:
        faulty.full = True
    with pytest.raises(DeviceFull):
        await put(store, b"new" * 1000, 5)
    eight.mend()
    assert await read(store, newest=True) == b"old" * 1000


async def test_what_is_not_durable_does_not_count(eight, store):
    """As when the writer dies between both steps."""
    await put(store, b"old" * 1000, 4)
    writing = await store.begin("a", "c", "o", 3000)
    await writing.write(b"new" * 1000)
    for faulty in eight.faulty.values():
        faulty.forbidden = {"make_durable"}
    with pytest.raises(NoQuorum):
        await writing.commit(facts(b"new" * 1000, 5))
    await writing.close()
    assert await read(store) == await read(store, newest=True) == b"old" * 1000
    eight.mend()
    place = store.layout.place(eight.cluster.hasher.hash("a", "c", "o"))
    assert await eight.of("a", "c", "o")[5].device.make_durable(0, place, 5) is True
    assert await read(store, newest=True) == b"new" * 1000, "one that knows is enough"


async def test_devices_that_die_in_the_middle_of_a_write_are_dropped(eight, store):
    data = os.urandom(5_000_000)
    holders = eight.of("a", "c", "o")
    holders[0].dies_after = 300_000
    await write(store, data, 5)
    assert await read(store) == data
    holders[1].dies_after = 300_000
    with pytest.raises(NoQuorum):
        await write(store, os.urandom(5_000_000), 6)
    eight.mend()
    assert await read(store, newest=True) == data


async def test_a_read_goes_on_with_other_fragments(eight, store):
    data = os.urandom(5_000_000)
    await write(store, data, 5)
    for faulty in eight.of("a", "c", "o")[:2]:
        faulty.dies_after = 400_000
    assert await read(store) == data
    assert await read(store, start=1, end=4_500_000) == data[1:4_500_000]


async def test_a_fragment_that_hangs_is_replaced(eight, store):
    data = os.urandom(5_000_000)
    await write(store, data, 5)
    found = await store.find("a", "c", "o")
    received = b""
    async for piece in found.stream(0, len(data)):
        eight.of("a", "c", "o")[0].hang()
        received += piece
    assert received == data
    await found.close()


@pytest.mark.parametrize("size", [1000, 3_000_000])
async def test_rotten_bits_are_not_served_and_put_aside(eight, store, tmp_path, size):
    data = os.urandom(size)
    await write(store, data, 5)
    found = sorted(tmp_path.glob("d*/fragments/*/*/*.durable"))
    index = {path.name.split(".")[2]: path for path in found}
    for number in ("0", "2"):
        content = bytearray(index[number].read_bytes())
        content[100] ^= 1
        index[number].write_bytes(content)
    assert await read(store) == data
    await eight.cluster.calls.close()
    assert not index["0"].exists()
    assert not index["2"].exists()
    assert await read(store) == data


async def test_small_objects_are_in_memory_and_leave_nothing_open(eight, store):
    await put(store, b"x" * 1000, 5)
    found = await store.find("a", "c", "o")
    assert found.data == b"x" * 1000
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        again = await store.find("a", "c", "o")
        await again.close()
    await found.close()
    assert len(os.listdir("/proc/self/fd")) <= before


# Newest, deletions, metadata


async def test_the_newer_stays(eight, store):
    await put(store, b"new", 6)
    with pytest.raises(Superseded) as refused:
        await put(store, b"old", 5)
    assert refused.value.timestamp == 6
    with pytest.raises(Superseded):
        await store.delete("a", "c", "o", 5)
    assert await read(store) == b"new"
    await put(store, b"newest", 7)
    assert await read(store) == b"newest"
    assert await held(eight) == [[(7, index, True)] for index in range(6)] + [[], []]


async def test_deletions_are_newer_wherever_they_are(eight, store):
    await put(store, b"x", 5)
    holders = eight.of("a", "c", "o")
    holders[0].away = holders[1].away = True
    assert (await store.delete("a", "c", "o", 6)).size == 1
    eight.mend()
    assert await read(store, newest=True) is None
    assert await read(store) is None
    assert await store.delete("a", "c", "o", 7) is None
    assert await store.find("a", "c", "nothing") is None


async def test_metadata_is_changed_on_all(eight, store):
    await put(store, b"x" * 100, 5)
    said = Revision(timestamp=6, headers={"x-object-meta-a": "1"})
    eight.of("a", "c", "o")[0].away = True
    changed = await store.post("a", "c", "o", said)
    assert (changed.size, changed.fragment, changed.headers) == (100, None, {"x-object-meta-a": "1"})
    eight.mend()
    found = await store.find("a", "c", "o", newest=True)
    assert (found.facts.headers, found.facts.size) == ({"x-object-meta-a": "1"}, 100)
    assert (found.revision, found.written.timestamp) == (said, 5)
    await found.close()
    assert await store.post("a", "c", "q", said) is None


async def test_missing_is_only_said_when_it_is_sure(eight, store):
    assert await read(store) is None
    for faulty in eight.of("a", "c", "o")[:4]:
        faulty.away = True
    assert await read(store) is None
    eight.of("a", "c", "o")[4].away = True
    with pytest.raises(NoQuorum):
        await read(store)


async def test_fewer_devices_than_fragments_hold_more_than_one_each(tmp_path):
    devices = Devices(tmp_path, 3, [FOUR_TWO])
    store = devices.cluster.objects(0)
    data = os.urandom(3_000_000)
    await write(store, data, 5)
    await put(store, b"x", 5, "p")
    assert sorted(chain(*await held(devices))) == [(5, index, True) for index in range(6)]
    assert await read(store) == data
    devices.of("a", "c", "o")[0].away = True
    assert await read(store) == data
    assert await read(store, "p") == b"x"
    await devices.close()


def test_a_ring_must_have_a_place_for_each_fragment(tmp_path):
    ring = ring_of(4, 2)
    with pytest.raises(PolicyError):
        Cluster(Hasher(SECRET), ring, ring, Policies([TWO_ONE]), {0: ring}, {})


async def test_fragments_of_two_writers_with_one_time_are_never_mixed(eight, store):
    one, other = os.urandom(2_000_000), os.urandom(2_000_000)
    holders = eight.of("a", "c", "o")
    await write(store, one, 5)
    place = store.layout.place(eight.cluster.hasher.hash("a", "c", "o"))
    for number in (0, 1):
        assert await holders[number].device.quarantine("fragments", place, "test", (5, number))
    await write(store, other, 5)
    for _ in range(2):
        assert await read(store, newest=True) == one, "of the other only two are there"
    for number in (2, 3):
        assert await holders[number].device.quarantine("fragments", place, "test", (5, number))
    with pytest.raises(NoQuorum):
        await read(store, newest=True)
