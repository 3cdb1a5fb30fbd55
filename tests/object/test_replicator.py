"""Copies become alike: whatever was written to whom, the newest is everywhere in the end, and deleted stays deleted."""

import asyncio
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerostat.services.object.cluster.layout import Layout
from aerostat.services.object.daemons.differences import (
    Push,
    differing,
    forgettable,
    plan_database,
    plan_objects,
)
from aerostat.services.object.daemons.replicator import Replicator
from aerostat.services.object.ring import Builder
from aerostat.services.object.stores.entries import ContainerEntry, Entry
from aerostat.services.object.stores.held import DatabaseState, Held
from aerostat.services.object.stores.listing import Asked
from aerostat.services.object.stores.object_file import Revision
from aerostat.services.object.stores.objects import Superseded

from .daemons_kit import WEEK_S, some, world
from .faults import facts

DAY_S = 86_400.0


# What differs, and what to do


def held(hashed, at, **more):
    return Held(hashed=hashed, timestamp=at, **more)


def test_only_suffixes_that_differ_are_looked_at():
    assert differing({"aa": "1", "bb": "2", "cc": "3"}, {"aa": "1", "bb": "9", "dd": "4"}) == ["bb", "cc"]


def test_what_the_other_misses_or_has_older_is_sent():
    mine = [held("new", 5), held("newer", 5), held("same", 5), held("older", 5)]
    theirs = [held("newer", 4), held("same", 5), held("older", 6)]
    assert [(push.held.hashed, push.is_whole) for push in plan_objects(mine, theirs, 0)] == [
        ("new", True),
        ("newer", True),
    ]


def test_what_a_post_said_is_sent_to_who_has_a_later_object_too_if_it_is_later_still():
    mine = [held("a", 5, revision_at=9), held("b", 5, revision_at=6), held("gone", 5, revision_at=9)]
    theirs = [held("a", 8), held("b", 8), held("gone", 8, is_gone=True)]
    assert plan_objects(mine, theirs, 0) == [Push(mine[0], False)]


def test_of_the_same_object_only_a_later_word_is_sent():
    mine = [held("a", 5, revision_at=9), held("b", 5, revision_at=7, type_at=7), held("c", 5, revision_at=6)]
    theirs = [held("a", 5), held("b", 5, revision_at=8), held("c", 5, revision_at=8)]
    assert [(push.held.hashed, push.is_whole) for push in plan_objects(mine, theirs, 0)] == [
        ("a", False),
        ("b", False),
    ]


def test_an_old_deletion_is_told_only_to_who_has_what_was_deleted():
    old, young = held("old", 5, is_gone=True), held("young", 50, is_gone=True)
    assert [push.held.hashed for push in plan_objects([old, young], [], 10)] == ["young"]
    assert [push.held.hashed for push in plan_objects([old], [held("old", 4)], 10)] == ["old"]


def test_a_deletion_is_kept_as_long_as_anybody_has_the_object():
    old = held("x", 5, is_gone=True)
    assert forgettable([old, held("y", 5)], [[], []], 10) == [old]
    assert forgettable([old], [[], [held("x", 4)]], 10) == []
    assert forgettable([old], [[], [held("x", 5, is_gone=True)]], 10) == [old]
    assert forgettable([old], [], 5) == []


def state(file_id, **more):
    made = {"hashed": "h", "path": "/a/c", "created_at": 1, "put_at": 1, "changed_at": 1, **more}
    return DatabaseState(file_id=file_id, **made)


def test_a_database_is_told_of_from_where_it_was_told_last():
    mine = state("m", rows=3, checksum=7, change=30)
    assert plan_database(mine, None, 0) == 0
    assert plan_database(mine, state("t", rows=3, checksum=7), 0) is None
    assert plan_database(mine, state("t", rows=1, checksum=6, heard={"m": 20}), 0) == 20


def test_a_database_that_lost_what_it_had_heard_is_told_all_again():
    mine = state("m", rows=3, checksum=7, change=30, heard={"t": 12})
    assert plan_database(mine, state("t", rows=1, checksum=6, change=12, heard={"m": 30}), 0) == 0


def test_a_database_deleted_long_ago_is_not_made_anew():
    assert plan_database(state("m", deleted_at=5), None, 10) is None
    assert plan_database(state("m", deleted_at=15), None, 10) == 0


# Whole passes


def place_of(made, name="o"):
    return made.cluster.objects(0).layout.place(made.cluster.hasher.hash("a", "c", name))


def holders_of(made, name="o"):
    return made.of("a", "c", name)[:3]


async def has(device, place):
    found = await device.find(0, place)
    if found is None:
        return None
    try:
        data = b"".join([piece async for piece in found.stream(0, found.facts.size)])
        return found.facts.timestamp, None if found.facts.is_gone else data
    finally:
        await found.close()


