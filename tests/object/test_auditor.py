"""What rots on a disk is found, put aside, and comes back from the others; expired objects and deleted accounts go."""

import asyncio
import itertools
import os
import sqlite3
import time

from aerostat.services.object import expiry
from aerostat.services.object.daemons.auditor import Auditor, check_database
from aerostat.services.object.daemons.expirer import Expirer
from aerostat.services.object.daemons.progress import read, reports
from aerostat.services.object.daemons.reaper import Reaper
from aerostat.services.object.daemons.rounds import Rounds
from aerostat.services.object.daemons.settings import DaemonConfig
from aerostat.services.object.daemons.station import Station
from aerostat.services.object.proxy.core import Core
from aerostat.services.object.stores.entries import Entry
from aerostat.services.object.stores.listing import Asked
from aerostat.services.object.stores.object_file import SMALL
from aerostat.services.object.timestamp import now

from .daemons_kit import DAY_S, UNHURRIED, WEEK_S, world
from .faults import facts
from .faults import read as read_object
from .kit import opened


async def put(made, name="o", data=b"x" * 1000, at=None):
    at = at or made.at()
    await made.cluster.objects(0).put("a", "c", name, data, facts(data, at, name))


async def full(made):
    """The first full round; answers the auditor. The first of all is none."""
    auditor = Auditor(made.station)
    await auditor.pass_once()
    made.clock_s += WEEK_S + 1
    assert await auditor.pass_once()
    return auditor


def file_of(faulty, hashed):
    return next(faulty.device.root.glob(f"objects/*/*/{hashed}"))


def quarantined(root):
    return sorted(path.parent.name for path in root.glob("*/quarantined/*/*"))


async def test_damaged_bytes_are_found_and_brought_back(tmp_path):
    async with world(tmp_path, 3) as made:
        data = os.urandom(300_000)
        for name in ("small", "large", "other"):
            await put(made, name, data[:1000] if name == "small" else data)
        for name in ("small", "large"):
            place = made.cluster.objects(0).layout.place(made.cluster.hasher.hash("a", "c", name))
            path = file_of(made.of("a", "c", name)[0], place.hashed)
            content = bytearray(path.read_bytes())
            content[500] ^= 255
            path.write_bytes(content)
        auditor = await full(made)
        assert quarantined(tmp_path) == ["objects", "objects"]
        await made.converge()
        assert len([path for path in tmp_path.glob("*/objects/*/*/*") if path.is_file()]) == 9
        assert await read_object(made.cluster.objects(0), "large") == data
        report = auditor._walk.progress("local/d0").report
        assert report.rounds == 2
        assert report.last["files"]
        assert report.last["bytes"]


async def test_between_full_rounds_only_facts_are_read(tmp_path):
    """Of objects that are too large to be looked at whenever they are opened."""
    async with world(tmp_path, 1) as made:
        await put(made, data=b"x" * 2 * SMALL)
        auditor = await full(made)
        path = next(path for path in tmp_path.glob("*/objects/*/*/*") if path.is_file())
        content = bytearray(path.read_bytes())
        content[5] ^= 1
        path.write_bytes(content)
        made.clock_s += DAY_S
        await auditor.pass_once()
        assert path.exists()
        made.clock_s += WEEK_S
        await auditor.pass_once()
        assert not path.exists()


async def test_torn_files_and_those_in_the_wrong_place_are_put_aside(tmp_path):
    async with world(tmp_path, 3) as made:
        for name in ("torn", "cut", "elsewhere"):
            await put(made, name)
        hashes = {
            name: made.cluster.objects(0).layout.place(made.cluster.hasher.hash("a", "c", name)).hashed
            for name in ("torn", "cut", "elsewhere")
        }
        torn, cut = (file_of(made.of("a", "c", name)[0], hashes[name]) for name in ("torn", "cut"))
        torn.write_bytes(b"")
        cut.write_bytes(cut.read_bytes()[:-7])
        wrong = file_of(made.of("a", "c", "elsewhere")[0], hashes["elsewhere"])
        wrong.write_bytes(file_of(made.of("a", "c", "torn")[1], hashes["torn"]).read_bytes())
        await full(made)
        assert quarantined(tmp_path) == ["objects"] * 3
        await made.converge()
        for name in hashes:
            assert await read_object(made.cluster.objects(0), name) == b"x" * 1000


