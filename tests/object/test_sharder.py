"""Containers of very many objects: cut and joined while they are written to, and seen whole all the time."""

import asyncio
import random
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerostat.services.object.cluster import sharded
from aerostat.services.object.cluster.sharded import ShardedContainers, _Known
from aerostat.services.object.cluster.shards import PLAN, ROOT, Shard, Table, account_of, table_in
from aerostat.services.object.daemons.replicator import Replicator
from aerostat.services.object.daemons.sharder import ORPHAN_S, Sharder
from aerostat.services.object.daemons.updater import Updater
from aerostat.services.object.daemons.walking import Step
from aerostat.services.object.stores.container_db import SHARDS
from aerostat.services.object.stores.entries import Entry
from aerostat.services.object.stores.held import CONTAINERS
from aerostat.services.object.stores.listing import Asked, page
from aerostat.services.object.stores.pending import Pending
from aerostat.services.object.timestamp import now

from .daemons_kit import UNHURRIED, world

SMALL = msgspec.structs.replace(UNHURRIED, shard_rows=40, shard_rows_per_s=0)

# The table


TABLE = Table((Shard("", "s0"), Shard("g", "s1"), Shard("p", "s2")))


@pytest.mark.parametrize(
    ("name", "shard"), [("a", "s0"), ("g", "s1"), ("fz", "s0"), ("o", "s1"), ("z", "s2")]
)
def test_a_name_belongs_to_the_shard_from_whose_bound_on_it_is(name, shard):
    assert TABLE.of(name).name == shard


@pytest.mark.parametrize(
    ("asked", "shards"),
    [
        (Asked(), "s0 s1 s2"),
        (Asked(reverse=True), "s2 s1 s0"),
        (Asked(marker="g"), "s1 s2"),
        (Asked(marker="fz"), "s0 s1 s2"),
        (Asked(end_marker="g"), "s0"),
        (Asked(prefix="g"), "s1"),
        (Asked(prefix="q", delimiter="/"), "s2"),
        (Asked(path="a"), "s0"),
        (Asked(marker="z", end_marker="b"), ""),
    ],
)
def test_only_shards_that_may_have_something_of_a_page_are_asked(asked, shards):
    assert " ".join(shard.name for shard in TABLE.asked(asked)) == shards


def test_a_shard_is_replaced_by_those_it_was_cut_into_or_left_to_its_neighbour():
    cut = TABLE.replaced("s1", [Shard("g", "x"), Shard("k", "y")])
    assert [cut.of(name).name for name in ("f", "g", "k", "p")] == ["s0", "x", "y", "s2"]
    assert [TABLE.replaced("s1", []).of(name).name for name in ("g", "o", "p")] == ["s0", "s0", "s2"]


# Whole passes


def word(name, at, size=1):
    return Entry(name=name, timestamp=at, size=size, etag="e", content_type="t")


async def begin(made, names):
    at = made.at(100)
    await made.cluster.accounts.make("a", at, {})
    await made.cluster.containers.make("a", "c", at, 0, {"x-container-meta-k": ("v", at)})
    await made.cluster.containers.hear("a", "c", [word(name, at + 1) for name in names])


async def settle(made, most=40):
    """Until nothing is left to be done."""
    sharder, replicator = Sharder(made.station), Replicator(made.station)
    before = None
    for _ in range(most):
        await sharder.pass_once()
        await Updater(made.station).pass_once()
        await replicator.pass_once()
        made.clock_s += 60
        after = await made.content()
        if after == before and not [
            name for one in made.local.values() for name in Pending(one.root).names()
        ]:
            return
        before = after
    raise AssertionError("it does not come to rest")


async def names_of(made, **asked):
    return [entry.name for entry in await made.cluster.containers.list("a", "c", Asked(**asked))]


async def table_of(made):
    found = await made.cluster.containers.plain.status("a", "c", newest=True)
    return table_in(found[1])


async def test_a_large_container_is_cut_and_looks_as_before(tmp_path):
    async with world(tmp_path, 4, settings=SMALL) as made:
        names = sorted({f"{first}/{number:03d}" for first in "abc" for number in range(50)})
        await begin(made, names)
        await settle(made)
        table = await table_of(made)
        assert len(table.shards) >= 4
        containers = made.cluster.containers
        status, said = await containers.status("a", "c")
        assert (status.objects, status.bytes) == (150, 150)
        assert said["x-container-meta-k"][0] == "v"
        rows = [word(name, 1) for name in names]

        def fetch(span, reverse, limit):
            found = [
                row
                for row in rows
                if (
                    span.first is None
                    or row.name > span.first
                    or (span.is_first_in and row.name == span.first)
                )
                and (span.end is None or row.name < span.end)
            ]
            return (found[::-1] if reverse else found)[:limit]

        for asked in (
            Asked(),
            Asked(limit=37),
            Asked(limit=70, marker="a/030"),
            Asked(reverse=True, limit=60, end_marker="a/020"),
            Asked(prefix="b/"),
            Asked(delimiter="/"),
            Asked(delimiter="/", reverse=True),
            Asked(delimiter="/", limit=2),
            Asked(delimiter="/", marker="a/"),
            Asked(path="a"),
            Asked(path=""),
            Asked(prefix="a/04", delimiter="0"),
        ):
            seen = [entry.name for entry in await containers.list("a", "c", asked)]
            assert seen == [entry.name for entry in page(asked, fetch)], asked
        place = containers.layout.place(made.cluster.hasher.hash("a", "c"))
        for faulty in made.of("a", "c")[:3]:
            assert (await faulty.device.database("containers", place)).rows == 0, (
                "nothing is left in the root"
            )


