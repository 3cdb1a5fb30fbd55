"""Objects of which every copy has lost a piece become whole again, as long as one copy has each of the pieces."""

import os
from unittest.mock import patch

import msgspec
import pytest
from structlog.testing import capture_logs

from aerostat.services.object.cluster.errors import NoQuorum
from aerostat.services.object.daemons.mending import FIRST_PAUSE_S, Copy
from aerostat.services.object.daemons.reconstructor import Reconstructor
from aerostat.services.object.daemons.replicator import Replicator
from aerostat.services.object.daemons.station import Station
from aerostat.services.object.node.server import NodeServer
from aerostat.services.object.stores.device import LocalDevice
from aerostat.services.object.stores.fragments import Fragments
from aerostat.services.object.stores.object_file import Damaged, Geometry, Revision
from aerostat.services.object.stores.objects import Superseded
from aerostat.services.object.stores.protocol import DeviceAway, Place
from aerostat.services.object.stores.sums import PIECE

from .daemons_kit import UNHURRIED, WEEK_S, world
from .faults import facts
from .faults import read as read_object
from .faults import write as write_object
from .nodes import SECRET, remote, serving
from .test_auditor import full
from .test_damaged_bytes import files, flip
from .test_objects_on_disk import device_at
from .test_reconstructor import POLICIES

SIZE = 3 * PIECE + 1234
HASH = "ab" * 16


def aside(root, kind):
    return [path for path in root.glob(f"*/{kind}/*/*") if path.is_file()]


async def put(made, data):
    await made.cluster.objects(0).put("a", "c", "o", data, facts(data, made.at()))
    return files(made.root)


async def counted(made, key="local/d0"):
    """What the replicator of a device did in a round."""
    replicator = Replicator(made.station)
    await replicator.pass_once()
    return (await replicator._walk.progress(key)).report.last


async def test_what_the_auditor_finds_in_all_copies_is_mended(tmp_path):
    data = os.urandom(SIZE)
    async with world(tmp_path, 3) as made:
        for number, path in enumerate(await put(made, data)):
            flip(path, number * PIECE + 9)
        await full(made)
        assert (len(files(tmp_path)), len(aside(tmp_path, "wounded"))) == (0, 3)
        assert await read_object(made.cluster.objects(0)) == data
        await made.converge()
        assert (len(files(tmp_path)), aside(tmp_path, "wounded"), aside(tmp_path, "quarantined")) == (
            3,
            [],
            [],
        )
        for device in made.local.values():
            found = await device.find(0, made.cluster.objects(0)._place("a", "c", "o"))
            assert b"".join([piece async for piece in found.stream(0, SIZE)]) == data
            await found.close()


async def test_a_whole_copy_takes_the_place_of_one_that_is_not(tmp_path):
    data = os.urandom(SIZE)
    async with world(tmp_path, 2) as made:
        flip((await put(made, data))[0], 5)
        await full(made)
        assert len(aside(tmp_path, "wounded")) == 1
        await made.converge()
        assert (len(files(tmp_path)), aside(tmp_path, "wounded")) == (2, [])


async def test_what_no_copy_has_is_given_up_when_all_were_heard(tmp_path):
    async with world(tmp_path, 2) as made:
        for path in await put(made, os.urandom(SIZE)):
            flip(path, PIECE + 5)
        await full(made)
        away = made.faulty["local/d1"]
        away.away = True
        with capture_logs() as lines:
            await counted(made)
            await counted(made)
        assert len(aside(tmp_path, "wounded")) == 2, "who is away may have it"
        assert [one["again_in_s"] for one in lines if one["event"] == "object cannot be mended yet"]
        made.mend()
        made.clock_s += FIRST_PAUSE_S
        assert (await counted(made))["quarantined"] == 1
        await made.converge()
        assert aside(tmp_path, "wounded") == []
        assert await made.cluster.objects(0).find("a", "c", "o") is None


async def test_a_copy_that_cannot_be_mended_now_is_not_read_again_in_each_round(tmp_path):
    async with world(tmp_path, 2) as made:
        for path in await put(made, os.urandom(SIZE)):
            flip(path, PIECE + 5)
        await full(made)
        made.faulty["local/d1"].away = True
        replicator = Replicator(made.station)
        with capture_logs() as lines:
            for step_s in (0, FIRST_PAUSE_S / 2, FIRST_PAUSE_S, FIRST_PAUSE_S, FIRST_PAUSE_S):
                made.clock_s += step_s
                await replicator.pass_once()
        again = [one["again_in_s"] for one in lines if one["event"] == "object cannot be mended yet"]
        assert again == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]


