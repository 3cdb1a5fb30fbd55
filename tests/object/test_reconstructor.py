"""Fragments: what is missed is rebuilt, what is misplaced is moved, and what counts is everywhere in the end."""

import asyncio
import os
import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from aerostat.services.object.cluster.errors import NoQuorum
from aerostat.services.object.cluster.policies import Policy
from aerostat.services.object.daemons.auditor import Auditor
from aerostat.services.object.daemons.fragments_plan import (
    Bury,
    Forget,
    MakeDurable,
    Move,
    Rebuild,
    Situation,
    plan_fragments,
)
from aerostat.services.object.daemons.reconstructor import Reconstructor
from aerostat.services.object.stores.held import Held
from aerostat.services.object.stores.object_file import Revision
from aerostat.services.object.stores.objects import Superseded

from .daemons_kit import WEEK_S, world
from .faults import read, write

POLICIES = [
    Policy(index=0, name="gold", replicas=3, is_default=True),
    Policy(index=1, name="ec", kind="erasure", ec_data=2, ec_parity=2),
]


# What is to be done


def fragment(at, index, **more):
    return Held(hashed="h", timestamp=at, fragment=index, **more)


def gone(at):
    return Held(hashed="h", timestamp=at, is_gone=True)


def plan(me, *held, slots="abcd", away="", settled=1000, reclaim=0):
    here = {key: list(found) for key, found in zip("abcdx", [*held, [], [], [], [], []], strict=False)}
    here = {key: found for key, found in here.items() if key not in away and (key != "x" or me == "x")}
    return plan_fragments(
        Situation(me=me, slots=slots, here=here, quorum=3, settled=settled, reclaim=reclaim)
    )


def test_nothing_is_done_where_all_is_well():
    whole = [[fragment(5, index)] for index in range(4)]
    assert all(plan(me, *whole) == [] for me in "abcd")


def test_one_rebuilds_what_is_missing():
    held = [[fragment(5, 0)], [fragment(5, 1)], [], [fragment(5, 3)]]
    assert plan("b", *held) == [Rebuild("c", 5, 2)]
    assert plan("a", *held) == plan("d", *held) == plan("c", *held) == []
    assert plan("a", *held, away="b") == [Rebuild("c", 5, 2)]
    assert plan("b", *held, away="c") == []


def test_what_is_misplaced_is_moved_and_not_rebuilt():
    held = [[fragment(5, 0)], [fragment(5, 1)], [], [fragment(5, 3)], [fragment(5, 2)]]
    assert plan("x", *held) == [Move("c", fragment(5, 2))]
    held[2] = [fragment(5, 2)]
    assert plan("x", *held) == [Forget(fragment(5, 2))]


def test_a_write_that_may_have_been_acknowledged_counts():
    weak = [[fragment(5, index, is_durable=False)] for index in range(3)]
    assert plan("a", *weak, settled=5) == [], "it may be being written"
    assert plan("a", *weak) == [MakeDurable("a", 5)]
    assert plan("c", *weak) == [MakeDurable("c", 5), Rebuild("d", 5, 3)]


def test_a_write_that_cannot_have_been_acknowledged_goes_after_a_while():
    weak = [[fragment(5, 0, is_durable=False)], [fragment(5, 1, is_durable=False)]]
    assert plan("a", *weak) == []
    assert plan("a", *weak, reclaim=6) == [Forget(weak[0][0])]
    assert plan("a", *weak, reclaim=6, away="c") == []


def test_a_deletion_is_told_and_forgotten():
    held = [[gone(9)], [fragment(5, 1)], []]
    assert plan("a", *held) == [Bury("b", 9), Bury("c", 9), Bury("d", 9)]
    assert plan("a", *held, reclaim=10) == [Bury("b", 9)]
    assert plan("a", [gone(9)], reclaim=10) == [Forget(gone(9))]
    assert plan("a", [gone(9)], reclaim=10, away="d") == []
    assert plan("b", *held)[0] == Bury("b", 9)


# Whole passes


def place_of(made, name="o"):
    return made.cluster.objects(1).layout.place(made.cluster.hasher.hash("a", "c", name))


async def indexes(made, name="o"):
    """By device in the order of slots, then handoffs: durable fragments of the newest version."""
    found = []
    for faulty in made.of("a", "c", name, policy=1):
        place = place_of(made, name)
        held = await faulty.device.held("fragments-1", place.part, place.hashed[-1])
        found.append([(one.fragment, one.is_durable) for one in held if one.hashed == place.hashed])
    return found


WHOLE = [[(index, True)] for index in range(4)] + [[]]


async def converge(made, most=10):
    reconstructor = Reconstructor(made.station)
    before = None
    for _ in range(most):
        await reconstructor.pass_once()
        after = [
            (key, part, held)
            for key, device in made.local.items()
            for part in await device.partitions("fragments-1")
            for held in await device.held("fragments-1", part)
        ]
        if after == before:
            return
        before = after
    raise AssertionError("not alike")


async def test_a_lost_device_is_filled_again(tmp_path):
    async with world(tmp_path, 5, POLICIES) as made:
        store = made.cluster.objects(1)
        data = {"o": os.urandom(2_500_000), "small": b"small", "none": b""}
        for name, content in data.items():
            await write(store, content, made.at(), name)
            await store.post(
                "a", "c", name, Revision(timestamp=made.at() + 5, headers={"x-object-meta-k": "v"})
            )
        for name, content in data.items():
            for lost in range(4):
                place = place_of(made, name)
                device = made.of("a", "c", name, policy=1)[lost].device
                for path in device.root.glob(f"fragments-1/{place.part}/*/{place.hashed}*"):
                    path.unlink()
                await converge(made)
                assert await indexes(made, name) == WHOLE
            others = made.of("a", "c", name, policy=1)
            others[0].away = others[1].away = True
            assert await read(store, name) == content
            found = await store.find("a", "c", name)
            assert found.facts.headers == {"x-object-meta-k": "v"}
            await found.close()
            made.mend()