async def test_words_go_to_the_shards_and_those_grow_and_shrink(tmp_path):
    async with world(tmp_path, 4, settings=SMALL) as made:
        await begin(made, [f"o{number:04d}" for number in range(60)])
        await settle(made)
        few = len((await table_of(made)).shards)
        more = [f"o{number:04d}" for number in range(60, 240)]
        await made.cluster.containers.hear("a", "c", [word(name, now()) for name in more])
        assert len(await names_of(made)) == 240
        await settle(made)
        many = len((await table_of(made)).shards)
        assert many > few
        assert len(await names_of(made)) == 240
        gone = [Entry(name=f"o{number:04d}", timestamp=now(), is_gone=True) for number in range(238)]
        await made.cluster.containers.hear("a", "c", gone)
        assert await names_of(made) == ["o0238", "o0239"]
        await settle(made, 80)
        assert len((await table_of(made)).shards) < many
        assert await names_of(made) == ["o0238", "o0239"]
        hidden = await made.cluster.accounts.list(account_of("a"), Asked())
        assert len(hidden) == len((await table_of(made)).shards), "shards that were left are removed"


async def test_a_cut_container_is_deleted_only_when_empty_and_made_anew_whole(tmp_path):
    async with world(tmp_path, 3, settings=SMALL) as made:
        names = [f"o{number:03d}" for number in range(90)]
        await begin(made, names)
        await settle(made)
        containers = made.cluster.containers
        assert await containers.delete("a", "c", now()) is False
        await containers.hear("a", "c", [Entry(name=name, timestamp=now(), is_gone=True) for name in names])
        assert await containers.delete("a", "c", now()) is True
        assert await containers.status("a", "c") is None
        assert await containers.list("a", "c", Asked()) is None
        await containers.make("a", "c", now(), 0, {})
        await containers.hear("a", "c", [word("new", now())])
        assert await names_of(made) == ["new"]
        made.clock_s += 2 * ORPHAN_S
        await settle(made)
        assert await names_of(made) == ["new"]
        assert await made.cluster.accounts.list(account_of("a"), Asked()) == []


async def test_a_copy_that_was_away_while_it_was_cut_gives_what_it_alone_heard(tmp_path):
    async with world(tmp_path, 4, settings=SMALL) as made:
        names = [f"o{number:03d}" for number in range(90)]
        await begin(made, names)
        late = made.of("a", "c")[2]
        place = made.cluster.containers.layout.place(made.cluster.hasher.hash("a", "c"))
        late.away = True
        sharder = Sharder(made.station)
        for _ in range(3):
            await sharder.pass_once()
        assert await table_of(made) is not None
        await late.device.hear_objects(
            place, [word("lone", now()), Entry(name="o000", timestamp=now(), is_gone=True)]
        )
        late.away = False
        await settle(made)
        assert await names_of(made) == sorted([*names[1:], "lone"])


async def test_a_cut_that_was_broken_off_goes_on(tmp_path):
    async with world(tmp_path, 3, settings=SMALL) as made:
        names = [f"o{number:03d}" for number in range(90)]
        await begin(made, names)
        verbs = ("_copy", "_say", "_plan", "_move_rows", "_table")
        for stop in range(1, 30):
            sharder, seen = Sharder(made.station), []

            def failing(verb, sharder=sharder, seen=seen, stop=stop):
                inner = getattr(sharder, verb)

                async def call(*args):
                    seen.append(verb)
                    if len(seen) == stop:
                        raise OSError("killed")
                    return await inner(*args)

                return call

            for verb in verbs:
                setattr(sharder, verb, failing(verb))
            await sharder.pass_once()
            extra = f"x{stop:03d}"
            names.append(extra)
            await made.cluster.containers.hear("a", "c", [word(extra, now())])
        await settle(made)
        assert await names_of(made) == sorted(names)
        assert (await made.cluster.containers.status("a", "c"))[0].objects == len(names)


async def test_notes_from_before_the_cut_reach_the_shards(tmp_path):
    async with world(tmp_path, 3, settings=SMALL) as made:
        names = [f"o{number:03d}" for number in range(90)]
        await begin(made, names)
        away = list(made.faulty.values())[2]
        away.away = True
        await made.cluster.containers.hear("a", "c", [word("late", now())])
        sharder = Sharder(made.station)
        for _ in range(3):
            await sharder.pass_once()
        away.away = False
        await settle(made)
        assert "late" in await names_of(made)