async def test_a_device_that_was_away_gets_what_it_missed(tmp_path):
    async with world(tmp_path, 4) as made:
        place, (one, two, three) = place_of(made), holders_of(made)
        big, at = random.Random(1).randbytes(3_000_000), made.at()
        three.away = True
        writing = await made.cluster.objects(0).begin("a", "c", "o", len(big))
        await writing.write(big)
        await writing.commit(facts(big, at))
        await writing.close()
        three.away = False
        await made.converge()
        assert [await has(one.device, place) for one in (one, two, three)] == [(at, big)] * 3
        stand_in = made.of("a", "c", "o")[3]
        assert await has(stand_in.device, place) is None
        assert list((stand_in.device.root / "objects").glob("*/*/*")) == []


async def test_while_a_holder_is_away_the_handoff_keeps_what_it_has(tmp_path):
    async with world(tmp_path, 4) as made:
        place, at = place_of(made), made.at()
        *_, three = holders_of(made)
        stand_in = made.of("a", "c", "o")[3]
        await stand_in.device.put(0, place, b"x", facts(b"x", at))
        three.away = True
        await Replicator(made.station).pass_once()
        assert await has(stand_in.device, place) == (at, b"x")
        three.away = False
        await made.converge()
        assert await has(stand_in.device, place) is None
        assert await has(three.device, place) == (at, b"x")


async def test_a_damaged_copy_is_never_spread(tmp_path):
    async with world(tmp_path, 3) as made:
        place, at = place_of(made), made.at()
        one, two, three = holders_of(made)
        for data in (b"x" * 100, b"y" * 200_000):
            at += 1
            for device in (one, two):
                await device.device.put(0, place, data, facts(data, at))
            (path,) = one.device.root.glob("objects/*/*/*")
            content = bytearray(path.read_bytes())
            content[50] ^= 1
            path.write_bytes(content)
            one_only = Replicator(made.station)
            two.away = True
            await one_only.pass_once()
            two.away = False
            assert (await has(three.device, place) or (0, b""))[1] != bytes(content[: len(data)])
            await made.converge()
            for device in (one, two, three):
                assert await has(device.device, place) == (at, data)


async def test_deletions_are_forgotten_when_nobody_needs_them(tmp_path):
    async with world(tmp_path, 3) as made:
        place, at = place_of(made), made.at()
        devices = holders_of(made)
        for device in devices:
            await device.device.delete(0, place, "/a/c/o", at)
        devices[0].away = True
        await Replicator(made.station).pass_once()
        made.clock_s += WEEK_S + DAY_S
        await Replicator(made.station).pass_once()
        assert await has(devices[1].device, place) == (at, None), "one was away: who knows what it has"
        devices[0].away = False
        for _ in range(2):
            made.clock_s += 2 * DAY_S
            await made.converge()
        assert [await has(device.device, place) for device in devices] == [None] * 3
        assert list(tmp_path.glob("*/objects/*/*")) == []


async def test_after_a_ring_change_only_what_must_move_moves(tmp_path):
    async with world(tmp_path, 4) as made:
        at, names = made.at(), [f"o{number}" for number in range(60)]
        store = made.cluster.objects(0)
        for name in names:
            await store.put("a", "c", name, name.encode(), facts(name.encode(), at, name))
        await made.converge()
        before = await made.content()
        builder = Builder(4, 3)
        for number in range(4):
            builder.add(node="local", name=f"d{number}", weight=1.0, zone=number)
        builder.rebalance(now_s=0, seed=1)
        builder.set_weight(next(iter(builder.devices.values())).id, 0.5)
        builder.rebalance(now_s=100 * 3600, seed=1)
        ring = builder.ring()
        old = store.layout.ring
        store.layout = Layout(ring, made.cluster.devices, made.faulty.keys())
        moved = sum(
            len({one.key for one in ring.holders(part)} - {one.key for one in old.holders(part)})
            for part in (place_of(made, name).part for name in names)
        )
        assert moved > 0
        replicator = Replicator(made.station)
        await replicator.pass_once()
        sent = sum(
            [(await replicator._walk.progress(key)).report.last.get("objects", 0) for key in made.here]
        )
        assert sent == moved
        await made.converge()
        after = await made.content()
        assert len(before) == len(after) == 180
        for name in names:
            holders = {one.key for one in ring.holders(place_of(made, name).part)}
            place = place_of(made, name)
            for key, device in made.local.items():
                assert (await has(device, place) is not None) == (key in holders)


