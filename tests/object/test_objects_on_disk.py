"""Objects on a device: newest wins, a name is whole at any moment, and what was answered as done is on the disk."""

import errno
import os
import threading
import time
from hashlib import md5

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aerostat.services.object import timestamp
from aerostat.services.object.stores import object_file
from aerostat.services.object.stores.held import Held
from aerostat.services.object.stores.object_file import Damaged, Facts, Revision
from aerostat.services.object.stores.objects import Objects
from aerostat.services.object.stores.opened import Superseded
from aerostat.services.object.stores.sums import PIECE

from .dying import Died, DyingOs, replace_os

HASH = "0123456789abcdef0123456789abcdef"
PART, PATH = 7, "/a/c/o"


def device_at(root):
    (root / "tmp").mkdir(parents=True, exist_ok=True)
    return Objects(root)


@pytest.fixture
def device(tmp_path):
    return device_at(tmp_path / "d1")


def facts(at, data=b"", **more):
    return Facts(path=PATH, timestamp=at, size=len(data), etag=md5(data).hexdigest(), **more)


def put(device, at, data, **more):
    device.put(PART, HASH, data, facts(at, data, **more))


def seen(device):
    """(timestamp, bytes, headers); None for nothing and for a tombstone."""
    found = device.find(PART, HASH)
    if found is None:
        return None
    with found:
        if found.facts.is_gone:
            return None
        return found.facts.timestamp, found.read(0, found.facts.size), found.facts.headers


def leftovers(device):
    return device.tree.unnamed_files()


@pytest.mark.parametrize("size", [0, 1, 1024, object_file.SMALL - 500, object_file.SMALL, 300_000])
def test_what_was_put_is_found(device, size):
    data = os.urandom(size)
    put(device, 10, data, headers={"x-object-meta-a": "é"}, content_type="text/plain", delete_at=5)
    with device.find(PART, HASH) as found:
        assert found.facts == facts(
            10, data, headers={"x-object-meta-a": "é"}, content_type="text/plain", delete_at=5
        )
        assert found.read(0, size + 100) == data[:PIECE]
        assert found.read(PIECE, size + 100) == data[PIECE:]
        assert found.read(size, size + 10) == b""
        assert found.read(3, 8) == data[3:8]
        assert found.data in (None, data)
    assert leftovers(device) == []


def test_facts_may_be_larger_than_what_is_read_at_once(device):
    headers = {f"x-object-meta-{n}": "v" * 200 for n in range(90)}
    for at, data in ((1, b"x" * 100), (2, b"y" * 200_000)):
        put(device, at, data, headers=headers)
        assert seen(device) == (at, data, headers)


def test_bytes_come_in_pieces_and_room_may_be_kept_for_them(device):
    writing = device.begin(PART, HASH)
    writing.reserve(1 << 20)
    for _ in range(3):
        writing.write(b"abc")
    assert writing.size == 9
    writing.commit(facts(1, b"abc" * 3))
    writing.close()
    assert seen(device) == (1, b"abc" * 3, {})


def test_nothing_is_left_of_a_write_that_was_given_up(device):
    writing = device.begin(PART, HASH)
    writing.write(b"x")
    writing.close()
    assert (seen(device), leftovers(device)) == (None, [])


def test_what_is_read_goes_on_when_its_name_gets_another_object(device):
    put(device, 1, b"one" * 100_000)
    with device.find(PART, HASH) as found:
        put(device, 2, b"two")
        assert found.read(299_997, 300_000) == b"one"
    assert seen(device) == (2, b"two", {})


# The newest wins


def test_the_older_gives_way(device):
    put(device, 5, b"new")
    for at in (4, 5):
        with pytest.raises(Superseded) as refused:
            put(device, at, b"old")
        assert refused.value.timestamp == 5
        with pytest.raises(Superseded):
            device.delete(PART, HASH, PATH, at)
    assert seen(device) == (5, b"new", {})
    assert leftovers(device) == []


def test_a_tombstone_keeps_older_objects_away(device):
    put(device, 1, b"x")
    assert device.delete(PART, HASH, PATH, 3).size == 1
    assert seen(device) is None
    with device.find(PART, HASH) as found:
        assert (found.facts.is_gone, found.facts.timestamp) == (True, 3)
    with pytest.raises(Superseded):
        put(device, 2, b"y")
    put(device, 4, b"z")
    assert seen(device) == (4, b"z", {})
    assert device.delete(PART, "f" * 32, PATH, 3) is None, "it may come before what it deletes"