async def test_damaged_databases_are_put_aside(tmp_path):
    async with world(tmp_path, 3) as made:
        at = made.at()
        await made.cluster.containers.make("a", "c", at, 0, {})
        words = [Entry(name=f"o{number:05d}", timestamp=at, size=1, etag="e" * 32) for number in range(3000)]
        await made.cluster.containers.hear("a", "c", words)
        one = made.of("a", "c")[0].device
        await one._containers.close()
        (path,) = one.root.glob("containers/*/*/*.db")
        content = bytearray(path.read_bytes())
        content[8192:40_000] = os.urandom(40_000 - 8192)
        path.write_bytes(content)
        await full(made)
        assert quarantined(tmp_path)[0] == "containers"
        await made.converge()
        place = made.cluster.containers.layout.place(made.cluster.hasher.hash("a", "c"))
        assert (await one.container(place))[0].objects == 3000


async def test_sums_that_are_not_those_of_the_rows_are_damage(tmp_path):
    async with world(tmp_path, 1) as made:
        at = made.at()
        await made.cluster.containers.make("a", "c", at, 0, {})
        await made.cluster.containers.hear("a", "c", [Entry(name="o", timestamp=at, size=1)])
        (path,) = tmp_path.glob("*/containers/*/*/*.db")
        assert check_database(path, whole=True) is None
        await made.cluster.accounts.make("a", at, {})
        (account,) = tmp_path.glob("*/accounts/*/*/*.db")
        assert check_database(account, whole=True) is None, "it has other sums"
        with sqlite3.connect(path) as db:
            db.execute("DELETE FROM live")
        assert check_database(path, whole=False) is None
        assert "rows" in check_database(path, whole=True)


async def test_what_dead_writers_left_is_cleared(tmp_path):
    async with world(tmp_path, 1) as made:
        await put(made)
        old, new = tmp_path / "d0" / "tmp" / "1-x-1", tmp_path / "d0" / "tmp" / "1-x-2"
        for path in (old, new):
            path.write_bytes(b"x")
        os.utime(old, (1, 1))
        await full(made)
        assert (old.exists(), new.exists()) == (False, True)
        new.unlink()


# Expiry


async def test_expired_objects_go_with_their_notes(tmp_path):
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        soon = int(time.time()) + 60
        await store.put("/v1/a/c/keep", b"1")
        await store.put("/v1/a/c/dies", b"1", x_delete_at=str(soon))
        await store.put("/v1/a/c/spared", b"1", x_delete_at=str(soon))
        await store("POST", "/v1/a/c/spared", headers={"x-delete-at": str(soon + 10 * DAY_S).split(".")[0]})
        await store.put("/v1/a/c/replaced", b"1", x_delete_at=str(soon))
        await store.put("/v1/a/c/replaced", b"2")
        room, clock = store.room, [time.time()]
        station = Station(
            lambda: room.cluster,
            room.local,
            UNHURRIED,
            reclaim_age_s=WEEK_S,
            core=Core(room),
            clock=lambda: clock[0],
        )
        expirer = Expirer(station)
        await expirer.pass_once()
        assert (await store("GET", "/v1/a/c")).lines == ["dies", "keep", "replaced", "spared"]
        clock[0] = soon + 1
        await expirer.pass_once()
        assert (await store("GET", "/v1/a/c")).lines == ["keep", "replaced", "spared"]
        slot = expiry.slot_of(soon)
        assert await room.cluster.containers.list(expiry.ACCOUNT, slot, Asked()) == []
        report = read(room.local["local/d1"].root / "recon" / "expirer.json")
        assert report.last == {"objects": 1, "stale": 2}
        clock[0] = soon + 6 * 3600
        await expirer.pass_once()
        assert await room.cluster.containers.list(expiry.ACCOUNT, slot, Asked()) is None