async def test_a_container_hears_what_it_missed_and_a_handoff_gives_its_copy_away(tmp_path):
    async with world(tmp_path, 4) as made:
        containers, at = made.cluster.containers, made.at()
        one, two, three, stand_in = made.of("a", "c")
        three.away = True
        await made.cluster.accounts.make("a", at, {})
        await containers.make("a", "c", at, 0, {"x-container-meta-k": ("v", at)})
        place = containers.layout.place(made.cluster.hasher.hash("a", "c"))
        assert await stand_in.device.container(place) is not None
        await containers.hear("a", "c", [Entry(name="o", timestamp=at + 1, size=7)])
        await one.device.hear_objects(place, [Entry(name="lone", timestamp=at + 2, size=1)])
        three.away = False
        await made.converge()
        assert await stand_in.device.container(place) is None
        for device in (one, two, three):
            status, said = await device.device.container(place)
            assert (status.objects, status.bytes) == (2, 8)
            assert said["x-container-meta-k"] == ("v", at)


async def test_a_torn_database_is_put_aside_and_made_anew(tmp_path):
    async with world(tmp_path, 3) as made:
        containers, at = made.cluster.containers, made.at()
        await containers.make("a", "c", at, 0, {})
        words = [Entry(name=f"o{number}", timestamp=at + number, size=1) for number in range(2500)]
        await containers.hear("a", "c", words)
        await made.converge()
        one = made.of("a", "c")[0].device
        await one._containers.close()
        (path,) = one.root.glob("containers/*/*/*.db")
        path.write_bytes(path.read_bytes()[:5000])
        await made.converge()
        place = containers.layout.place(made.cluster.hasher.hash("a", "c"))
        status, _ = await one.container(place)
        assert (status.objects, status.bytes) == (2500, 2500)
        assert list(one.root.glob("quarantined/containers/*"))


async def test_a_container_deleted_long_ago_goes(tmp_path):
    async with world(tmp_path, 3) as made:
        containers, at = made.cluster.containers, made.at()
        await containers.make("a", "c", at, 0, {})
        assert await containers.delete("a", "c", at + 1)
        await made.converge()
        assert len(list(tmp_path.glob("*/containers/*/*/*.db"))) == 3
        made.clock_s += WEEK_S + DAY_S
        await made.converge()
        assert list(tmp_path.glob("*/containers/*/*/*.db")) == []


class Killed(BaseException):
    """Not to be caught."""


async def test_a_killed_round_goes_on_where_it_was(tmp_path):
    async with world(tmp_path, 2) as made:
        at = made.at()
        for number in range(40):
            data = b"%d" % number
            await made.cluster.objects(0).put("a", "c", str(number), data, facts(data, at, str(number)))
        first = Replicator(made.station)
        seen = []

        async def stop_after(step, work=first._walk._work):
            await work(step)
            seen.append((step.key, step.store, step.part))
            if len(seen) >= 10:
                for key in made.here:
                    await (await first._walk.progress(key)).save(now=True)
                raise Killed

        first._walk._work = stop_after
        with pytest.raises(BaseExceptionGroup) as ended:
            await first.pass_once()
        assert ended.value.subgroup(Killed) is not None
        second, again = Replicator(made.station), []

        async def note(step, work=second._walk._work):
            await work(step)
            again.append((step.key, step.store, step.part))

        second._walk._work = note
        assert await second.pass_once()
        assert len(set(seen) & set(again)) <= 2, "no more than a step of each device is done again"
        partitions = {
            (key, "objects", part)
            for key, one in made.local.items()
            for part in await one.partitions("objects")
        }
        assert partitions <= set(seen) | set(again)


# Whatever was written to whom

NAMES = ("x", "y", "z")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.sampled_from(("put", "put", "delete", "post", "type"))),
        min_size=1,
        max_size=14,
    ),
    st.integers(0, 2**32),
)
def test_objects_converge(ops, seed):
    asyncio.run(objects_converge(ops, random.Random(seed)))


