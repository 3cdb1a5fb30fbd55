"""Words that listings missed arrive: notes, what died processes did not say, and the sums of containers."""

import fcntl
import itertools
import os
import subprocess
import sys
import time

import msgspec
import pytest

from aerostat.services.object.cluster.policies import Policy
from aerostat.services.object.daemons.presence import POWER_S, Presence, died
from aerostat.services.object.daemons.retelling import Retelling
from aerostat.services.object.daemons.sums import SumsTeller
from aerostat.services.object.daemons.updater import Updater
from aerostat.services.object.stores.entries import ContainerEntry, Entry
from aerostat.services.object.stores.listing import Asked
from aerostat.services.object.stores.pending import Pending

from .daemons_kit import DAY_S, UNHURRIED, WEEK_S, world
from .faults import facts

GOLD = Policy(index=0, name="gold", replicas=3)
CODED = Policy(index=0, name="coded", kind="erasure", ec_data=2, ec_parity=1)


async def listed(device, place):
    return [entry.name for entry in await device.list_container(place, Asked()) or ()]


def place_of(made):
    return made.cluster.containers.layout.place(made.cluster.hasher.hash("a", "c"))


def notes(made):
    return [name for device in made.local.values() for name in Pending(device.root).names()]


async def begin(made, at):
    await made.cluster.accounts.make("a", at, {})
    await made.cluster.containers.make("a", "c", at, 0, {})
    await made.cluster.containers.sums.flush_all()


async def test_a_note_is_told_to_who_missed_it_and_dropped(tmp_path):
    async with world(tmp_path, 3) as made:
        containers, at, place = made.cluster.containers, made.at(), place_of(made)
        await begin(made, at)
        _one, two, three = made.faulty.values()
        three.away = True
        for number in range(5):
            await containers.hear("a", "c", [Entry(name=f"o{number}", timestamp=at + number, size=2)])
        assert len(notes(made)) == 5
        two.calls.clear()
        three.away = False
        assert await Updater(made.station).pass_once()
        assert notes(made) == []
        assert await listed(three.device, place) == [f"o{number}" for number in range(5)]
        assert "hear_objects" not in two.calls, "who knows is not told again"


async def test_who_is_away_is_left_alone_longer_each_time(tmp_path):
    async with world(tmp_path, 3) as made:
        containers, at = made.cluster.containers, made.at()
        await begin(made, at)
        three = list(made.faulty.values())[2]
        three.away = True
        await containers.hear("a", "c", [Entry(name="o", timestamp=at)])
        updater, tries, moments = Updater(made.station), 0, []
        for _ in range(200):
            made.clock_s += 1
            three.calls.clear()
            await updater.pass_once()
            if "hear_objects" in three.calls:
                tries += 1
                moments.append(made.clock_s)
        gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
        assert 4 <= tries <= 8
        assert gaps == sorted(gaps)
        assert gaps[-1] > 10
        three.away = False
        made.clock_s += 600
        assert await updater.pass_once()
        assert notes(made) == []


async def test_a_note_outlives_a_kill_and_is_never_lost_halfway(tmp_path):
    async with world(tmp_path, 3) as made:
        containers, at, place = made.cluster.containers, made.at(), place_of(made)
        await begin(made, at)
        _, two, three = made.faulty.values()
        two.away = three.away = True
        await containers.hear("a", "c", [Entry(name="o", timestamp=at)])
        two.away = False
        await Updater(made.station).pass_once()
        (name,) = notes(made)
        assert await listed(two.device, place) == ["o"]
        note = next(filter(None, (Pending(one.root).read(name) for one in made.local.values())))
        assert len(note.told) == 2
        three.away = False
        made.clock_s += 60
        await Updater(made.station).pass_once()
        assert notes(made) == []
        assert await listed(three.device, place) == ["o"]


