"""Fragments on a device: a new one stands beside the old until it is durable, and death leaves before or after."""

import os
import time
from hashlib import md5

import pytest

from aerostat.services.object.stores.fragments import Fragments
from aerostat.services.object.stores.held import Held
from aerostat.services.object.stores.object_file import Facts, Geometry, Revision
from aerostat.services.object.stores.opened import Superseded

from .dying import Died, DyingOs, replace_os

HASH = "0123456789abcdef0123456789abcdef"
PART, PATH = 7, "/a/c/o"


def device_at(root):
    (root / "tmp").mkdir(parents=True, exist_ok=True)
    return Fragments(root, 2)


@pytest.fixture
def device(tmp_path):
    return device_at(tmp_path / "d1")


def facts(at, data, index, **more):
    geometry = Geometry(
        data=2, parity=1, segment_bytes=1 << 20, size=2 * len(data), checksum=md5(data).hexdigest()
    )
    return Facts(
        path=PATH, timestamp=at, size=len(data), etag="e" * 32, fragment=index, geometry=geometry, **more
    )


def write(device, at, index=0, data=b"x"):
    writing = device.begin(PART, HASH)
    try:
        writing.write(data)
        writing.commit(facts(at, data, index))
    finally:
        writing.close()


def put(device, at, *indexes):
    for index in indexes or (0,):
        write(device, at, index, b"%d" % at)
    assert device.make_durable(PART, HASH, at)


def seen(device, wanted=None):
    """(timestamp, index, is durable, bytes); None for nothing, "gone" for a tombstone."""
    found = device.find(PART, HASH, wanted)
    if found is None:
        return None
    with found:
        if found.facts.is_gone:
            return "gone"
        data = found.read(0, found.facts.size)
        return found.facts.timestamp, found.facts.fragment, found.is_durable, data


def files(device):
    return sorted(name[len(HASH) :] for name in os.listdir(device.tree.folder(PART, HASH)))


def test_a_fragment_stands_beside_the_object_until_it_is_durable(device):
    write(device, 1, 3, b"one")
    assert seen(device) == (1, 3, False, b"one")
    assert device.make_durable(PART, HASH, 1)
    assert seen(device) == (1, 3, True, b"one")
    write(device, 2, 3, b"two")
    assert seen(device) == (1, 3, True, b"one")
    assert seen(device, (2, 3)) == (2, 3, False, b"two")
    with device.find(PART, HASH) as found:
        assert [(one.timestamp, one.is_durable) for one in found.versions] == [(2, False), (1, True)]
        assert found.facts.geometry.data == 2
    assert device.make_durable(PART, HASH, 2)
    assert seen(device) == (2, 3, True, b"two")
    assert files(device) == [".2.3.durable"]
    assert device.make_durable(PART, HASH, 2), "twice is no harm"
    assert not device.make_durable(PART, HASH, 3)


def test_a_device_may_hold_several_fragments(device):
    put(device, 1, 4, 0)
    assert seen(device) == (1, 0, True, b"1")
    assert seen(device, (1, 4)) == (1, 4, True, b"1")
    assert seen(device, (1, 5)) is None
    put(device, 2, 4)
    assert files(device) == [".2.4.durable"]


def test_what_is_newer_stays(device):
    put(device, 5)
    for verb in (
        lambda: write(device, 4),
        lambda: device.make_durable(PART, HASH, 4),
        lambda: device.delete(PART, HASH, PATH, 4),
        lambda: device.delete(PART, HASH, PATH, 5),
    ):
        with pytest.raises(Superseded) as refused:
            verb()
        assert refused.value.timestamp == 5
    write(device, 5, 0, b"again")
    assert seen(device) == (5, 0, True, b"5"), "what is here already stays as it is"
    write(device, 5, 1)
    assert seen(device, (5, 1)) == (5, 1, False, b"x"), "another fragment of it may come"
    write(device, 9)
    write(device, 8)
    assert device.make_durable(PART, HASH, 8)
    assert files(device) == [".8.0.durable", ".9.0"], "one that may yet become durable is not older"
    assert device.tree.unnamed_files() == []


def test_a_tombstone_takes_what_is_older(device):
    assert device.delete(PART, HASH, PATH, 1) is None
    put(device, 2, 0, 1)
    write(device, 3)
    write(device, 6)
    assert device.delete(PART, HASH, PATH, 4).timestamp == 2
    assert seen(device) == "gone"
    assert files(device) == [".4.gone", ".6.0"]
    for at in (3, 4):
        with pytest.raises(Superseded):
            write(device, at)
    put(device, 5)
    assert seen(device) == (5, 0, True, b"5")
    assert files(device) == [".5.0.durable", ".6.0"]