async def test_a_note_is_kept_until_its_object_could_be_deleted(tmp_path):
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        soon = int(time.time()) + 60
        await store.put("/v1/a/c/dies", b"1", x_delete_at=str(soon))
        room, core = store.room, Core(store.room)
        answers = []

        async def busy(request):
            response = await core(request)
            if not answers:
                response.status = 503
            answers.append(response.status)
            return response

        station = Station(
            lambda: room.cluster,
            room.local,
            UNHURRIED,
            reclaim_age_s=WEEK_S,
            core=busy,
            clock=lambda: soon + 5.0,
        )
        expirer = Expirer(station)
        await expirer.pass_once()
        assert len(await room.cluster.containers.list(expiry.ACCOUNT, expiry.slot_of(soon), Asked())) == 1
        await expirer.pass_once()
        assert await room.cluster.containers.list(expiry.ACCOUNT, expiry.slot_of(soon), Asked()) == []
        assert len(answers) == 2


# Deleted accounts


async def test_a_deleted_account_is_emptied(tmp_path):
    settings = DaemonConfig(**dict.fromkeys(("reap_per_s",), 0), reap_after_s=3600.0)
    async with world(tmp_path, 4, settings=settings) as made:
        at, accounts, containers = made.at(), made.cluster.accounts, made.cluster.containers
        await accounts.make("a", at, {})
        await accounts.make("b", at, {})
        for account in ("a", "b"):
            for number in range(3):
                await containers.make(account, f"c{number}", at, 0, {})
        for number in range(20):
            name, data = f"o{number}", b"x"
            await made.cluster.objects(0).put("a", "c1", name, data, facts(data, at, name))
            await containers.hear("a", "c1", [Entry(name=name, timestamp=at, size=1)])
        await accounts.delete("a", now())
        reaper = Reaper(made.station)
        await reaper.pass_once()
        assert (await containers.status("a", "c1"))[0].objects == 20, "not yet"
        made.clock_s = time.time() + 3601
        await reaper.pass_once()
        for number in range(3):
            assert await containers.status("a", f"c{number}") is None
            assert await containers.status("b", f"c{number}") is not None
        for number in range(20):
            found = await made.cluster.objects(0).find("a", "c1", f"o{number}")
            assert found.facts.is_gone
        made.clock_s += 2 * WEEK_S
        await made.converge()
        place = accounts.layout.place(made.cluster.hasher.hash("a"))
        assert [await device.database("accounts", place) for device in made.local.values()] == [None] * 4


async def test_an_account_made_anew_is_let_be(tmp_path):
    async with world(tmp_path, 3) as made:
        accounts, containers = made.cluster.accounts, made.cluster.containers
        await accounts.make("a", made.at(), {})
        await containers.make("a", "c", made.at(), 0, {})
        await accounts.delete("a", now())
        await accounts.make("a", now(), {})
        made.clock_s += 2 * 3600
        await Reaper(made.station).pass_once()
        assert await containers.status("a", "c") is not None


# Rounds


async def test_one_of_several_processes_cares_for_a_device(tmp_path):
    async with world(tmp_path, 2) as made:
        await put(made)
        quick = DaemonConfig(audit_files_per_s=0, parts_per_s=0)
        one = Rounds(lambda: made.cluster, made.local, quick, reclaim_age_s=WEEK_S)
        other = Rounds(lambda: made.cluster, made.local, quick, reclaim_age_s=WEEK_S)
        one.start()
        await until(lambda: len(one._here) == 2)
        other.start()
        await until(lambda: other._present)
        assert len(one._here) == 2
        assert len(other._here) == 0
        await until(lambda: len(reports(tmp_path / "d0")) >= 5)
        assert {report.daemon for report in reports(tmp_path / "d0")} >= {"replicator", "auditor", "sums"}
        await one.stop()
        one.leave()
        other._look_after_locks()
        assert len(other._here) == 2
        await other.stop()
        other.leave()
        assert list(tmp_path.glob("*/recon/present/*")) == []


async def test_a_daemon_that_fails_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("aerostat.services.object.daemons.rounds.FIRST_BACK_OFF_S", 0.01)
    async with world(tmp_path, 1) as made:
        rounds = Rounds(lambda: made.cluster, made.local, DaemonConfig(), reclaim_age_s=WEEK_S)
        tries = []

        async def fail():
            tries.append(time.monotonic())
            if len(tries) < 4:
                raise RuntimeError("once more")
            return True

        rounds.daemons["replicator"].pass_once = fail
        rounds.start()
        await until(lambda: len(tries) >= 4)
        await rounds.stop()
        rounds.leave()
        gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
        assert gaps[2] > gaps[0]


async def until(is_so):
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
