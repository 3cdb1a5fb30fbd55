"""What rots on a disk is found, put aside, and comes back from the others."""

import os
import sqlite3

from aerostat.services.object.daemons.auditor import Auditor, check_database
from aerostat.services.object.stores.entries import Entry
from aerostat.services.object.stores.object_file import SMALL

from .daemons_kit import DAY_S, WEEK_S, world
from .faults import facts
from .faults import read as read_object


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
        assert (quarantined(tmp_path), len(list(tmp_path.glob("*/wounded/*/*")))) == (["objects"], 1)
        await made.converge()
        assert not list(tmp_path.glob("*/wounded/*/*"))
        assert len([path for path in tmp_path.glob("*/objects/*/*/*") if path.is_file()]) == 9
        assert await read_object(made.cluster.objects(0), "large") == data
        report = (await auditor._walk.progress("local/d0")).report
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