async def test_notes_to_a_container_that_is_gone_end(tmp_path):
    async with world(tmp_path, 2) as made:
        await made.cluster.containers.hear("a", "never", [Entry(name="o", timestamp=made.at())])
        updater = Updater(made.station)
        await updater.pass_once()
        assert len(notes(made)) == 1
        made.clock_s += WEEK_S + DAY_S
        await updater.pass_once()
        assert notes(made) == []


async def test_a_torn_note_is_left_for_an_hour(tmp_path):
    async with world(tmp_path, 1) as made:
        pending = Pending(made.local["local/d0"].root)
        (pending.root / "00").mkdir(parents=True)
        path = pending.root / "00" / f"{'0' * 32}-{made.at()}-1-1"
        path.write_bytes(b"torn")
        updater = Updater(made.station)
        await updater.pass_once()
        assert path.exists()
        made.clock_s += 2 * 3600
        await updater.pass_once()
        assert not path.exists()


async def test_accounts_hear_sums_that_nobody_told(tmp_path):
    async with world(tmp_path, 3) as made:
        containers, at, place = made.cluster.containers, made.at(), place_of(made)
        await made.cluster.accounts.make("a", at, {})
        await containers.make("a", "c", at, 0, {})
        await containers.sums.close()
        for faulty in made.of("a", "c"):
            await faulty.device.hear_objects(place, [Entry(name="o", timestamp=at, size=9)])
        teller = SumsTeller(made.station)
        assert await teller.pass_once()
        (status, _) = await made.cluster.accounts.status("a", newest=True)
        assert (status.containers, status.objects, status.bytes) == (1, 1, 9)
        for faulty in made.faulty.values():
            faulty.calls.clear()
        await teller.pass_once()
        assert not any("hear_containers" in faulty.calls for faulty in made.faulty.values())


async def test_sums_of_a_deleted_container_do_not_bring_it_back(tmp_path):
    async with world(tmp_path, 3) as made:
        containers, accounts, at = made.cluster.containers, made.cluster.accounts, made.at()
        await accounts.make("a", at, {})
        await containers.make("a", "c", at, 0, {})
        await containers.delete("a", "c", at + 1)
        await SumsTeller(made.station).pass_once()
        assert await accounts.list("a", Asked()) == []
        await accounts.hear("a", [ContainerEntry(name="c", put_at=at + 2)])
        assert len(await accounts.list("a", Asked())) == 1


# Processes that died


def test_a_process_that_ends_well_leaves_nothing(tmp_path):
    presence = Presence(tmp_path)
    assert died(tmp_path)[1] == []
    presence.leave()
    assert died(tmp_path) == (float("inf"), [])