@pytest.mark.parametrize("is_remote", [False, True])
async def test_a_copy_gives_what_it_has_also_from_another_node(tmp_path, is_remote):
    """Damage is not taken for being away: only who was heard to have no such piece counts."""
    data, place = os.urandom(SIZE), Place(3, HASH)
    local = LocalDevice(tmp_path)
    await write_whole(local, place, data)
    flip(files(tmp_path)[0], PIECE + 5)
    async with serving(NodeServer({"d1": local}, SECRET)) as address:
        with remote(address) as elsewhere:
            station = Station(lambda: None, {}, UNHURRIED, reclaim_age_s=WEEK_S)
            device = elsewhere if is_remote else local
            copy = Copy(station, device, 0, place, facts(data, 5))
            spans = [(start, min(start + PIECE, SIZE)) for start in range(0, SIZE, PIECE)]
            for _ in range(2):
                read = [await copy.read(*span) for span in spans]
                assert read == [None if start == PIECE else data[start:end] for start, end in spans]
            assert not copy.was_away
            if is_remote:
                await copy.close()
                elsewhere.node.close()
                with patch.object(type(elsewhere), "find", side_effect=DeviceAway("away")):
                    assert await copy.read(*spans[0]) is None
                assert copy.was_away
            await copy.close()
    await local.close()


async def write_whole(device, place, data):
    writing = await device.begin(0, place, len(data))
    await writing.write(data)
    await writing.commit(facts(data, 5))
    await writing.close()


# Fragments


async def coded(made, data):
    """An object of four fragments, two of which make it; their files."""
    await write_object(made.cluster.objects(1), data, made.at())
    return files(made.root)