writes = st.lists(st.tuples(st.sampled_from(["put", "delete"]), st.integers(1, 30)), max_size=12)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), writes)
def test_the_order_in_which_writes_come_does_not_matter(tmp_path_factory, data, writes):
    writes = list({at: (verb, at) for verb, at in writes}.values())
    results = []
    for order in (writes, data.draw(st.permutations(writes))):
        device = device_at(tmp_path_factory.mktemp("d"))
        for verb, at in order:
            try:
                if verb == "put":
                    put(device, at, b"%d" % at)
                else:
                    device.delete(PART, HASH, PATH, at)
            except Superseded:
                pass
        results.append(seen(device))
    assert results[0] == results[1]
    last = max(writes, key=lambda one: one[1], default=("delete", 0))
    assert results[0] == (None if last[0] == "delete" else (last[1], b"%d" % last[1], {}))


def test_writers_at_once_leave_the_newest(device):
    def write(start):
        for at in range(start, 200, 4):
            try:
                put(device, at, b"%d" % at)
            except Superseded:
                pass

    threads = [threading.Thread(target=write, args=(start,)) for start in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen(device) == (199, b"199", {})
    assert leftovers(device) == []


# POST


def test_a_post_takes_the_place_of_what_users_may_change(device):
    put(
        device,
        1,
        b"x",
        headers={"x-object-meta-a": "1", "x-object-sysmeta-s": "kept"},
        delete_at=9,
        content_type="text/a",
    )
    told = device.post(PART, HASH, Revision(timestamp=2, headers={"x-object-meta-b": "2"}))
    with device.find(PART, HASH) as found:
        assert found.facts == told
        assert told.headers == {"x-object-meta-b": "2", "x-object-sysmeta-s": "kept"}
        assert (told.timestamp, told.delete_at, told.content_type, told.etag) == (
            2,
            None,
            "text/a",
            md5(b"x").hexdigest(),
        )
        assert found.written.timestamp == 1
    device.post(PART, HASH, Revision(timestamp=3, content_type="text/b", content_type_at=3))
    with device.find(PART, HASH) as found:
        assert (found.facts.content_type, found.facts.headers) == ("text/b", {"x-object-sysmeta-s": "kept"})
    put(device, 4, b"y")
    assert seen(device) == (4, b"y", {})
    assert not os.path.exists(f"{device.tree.folder(PART, HASH)}/{HASH}.post")


def test_a_post_needs_an_object_and_to_be_new(device):
    assert device.post(PART, HASH, Revision(timestamp=2)) is None
    put(device, 5, b"x")
    device.post(PART, HASH, Revision(timestamp=7))
    for at in (4, 5, 6, 7):
        with pytest.raises(Superseded):
            device.post(PART, HASH, Revision(timestamp=at))
    put(device, 6, b"y")
    assert seen(device)[0] == 7, "the post is later than the object that came late"
    device.delete(PART, HASH, PATH, 8)
    assert device.post(PART, HASH, Revision(timestamp=9)) is None


# Death, at any call


def put_two(device):
    put(device, 2, b"two" * 40_000)


def remove(device):
    device.delete(PART, HASH, PATH, 2)


def post_two(device):
    device.post(PART, HASH, Revision(timestamp=2, headers={"x-object-meta-a": "2"}))


ONE = (1, b"one", {})
AFTER = {
    put_two: (2, b"two" * 40_000, {}),
    remove: None,
    post_two: (2, b"one", {"x-object-meta-a": "2"}),
}


@pytest.mark.parametrize("verb", AFTER)
@pytest.mark.parametrize("is_there", [True, False], ids=["over another", "the first"])
def test_whoever_dies_leaves_the_name_before_or_after(tmp_path, monkeypatch, verb, is_there):
    for calls in range(1, 60):
        root = tmp_path / str(calls)
        device = device_at(root)
        if is_there:
            put(device, 1, b"one")
        dying = DyingOs(calls)
        done = False
        with monkeypatch.context() as patch:
            replace_os(patch, dying)
            try:
                verb(device)
                done = True
            except Died:
                dying.bury()
        after = None if verb is post_two and not is_there else AFTER[verb]
        again = device_at(root)
        assert seen(again) == after if done else seen(again) in (ONE if is_there else None, after)
        again.tree.clear_unnamed(60, time.time() + 3600)
        assert leftovers(again) == []
        put(again, 9, b"later")
        assert seen(again) == (9, b"later", {}), "nothing holds the name"
        if done:
            return
    pytest.fail("it never came to its end")


def test_what_is_answered_as_done_is_on_the_disk(device, monkeypatch):
    """The file is flushed before it has its name, and the folder after; new folders, too, and nothing behind that."""
    traced = DyingOs(10_000)
    replace_os(monkeypatch, traced)
    put(device, 1, b"x")
    names = [name for name, _ in traced.trace]
    assert names.index("fdatasync") < names.index("rename") < len(names) - 1 - names[::-1].index("fsync")
    made = [args[0] for name, args in traced.trace if name == "mkdir"]
    assert made.pop(0).startswith(device.tree.unnamed), "where it lies until it has its name need not last"
    assert made == [device.tree.root, f"{device.tree.root}/{PART}", device.tree.folder(PART, HASH)]
    assert names.count("fsync") == len(made) + 1


def test_a_full_disk_is_told_and_leaves_nothing(device, monkeypatch):
    put(device, 1, b"one")

    class Full(DyingOs):
        def __getattr__(self, name):
            if name == "write":
                return self.refuse
            return super().__getattr__(name)

        @staticmethod
        def refuse(*args):
            raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patch:
        replace_os(patch, Full(10_000))
        with pytest.raises(OSError, match="no space"):
            put(device, 2, b"two")
    assert seen(device) == (1, b"one", {})
    assert leftovers(device) == []


# Damage


@pytest.mark.parametrize(
    "harm",
    [
        lambda content: content[:-1],
        lambda content: content[:20],
        lambda content: b"",
        lambda content: content + b"x",
        lambda content: content[:-40] + b"\0" + content[-39:],
        lambda content: bytes(len(content)),
    ],
)
@pytest.mark.parametrize("size", [10, 200_000])
def test_a_damaged_file_is_never_served_and_may_be_replaced(device, harm, size):
    put(device, 5, b"x" * size)
    path = f"{device.tree.folder(PART, HASH)}/{HASH}"
    with open(path, "rb") as file:
        content = harm(file.read())
    with open(path, "wb") as file:
        file.write(content)
    with pytest.raises(Damaged):
        device.find(PART, HASH)
    put(device, 4, b"again")
    assert seen(device) == (4, b"again", {})


def test_a_damaged_post_is_never_served(device):
    put(device, 1, b"x")
    device.post(PART, HASH, Revision(timestamp=2))
    path = f"{device.tree.folder(PART, HASH)}/{HASH}.post"
    with open(path, "r+b") as file:
        file.write(b"?")
    with pytest.raises(Damaged):
        device.find(PART, HASH)
    put(device, 3, b"y")
    assert seen(device) == (3, b"y", {})


def test_an_object_is_not_put_aside_for_what_a_post_said_of_it(device):
    put(device, 1, b"x")
    device.post(PART, HASH, Revision(timestamp=2))
    path = f"{device.tree.folder(PART, HASH)}/{HASH}.post"
    os.truncate(path, 3)
    assert device.quarantine(PART, HASH, "its post is damaged")
    assert seen(device) == (1, b"x", {})
    assert device.quarantine(PART, HASH, "its bytes have another checksum")
    assert device.find(PART, HASH) is None


# Going through all


def test_all_names_are_listed_and_forgotten_by_their_time(device):
    hashes = [f"{n:030x}{n % 3:02x}" for n in range(20)]
    for hashed in hashes:
        device.put(PART, hashed, b"x", facts(1, b"x"))
    device.post(PART, hashes[0], Revision(timestamp=2))
    assert device.tree.partitions() == [PART]
    assert sorted(device.hashes(PART)) == sorted(hashes)
    assert not device.forget(PART, Held(hashed=hashes[0], timestamp=1)), "a post came since"
    assert device.forget(PART, Held(hashed=hashes[0], timestamp=1, revision_at=2))
    assert not device.forget(PART, Held(hashed=hashes[0], timestamp=1, revision_at=2))
    assert sorted(device.hashes(PART)) == sorted(hashes[1:])
    for hashed in hashes[1:]:
        assert device.forget(PART, Held(hashed=hashed, timestamp=1))
    assert device.tree.partitions() == [], "empty folders go"
    device.put(PART, hashes[0], b"x", facts(1, b"x"))
    assert list(device.hashes(PART)) == hashes[:1]
    assert list(device.hashes(99)) == []


# Times


def test_times_are_read_and_written_as_upstream_does():
    assert timestamp.write(timestamp.parse("1763870000.12345")) == "1763870000.12345"
    assert timestamp.parse("1763870000") == 1763870000 * timestamp.TICKS
    assert timestamp.parse(" 1.5 ") == 150_000
    assert timestamp.write(150_000) == "0000000001.50000"
    for wrong in ("", "x", "-1", "1e9", "12345678901", "1.", "nan"):
        with pytest.raises(ValueError, match="no timestamp"):
            timestamp.parse(wrong)
    moments = [timestamp.now() for _ in range(1000)]
    assert moments == sorted(set(moments))
    assert abs(moments[0] / timestamp.TICKS - time.time()) < 5


def test_small_objects_are_looked_at_before_they_are_given(device):
    put(device, 5, b"as it was written")
    path = f"{device.tree.folder(PART, HASH)}/{HASH}"
    with open(path, "r+b") as file:
        file.write(b"A")
    with pytest.raises(Damaged, match="another MD5"):
        device.find(PART, HASH)
    put(device, 4, b"anything may take its place")
    assert seen(device)[1] == b"anything may take its place"