async def test_a_device_that_is_full_keeps_nobody_from_mending_another(tmp_path):
    async with world(tmp_path, 4, POLICIES) as made:
        store, data = made.cluster.objects(1), os.urandom(300_000)
        holders = made.of("a", "c", "o", policy=1)
        for full in range(4):
            holders[full].full = True
            await write(store, data, made.at() + full)
            for lost in (number for number in range(4) if number != full):
                place = place_of(made)
                for path in holders[lost].device.root.glob(f"fragments-1/{place.part}/*/{place.hashed}*"):
                    path.unlink()
                await converge(made)
                found = await indexes(made)
                assert found[lost] == [(lost, True)], f"{lost} is not mended while {full} is full"
            made.mend()
            await converge(made)


async def test_fragments_of_a_handoff_go_home(tmp_path):
    async with world(tmp_path, 5, POLICIES) as made:
        store, data = made.cluster.objects(1), os.urandom(1_500_000)
        away = made.of("a", "c", "o", policy=1)[2]
        away.away = True
        await write(store, data, made.at())
        assert (await indexes(made))[4] == [(2, True)]
        away.away = False
        await converge(made)
        assert await indexes(made) == WHOLE
        assert await read(store) == data


async def test_damaged_fragments_are_found_and_rebuilt(tmp_path):
    async with world(tmp_path, 5, POLICIES) as made:
        store, data = made.cluster.objects(1), os.urandom(1_500_000)
        await write(store, data, made.at())
        paths = sorted(path for path in tmp_path.glob("*/fragments-1/*/*/*") if path.is_file())
        rotten, torn = paths[0], paths[1]
        content = bytearray(rotten.read_bytes())
        content[1000] ^= 1
        rotten.write_bytes(content)
        torn.write_bytes(torn.read_bytes()[:-9])
        auditor = Auditor(made.station)
        await auditor.pass_once()
        made.clock_s += WEEK_S + 1
        await auditor.pass_once()
        made.clock_s -= WEEK_S + 1
        assert len(list(tmp_path.glob("*/quarantined/fragments-1/*"))) == 1
        assert len(list(tmp_path.glob("*/wounded/fragments-1/*"))) == 1
        await converge(made)
        assert await indexes(made) == WHOLE
        assert await read(store) == data


async def test_a_write_that_was_broken_off_is_finished_or_ends(tmp_path):
    async with world(tmp_path, 5, POLICIES) as made:
        store, data, at = made.cluster.objects(1), os.urandom(300_000), made.at(600)
        await write(store, data, at)
        devices = [faulty.device for faulty in made.of("a", "c", "o", policy=1)]
        for path in tmp_path.glob("*/fragments-1/*/*/*.durable"):
            path.rename(path.with_name(path.name.removesuffix(".durable")))
        made.clock_s += WEEK_S / 2
        thorough = Reconstructor(made.station)
        await thorough.pass_once()
        made.clock_s += 2 * 86_400
        await thorough.pass_once()
        await converge(made)
        assert await indexes(made) == WHOLE
        for path in tmp_path.glob("*/fragments-1/*/*/*.durable"):
            path.rename(path.with_name(path.name.removesuffix(".durable")))
        place = place_of(made)
        for device in devices[2:4]:
            for path in device.root.glob(f"fragments-1/*/*/{place.hashed}*"):
                path.unlink()
        made.clock_s += 2 * WEEK_S
        await thorough.pass_once()
        made.clock_s += 2 * WEEK_S
        await thorough.pass_once()
        assert await indexes(made) == [[]] * 5


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from(("put", "put", "delete", "post"))), max_size=8),
    st.integers(0, 2**32),
)
def test_fragments_converge(ops, seed):
    asyncio.run(fragments_converge(ops, random.Random(seed)))


async def fragments_converge(ops, rng):
    with tempfile.TemporaryDirectory() as folder:
        async with world(Path(folder), 5, POLICIES) as made:
            store, start = made.cluster.objects(1), made.at(1000)
            expected = {}
            for number, (name, verb) in enumerate(ops):
                made.mend()
                for faulty in rng.sample(list(made.faulty.values()), rng.randint(0, 1)):
                    faulty.away = True
                at, data = start + number, f"{name}{number}".encode() * rng.choice((1, 30_000))
                try:
                    if verb == "put":
                        await write(store, data, at, name)
                        expected[name] = data, ""
                    elif verb == "delete":
                        await store.delete("a", "c", name, at)
                        expected.pop(name, None)
                    else:
                        word = Revision(timestamp=at, headers={"x-object-meta-k": str(at)})
                        if await store.post("a", "c", name, word) is not None and name in expected:
                            expected[name] = expected[name][0], str(at)
                except (NoQuorum, Superseded):
                    return  # what became of it is not known
            made.mend()
            await converge(made)
            for name in "xy":
                if name in expected:
                    assert await indexes(made, name) == WHOLE
                    found = await store.find("a", "c", name, newest=True)
                    assert found.facts.headers.get("x-object-meta-k", "") == expected[name][1]
                    await found.close()
                    for pair in ((0, 1), (2, 3)):
                        for number in pair:
                            made.of("a", "c", name, policy=1)[number].away = True
                        assert await read(store, name) == expected[name][0]
                        made.mend()
                else:
                    assert await read(store, name) is None
                    assert (await indexes(made, name))[4] == []