def test_a_post_is_of_the_durable_version(device):
    assert device.post(PART, HASH, Revision(timestamp=2)) is None
    write(device, 1)
    assert device.post(PART, HASH, Revision(timestamp=2)) is None, "nobody knows whether it will be there"
    device.make_durable(PART, HASH, 1)
    device.post(PART, HASH, Revision(timestamp=2, headers={"x-object-meta-a": "1"}))
    with device.find(PART, HASH) as found:
        assert (found.facts.timestamp, found.facts.headers) == (2, {"x-object-meta-a": "1"})
        assert (found.written.timestamp, found.revision.timestamp) == (1, 2)
    assert device.held(PART, HASH[-1]) == [Held(hashed=HASH, timestamp=1, revision_at=2, fragment=0)]
    put(device, 3)
    assert files(device) == [".3.0.durable"]


def test_what_is_held_is_listed_and_forgotten_one_by_one(device):
    put(device, 1, 0, 1)
    write(device, 2)
    first = Held(hashed=HASH, timestamp=2, fragment=0, is_durable=False)
    rest = [Held(hashed=HASH, timestamp=1, fragment=index) for index in (0, 1)]
    assert device.held(PART, HASH[-1]) == [first, *rest]
    before = device.tree.digests(PART, device.held)
    assert not device.forget(PART, Held(hashed=HASH, timestamp=2, fragment=0))
    for one in (first, *rest):
        assert device.forget(PART, one)
        assert not device.forget(PART, one)
    assert device.tree.partitions() == []
    for index in (2, 5):
        put(device, 1, index)
    write(device, 2, 7)
    assert device.tree.digests(PART, device.held) == before, "which fragments they are does not count"


def test_a_damaged_fragment_is_put_aside(device):
    put(device, 1, 0, 1)
    path = f"{device.tree.folder(PART, HASH)}/{HASH}.1.0.durable"
    os.truncate(path, 5)
    assert seen(device) == (1, 1, True, b"1")
    assert files(device) == [".1.1.durable"]
    assert device.quarantine(PART, HASH, "its bytes have another checksum", (1, 1))
    assert seen(device) is None
    put(device, 1, 0)
    assert seen(device) == (1, 0, True, b"1"), "a copy may take its place"


def write_two(device):
    write(device, 2, 0, b"two" * 40_000)


def settle_two(device):
    write_two(device)
    write(device, 2, 1, b"more")
    device.make_durable(PART, HASH, 2)


def remove(device):
    device.delete(PART, HASH, PATH, 2)


ONE, TWO = (1, 0, True, b"1"), (2, 0, True, b"two" * 40_000)
TWO_YOUNG = (2, 0, False, b"two" * 40_000)


@pytest.mark.parametrize(
    ("verb", "over_another", "over_none"),
    [
        (write_two, {ONE}, {None, TWO_YOUNG}),
        # of several fragments the second may be the first that is called durable
        (settle_two, {ONE, TWO, (2, 1, True, b"more")}, {None, TWO_YOUNG, TWO, (2, 1, True, b"more")}),
        (remove, {ONE, "gone"}, {None, "gone"}),
    ],
    ids=["a fragment", "made durable", "deleted"],
)
@pytest.mark.parametrize("is_there", [True, False], ids=["over another", "the first"])
def test_whoever_dies_leaves_the_name_before_or_after(
    tmp_path, monkeypatch, verb, over_another, over_none, is_there
):
    allowed = over_another if is_there else over_none
    for calls in range(1, 120):
        root = tmp_path / str(calls)
        device = device_at(root)
        if is_there:
            put(device, 1)
        dying = DyingOs(calls)
        done = False
        with monkeypatch.context() as patch:
            replace_os(patch, dying)
            try:
                verb(device)
                done = True
            except Died:
                dying.bury()
        again = device_at(root)
        assert seen(again) in allowed
        again.tree.clear_unnamed(60, time.time() + 3600)
        assert again.tree.unnamed_files() == []
        put(again, 9)
        assert files(again) == [".9.0.durable"], "nothing holds the name, and nothing is left"
        if done:
            return
    pytest.fail("it never came to its end")


def test_what_is_answered_as_done_is_on_the_disk(device, monkeypatch):
    write(device, 1)
    traced = DyingOs(10_000)
    replace_os(monkeypatch, traced)
    write(device, 2)
    device.make_durable(PART, HASH, 2)
    device.delete(PART, HASH, PATH, 3)
    names = [name for name, _ in traced.trace if name in ("fdatasync", "rename", "fsync", "unlink")]
    assert names == [
        *("fdatasync", "rename", "fsync"),
        *("rename", "fsync", "unlink"),
        *("fdatasync", "rename", "fsync", "unlink"),
    ]