async def objects_converge(ops, rng):
    with tempfile.TemporaryDirectory() as folder:
        async with world(Path(folder), 4) as made:
            start = made.at(100)
            timed = [(start + number, *op) for number, op in enumerate(ops)]
            last, accepted = {}, {}
            for at, name, verb in rng.sample(timed, len(timed)):
                place, devices = place_of(made, name), made.of("a", "c", name)
                for faulty in some(rng, devices):
                    device = faulty.device
                    try:
                        if verb == "put":
                            data = f"{name}{at}".encode()
                            await device.put(0, place, data, facts(data, at, name))
                        elif verb == "delete":
                            await device.delete(0, place, f"/a/c/{name}", at)
                        else:
                            kind = (
                                {"content_type": f"t/{at}", "content_type_at": at} if verb == "type" else {}
                            )
                            word = Revision(timestamp=at, headers={"x-object-meta-at": str(at)}, **kind)
                            if await device.post(0, place, word) is not None:
                                accepted[name] = max(accepted.get(name, 0), at)
                    except Superseded:
                        continue
                    if verb in ("put", "delete") and at > last.get(name, (0, ""))[0]:
                        last[name] = at, verb
            await made.converge()
            for name in NAMES:
                place = place_of(made, name)
                answers = [await look(faulty.device, place) for faulty in made.of("a", "c", name)]
                assert answers[3:] == [None] * len(answers[3:]), "only holders have it"
                assert len(set(answers[:3])) == 1, "all holders have the same"
                if name not in last:
                    assert answers[0] is None
                    continue
                at, verb = last[name]
                if verb == "delete":
                    assert answers[0] == (at, True, None, None, None)
                else:
                    assert answers[0][:2] == (at, False)
                    assert answers[0][2] == f"{name}{at}".encode()
                    if accepted.get(name, 0) > at:
                        assert answers[0][3] == str(accepted[name])


async def look(device, place):
    found = await device.find(0, place)
    if found is None:
        return None
    await found.close()
    facts = found.facts
    if facts.is_gone:
        return found.written.timestamp, True, None, None, None
    meta = facts.headers.get("x-object-meta-at")
    return found.written.timestamp, False, found.data, meta, facts.content_type


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(("put", "delete", "say", "make", "unmake")), st.sampled_from(NAMES)),
        max_size=16,
    ),
    st.integers(0, 2**32),
)
def test_containers_converge(ops, seed):
    asyncio.run(containers_converge(ops, random.Random(seed)))


async def containers_converge(ops, rng):
    with tempfile.TemporaryDirectory() as folder:
        async with world(Path(folder), 4) as made:
            start = made.at(100)
            place = made.cluster.containers.layout.place(made.cluster.hasher.hash("a", "c"))
            devices = made.of("a", "c")
            for faulty in some(rng, devices[:3]):
                await faulty.device.make_container(place, "/a/c", start, 0, {})
            newest = {}
            timed = [(start + 1 + number, *op) for number, op in enumerate(ops)]
            for at, verb, name in rng.sample(timed, len(timed)):
                for faulty in some(rng, devices):
                    device, heard = faulty.device, False
                    if verb == "make":
                        await device.make_container(
                            place, "/a/c", at, 0, {"x-container-meta-m": (str(at), at)}
                        )
                    elif verb == "unmake":
                        await device.delete_container(place, at)
                    elif verb == "say":
                        await device.say_of_container(place, {f"x-container-meta-{name}": (str(at), at)})
                    else:
                        word = Entry(name=name, timestamp=at, size=at % 7, etag="e", is_gone=verb == "delete")
                        heard = await device.hear_objects(place, [word])
                    if heard and at > newest.get(name, (0, ""))[0]:
                        newest[name] = at, verb
                if rng.random() < 0.2:
                    await Replicator(made.station).pass_once()
            await made.converge(12)
            states = [await faulty.device.database("containers", place) for faulty in devices]
            assert states[3] is None
            contents = {
                (
                    one.put_at,
                    one.deleted_at,
                    one.changed_at,
                    one.rows,
                    one.checksum,
                    *sorted(one.said.items()),
                )
                for one in states[:3]
            }
            assert len(contents) == 1
            there = sorted(name for name, (_, verb) in newest.items() if verb == "put")
            for faulty in devices[:3]:
                listed = await faulty.device.list_container(place, Asked())
                assert [entry.name for entry in listed or ()] == there
            if there:
                status, _ = await devices[0].device.container(place)
                assert status.bytes == sum(newest[name][0] % 7 for name in there)


async def test_accounts_converge(tmp_path):
    async with world(tmp_path, 4) as made:
        at = made.at(100)
        place = made.cluster.accounts.layout.place(made.cluster.hasher.hash("a"))
        devices = [faulty.device for faulty in made.of("a")]
        for number, device in enumerate(devices):
            await device.make_account(
                place, "/a", at + number, {"x-account-meta-k": (str(number), at + number)}
            )
            word = ContainerEntry(name=f"c{number}", put_at=at + number, objects=number, bytes=5)
            await device.hear_containers(place, [word])
        gone = ContainerEntry(name="c1", put_at=0, deleted_at=at + 50)
        await devices[3].hear_containers(place, [gone])
        await made.converge()
        assert await devices[3].account(place) is None
        for device in devices[:3]:
            status, said = await device.account(place)
            assert (status.containers, status.objects, status.bytes) == (3, 5, 15)
            assert said["x-account-meta-k"][0] == "3"