def test_a_killed_process_is_found(tmp_path):
    script = "import sys, time; from pathlib import Path\n" + (
        "from aerostat.services.object.daemons.presence import Presence\n"
        "kept = Presence(Path(sys.argv[1])); print('here', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"here\n"
        assert died(tmp_path)[1] == []
    finally:
        process.kill()
        process.wait()
    since, files = died(tmp_path)
    assert len(files) == 1
    assert time.time() - 300 < since < time.time()


def test_after_a_power_failure_more_is_told_again(tmp_path):
    Presence(tmp_path)._path.write_text("another boot")
    presence = next((tmp_path / "recon" / "present").iterdir())
    os.utime(presence, (1000, 10_000))
    fd = os.open(presence, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)
    for name in os.listdir("/proc/self/fd"):  # the lock of this process's own
        target = f"/proc/self/fd/{name}"
        if os.path.islink(target) and os.readlink(target) == str(presence):
            os.close(int(name))
    since, files = died(tmp_path)
    assert files == [presence]
    assert since == 10_000 - POWER_S


async def test_what_was_written_before_a_kill_is_listed_again(tmp_path):
    async with world(tmp_path, 3) as made:
        containers, at, place = made.cluster.containers, made.at(), place_of(made)
        await containers.make("a", "c", at, 0, {})
        store = made.cluster.objects(0)
        for number in range(6):
            data = b"x" * number
            await store.put("a", "c", f"o{number}", data, facts(data, at + number, f"o{number}"))
        await store.delete("a", "c", "o0", at + 50)
        old = next(path for path in tmp_path.glob("*/objects/*/*/*") if path.is_file())
        retelling = Retelling(made.station)
        assert await retelling.pass_once()
        assert await containers.list("a", "c", Asked()) == [], "nobody died: nothing is told"
        presence = made.local["local/d0"].root / "recon" / "present" / "77-dead"
        presence.parent.mkdir(parents=True)
        presence.write_text("another boot")
        assert await retelling.pass_once()
        assert not presence.exists()
        assert await listed(made.of("a", "c")[0].device, place) == [f"o{number}" for number in range(1, 6)]
        made.cluster.containers.sums._changed.clear()
        assert old.exists()
        assert "since" not in (await retelling._walk.progress("local/d0")).report.notes


async def test_only_what_is_as_young_is_told_again(tmp_path):
    async with world(tmp_path, 1) as made:
        containers, at = made.cluster.containers, made.at()
        await containers.make("a", "c", at, 0, {})
        for name in ("old", "young"):
            await made.cluster.objects(0).put("a", "c", name, b"x", facts(b"x", at, name))
        place = made.cluster.objects(0).layout.place(made.cluster.hasher.hash("a", "c", "old"))
        (path,) = made.local["local/d0"].root.glob(f"objects/*/*/{place.hashed}")
        os.utime(path, (time.time() - DAY_S, time.time() - DAY_S))
        presence = made.local["local/d0"].root / "recon" / "present" / "77-dead"
        presence.parent.mkdir(parents=True)
        presence.write_text("another boot")
        await Retelling(made.station).pass_once()
        assert [entry.name for entry in await containers.list("a", "c", Asked())] == ["young"]


@pytest.mark.parametrize("policy", [GOLD, CODED], ids=lambda one: one.name)
async def test_what_a_proxy_elsewhere_died_before_it_told_is_told_by_the_first_holder(tmp_path, policy):
    settings = msgspec.structs.replace(UNHURRIED, retell_s=3600)
    async with world(tmp_path, 4, [policy], settings=settings) as made:
        containers, at = made.cluster.containers, made.at()
        await containers.make("a", "c", at, 0, {})
        retelling = Retelling(made.station)
        assert await retelling.pass_once()
        await made.cluster.objects(0).put("a", "c", "o", b"x", facts(b"x", at, "o"))
        made.clock_s += 3000
        assert await retelling.pass_once()
        assert await containers.list("a", "c", Asked()) == []
        made.clock_s += 3000
        assert await retelling.pass_once()
        assert [entry.name for entry in await containers.list("a", "c", Asked())] == ["o"]
        counts = [(await retelling._walk.progress(key)).report.last.get("objects", 0) for key in made.local]
        assert sum(counts) == 1
        made.clock_s += 3700
        assert await retelling.pass_once()
        counts = [(await retelling._walk.progress(key)).report.last.get("objects", 0) for key in made.local]
        assert sum(counts) == 0, "what was told once is not told for ever"


async def test_a_listing_is_told_the_size_of_the_object_and_not_of_its_fragment(tmp_path):
    async with world(tmp_path, 3, [CODED]) as made:
        containers, at = made.cluster.containers, made.at()
        await containers.make("a", "c", at, 0, {})
        await made.cluster.objects(0).put("a", "c", "o", b"x" * 1000, facts(b"x" * 1000, at, "o"))
        presence = made.local["local/d0"].root / "recon" / "present" / "77-dead"
        presence.parent.mkdir(parents=True)
        presence.write_text("another boot")
        await Retelling(made.station).pass_once()
        assert [(entry.name, entry.size) for entry in await containers.list("a", "c", Asked())] == [
            ("o", 1000)
        ]