def flip_segment(path, number):
    """Of a fragment: the part that it has of a segment of the object."""
    flip(path, path.stat().st_size * number // 4 + 100)


async def test_fragments_that_are_all_damaged_make_one_object_between_them(tmp_path):
    data = os.urandom(4 << 20)
    async with world(tmp_path, 4, POLICIES) as made:
        for number, path in enumerate(await coded(made, data)):
            flip_segment(path, number)
        for _ in range(3):
            assert await read_object(made.cluster.objects(1)) == data
        await full(made)
        assert (len(files(tmp_path)), len(aside(tmp_path, "wounded"))) == (0, 4)
        assert await read_object(made.cluster.objects(1)) == data
        for _ in range(2):
            await Reconstructor(made.station).pass_once()
        assert (len(files(tmp_path)), aside(tmp_path, "wounded"), aside(tmp_path, "quarantined")) == (
            4,
            [],
            [],
        )
        assert {path.name.rpartition(".")[2] for path in files(tmp_path)} == {"durable"}
        for away in made.faulty.values():
            made.mend()
            away.away = True
            assert await read_object(made.cluster.objects(1)) == data
        made.mend()


async def test_fragments_of_which_too_little_is_left_wait(tmp_path):
    async with world(tmp_path, 4, POLICIES) as made:
        for path in (await coded(made, os.urandom(4 << 20)))[:3]:
            flip_segment(path, 1)
        with pytest.raises(NoQuorum):
            await read_object(made.cluster.objects(1))
        await full(made)
        reconstructor = Reconstructor(made.station)
        with capture_logs() as lines:
            for _ in range(3):
                await reconstructor.pass_once()
        assert len([one for one in lines if one["event"] == "object cannot be mended yet"]) == 3
        assert len(aside(tmp_path, "wounded")) == 3


def wounded_fragment(tmp_path, at=5, index=1):
    (tmp_path / "tmp").mkdir(parents=True, exist_ok=True)
    fragments = Fragments(tmp_path, 1)
    put_fragment(fragments, at, index, os.urandom(SIZE))
    fragments.make_durable(1, HASH, at)
    flip(files(tmp_path)[0], 5)
    with fragments.find(1, HASH) as found, pytest.raises(Damaged):
        found.read(0, 10)
    assert [(part, held.timestamp, held.fragment) for part, held in fragments.wounded()] == [(1, at, index)]
    return fragments


def put_fragment(fragments, at, index, data):
    geometry = Geometry(data=2, parity=2, segment_bytes=1 << 20, size=2 * SIZE, checksum="")
    writing = fragments.begin(1, HASH)
    writing.write(data)
    writing.commit(msgspec.structs.replace(facts(data, at), fragment=index, geometry=geometry))


def test_a_wounded_fragment_is_one_for_readers_only(tmp_path):
    fragments = wounded_fragment(tmp_path)
    for wanted in (None, (5, 1)):
        with fragments.find(1, HASH, wanted) as found:
            assert (found.is_durable, found.versions[0].fragment) == (True, 1)
            assert len(found.read(PIECE, PIECE + 10)) == 10
    assert fragments.held(1, HASH[-3:]) == []
    assert fragments.post(1, HASH, Revision(timestamp=6, headers={"x-object-meta-a": "b"})).timestamp == 6
    with pytest.raises(Superseded):
        put_fragment(fragments, 4, 1, b"older")


@pytest.mark.parametrize("how", ["rebuilt", "newer", "deleted", "forgotten by who died"])
def test_what_takes_the_place_of_a_wounded_fragment(tmp_path, how):
    fragments = wounded_fragment(tmp_path)
    (left,) = (tmp_path / "wounded").glob("*/*")
    copy = left.read_bytes()
    if how == "deleted":
        assert fragments.delete(1, HASH, "/a/c/o", 7).size == SIZE
    else:
        at = 6 if how == "newer" else 5
        put_fragment(fragments, at, 1, os.urandom(SIZE))
        assert fragments.make_durable(1, HASH, at)
    if how == "forgotten by who died":
        left.write_bytes(copy)
    assert fragments.wounded() == []
    assert not left.exists()
    with fragments.find(1, HASH) as found:
        assert found.facts.is_gone == (how == "deleted")


# On one device


def wounded(tmp_path, at=5):
    objects = device_at(tmp_path)
    data = os.urandom(SIZE)
    objects.put(1, HASH, data, facts(data, at))
    (path,) = files(tmp_path)
    flip(path, 5)
    with objects.find(1, HASH) as found, pytest.raises(Exception, match="not those that were written"):
        found.read(0, 10)
    assert objects.wounded() == [(1, HASH)]
    return objects, data


def test_it_is_there_for_readers_and_missed_by_copies(tmp_path):
    objects, data = wounded(tmp_path)
    with objects.find(1, HASH) as found:
        assert found.read(PIECE, PIECE + 10) == data[PIECE : PIECE + 10]
    assert objects.held(1, HASH[-3:]) == []
    assert objects.tree.digests(1, objects.held) == {}
    assert objects.wounded() == [(1, HASH)]


@pytest.mark.parametrize("at", [4, 5, 6])
def test_what_is_older_does_not_take_its_place(tmp_path, at):
    objects, _ = wounded(tmp_path)
    if at < 5:
        with pytest.raises(Superseded):
            objects.put(1, HASH, b"other", facts(b"other", at))
        assert objects.wounded() == [(1, HASH)]
    else:
        objects.put(1, HASH, b"other", facts(b"other", at))
        with objects.find(1, HASH) as found:
            assert found.data == b"other"
        assert objects.wounded() == []


def test_it_is_changed_and_deleted_as_any_other(tmp_path):
    objects, _ = wounded(tmp_path)
    assert objects.post(1, HASH, Revision(timestamp=6, headers={"x-object-meta-a": "b"})).timestamp == 6
    with objects.find(1, HASH) as found:
        assert found.facts.headers == {"x-object-meta-a": "b"}
    assert objects.delete(1, HASH, "/a/c/o", 7).size == SIZE
    with objects.find(1, HASH) as found:
        assert found.facts.is_gone
    assert objects.wounded() == []


def test_who_died_after_a_whole_one_had_its_name_is_tidied_up_after(tmp_path):
    objects, _ = wounded(tmp_path)
    (left,) = (tmp_path / "wounded").glob("*/*")
    (left.parent / "what an operator left").touch()
    copy = left.read_bytes()
    objects.put(1, HASH, b"newer", facts(b"newer", 6))
    left.write_bytes(copy)
    assert objects.wounded() == []
    assert not left.exists()


def test_one_that_cannot_be_read_at_all_is_put_aside(tmp_path):
    objects, _ = wounded(tmp_path)
    (left,) = (tmp_path / "wounded").glob("*/*")
    flip(left, -5)
    with pytest.raises(Exception, match=r"checksum|bytes|footer"):
        objects.find(1, HASH)
    assert (objects.find(1, HASH), objects.wounded()) == (None, [])