async def test_another_process_learns_of_the_cut_when_it_is_refused(tmp_path):
    async with world(tmp_path, 3, settings=SMALL) as made:
        names = [f"o{number:03d}" for number in range(90)]
        await begin(made, names)
        await settle(made)
        known = made.cluster.containers._known
        known.clear()
        await made.cluster.containers.hear("a", "c", [word("z", now())])
        assert known["a", "c"].table == await table_of(made)
        stale = _Known(Table((Shard("", "no such"),)))
        known["a", "c"] = stale
        assert len(await names_of(made)) == 91
        known["a", "c"] = stale
        await made.cluster.containers.hear("a", "c", [word("zz", now())])
        assert len(await names_of(made)) == 92


async def test_sums_are_seen_at_once_where_names_are_told_and_soon_elsewhere(tmp_path, monkeypatch):
    async with world(tmp_path, 3, settings=SMALL) as made:
        await begin(made, [f"o{number:03d}" for number in range(90)])
        await settle(made)
        here = made.cluster.containers
        there = ShardedContainers(here.plain)

        async def objects(containers):
            return (await containers.status("a", "c"))[0].objects

        assert await objects(here) == await objects(there) == 90
        await here.hear("a", "c", [word("x", now())])
        assert (await objects(here), await objects(there)) == (91, 90)
        monkeypatch.setattr(sharded, "SUMS_S", 0.0)
        assert await objects(there) == 91


async def test_a_shard_below_a_folder_that_was_told_is_not_asked_for_it_again(tmp_path):
    async with world(tmp_path, 3, settings=SMALL) as made:
        await begin(made, [*(f"o/{number:03d}" for number in range(130)), "p"])
        await settle(made)
        assert len((await table_of(made)).shards) > 4
        plain, asked = made.cluster.containers.plain, []
        list_ = plain.list

        async def listing(account, container, page):
            asked.append(container)
            return await list_(account, container, page)

        plain.list = listing
        assert await names_of(made, delimiter="/") == ["o/", "p"]
        assert len(asked) == 2


async def test_what_a_stale_table_calls_a_shard_is_not_cut(tmp_path):
    async with world(tmp_path, 3, settings=SMALL) as made:
        await begin(made, [f"o{number:03d}" for number in range(90)])
        await settle(made)
        table = await table_of(made)
        plain, hidden = made.cluster.containers.plain, account_of("a")
        await plain.make(hidden, "stray", now(), 0, {ROOT: ("/a/c", now())})
        await plain.hear(hidden, "stray", [word(f"o{number:03d}", now()) for number in range(60, 120)])
        sharder = Sharder(made.station)
        ((key, device),) = [pair for pair in made.here.items() if pair[0] == "local/d0"]
        step = Step(key, device, CONTAINERS, 0, await sharder._walk.progress(key))
        stale = Table((*table.shards[:1], Shard("o050", "stray")))
        await sharder._decide(step, ("a", "c"), stale)
        _, said = await plain.status(hidden, "stray", newest=True)
        assert PLAN not in said, "it would begin at the first name of all"
        assert await table_of(made) == table


async def test_a_shard_closed_by_mistake_is_opened_again(tmp_path):
    async with world(tmp_path, 3, settings=SMALL) as made:
        await begin(made, [f"o{number:03d}" for number in range(90)])
        await settle(made)
        (first, *_) = (await table_of(made)).shards
        plain = made.cluster.containers.plain
        await plain.say(account_of("a"), first.name, {SHARDS: ("moved", now())})
        await made.cluster.containers.hear("a", "c", [word("a", now())])
        await settle(made)
        assert len(await names_of(made)) == 91


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_comes_between_nothing_is_lost(seed):
    asyncio.run(nothing_is_lost(random.Random(seed)))


async def nothing_is_lost(rng):
    with tempfile.TemporaryDirectory() as folder:
        async with world(Path(folder), 4, settings=SMALL) as made:
            await begin(made, [])
            sharder, replicator, there = Sharder(made.station), Replicator(made.station), set()
            for _ in range(rng.randint(4, 14)):
                made.mend()
                if rng.random() < 0.4:
                    rng.choice(list(made.faulty.values())[1:]).away = True
                work = asyncio.create_task(rng.choice((sharder, sharder, replicator)).pass_once())
                for _ in range(rng.randint(0, 6)):
                    names = {f"o{rng.randrange(300):03d}" for _ in range(rng.randint(1, 40))}
                    if rng.random() < 0.3:
                        words = [Entry(name=name, timestamp=now(), is_gone=True) for name in names]
                        there -= names
                    else:
                        words = [word(name, now()) for name in names]
                        there |= names
                    await made.cluster.containers.hear("a", "c", words)
                await work
            made.mend()
            await settle(made, 80)
            assert await names_of(made) == sorted(there)
            status, _ = await made.cluster.containers.status("a", "c", newest=True)
            assert (status.objects, status.bytes) == (len(there), len(there))
