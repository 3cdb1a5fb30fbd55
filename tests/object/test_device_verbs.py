"""The verbs of a device, the same of one here and of one behind a node's HTTP."""

import asyncio
import errno
import inspect
import os
from hashlib import md5

import pytest

from aerostat.services.object.node import wire
from aerostat.services.object.node.server import NodeServer
from aerostat.services.object.stores.device import LocalDevice
from aerostat.services.object.stores.entries import ContainerEntry, Entry
from aerostat.services.object.stores.held import ACCOUNTS, CONTAINERS, Held, Place
from aerostat.services.object.stores.listing import Asked, Subdir
from aerostat.services.object.stores.mark import FORMAT, MARK, OtherFormat, check_format
from aerostat.services.object.stores.object_file import Damaged, Facts, Geometry, Revision
from aerostat.services.object.stores.opened import Superseded, Writing
from aerostat.services.object.stores.protocol import DeviceAway, DeviceVerbs
from aerostat.services.object.stores.sums import PIECE

from .nodes import SECRET, remote, serving, until

PLACE = Place(3, "ab" * 16)
OTHER = Place(3, "cd" * 16)
FAR = Place(9, "ef" * 16)


@pytest.fixture
async def local(tmp_path):
    local = LocalDevice(tmp_path / "d1")
    yield local
    await local.close()


@pytest.fixture(params=["here", "elsewhere"])
async def device(request, local):
    if request.param == "here":
        yield local
        return
    async with serving(NodeServer({"d1": local}, SECRET)) as address:
        with remote(address) as far:
            yield far


def facts(data, at=5, **more):
    return Facts(path="/a/c/o", timestamp=at, size=len(data), etag=md5(data).hexdigest(), **more)


def fragment(data, at=5, index=0):
    geometry = Geometry(
        data=2, parity=1, segment_bytes=1 << 20, size=2 * len(data), checksum=md5(data).hexdigest()
    )
    return facts(data, at, fragment=index, geometry=geometry)


async def whole(found, start=0, end=None):
    return b"".join([piece async for piece in found.stream(start, found.facts.size if end is None else end)])


async def write(begun, data, facts, step=100_000):
    writing = await begun
    try:
        for start in range(0, len(data), step):
            await writing.write(data[start : start + step])
        await writing.commit(facts)
    finally:
        await writing.close()


def leftovers(local):
    return [path for path in local.root.glob("tmp/**/*") if path.is_file()]


def test_all_verbs_go_over_the_wire_with_their_arguments():
    verbs = {name for name in dir(DeviceVerbs) if not name.startswith("_")}
    assert verbs == wire.CALLS.keys() | wire.OPENING.keys()
    for verb in verbs:
        names = list(inspect.signature(getattr(DeviceVerbs, verb)).parameters)[1:]
        asked = wire.OPENING[verb] if verb in wire.OPENING else wire.CALLS[verb][0]
        arguments = [one for one in asked.__args__ if one != ()]
        assert len(arguments) == len(names), verb


# Objects


@pytest.mark.parametrize("size", [0, 100, 60_000, 3 * PIECE + 7, 3 << 20])
async def test_bytes_come_back(device, size):
    data = os.urandom(size)
    for at, step in ((5, 100_000), (6, 2 << 20)):
        await write(device.begin(0, PLACE, size), data, facts(data, at), step)
    found = await device.find(0, PLACE)
    assert found.facts == found.written == facts(data, 6)
    assert await whole(found) == data
    assert await whole(found, size // 3, size // 2) == data[size // 3 : size // 2]
    assert (found.data is not None) == (size < 65_000)
    await found.close()
    assert await device.find(1, PLACE) is None, "another policy has names of its own"
    assert (await device.delete(0, PLACE, "/a/c/o", 7)).size == size
    found = await device.find(0, PLACE)
    assert found.facts.is_gone
    await found.close()


async def test_an_open_object_stays_what_it_is(device):
    old, new = os.urandom(PIECE * 3), os.urandom(PIECE * 3)
    await device.put(0, PLACE, old, facts(old))
    found = await device.find(0, PLACE)
    stream = found.stream(0, len(old))
    first = await anext(stream)
    await device.put(0, PLACE, new, facts(new, 6))
    assert first + b"".join([piece async for piece in stream]) == old
    assert await whole(found, 5, 9) == old[5:9]
    with pytest.raises(EOFError):
        await whole(found, 0, len(old) + 1)
    await found.close()


async def test_nothing_is_left_of_a_write_that_was_given_up(device, local):
    writing = await device.begin(0, PLACE, 1000)
    await writing.write(b"x" * 100)
    await writing.close()
    assert (await device.find(0, PLACE), leftovers(local)) == (None, [])


async def test_bytes_that_are_not_as_many_as_told_are_refused(device, local):
    for size in (99, 101):
        with pytest.raises(ValueError, match="100 bytes came"):
            await write(device.begin(0, PLACE, None), b"x" * 100, facts(b"x" * size))
        with pytest.raises(ValueError, match="100 bytes came"):
            await device.put(0, PLACE, b"x" * 100, facts(b"x" * size))
    assert (await device.find(0, PLACE), leftovers(local)) == (None, [])


async def test_what_is_newer_is_told(device, local):
    await device.put(0, PLACE, b"new", facts(b"new", 7))
    for verb in (
        lambda: device.put(0, PLACE, b"old", facts(b"old", 6)),
        lambda: write(device.begin(0, PLACE), b"old", facts(b"old", 6)),
        lambda: device.delete(0, PLACE, "/a/c/o", 6),
        lambda: device.post(0, PLACE, Revision(timestamp=6)),
    ):
        with pytest.raises(Superseded) as refused:
            await verb()
        assert refused.value.timestamp == 7
    assert leftovers(local) == []


async def test_a_copy_is_what_the_original_is(device, tmp_path):
    await device.put(0, PLACE, b"x", facts(b"x", 5, content_type="a/b", headers={"x-object-sysmeta-s": "1"}))
    typed = Revision(timestamp=6, content_type="c/d", content_type_at=6)
    assert (await device.post(0, PLACE, typed)).content_type == "c/d"
    await device.post(0, PLACE, Revision(timestamp=7, headers={"x-object-meta-m": "2"}))
    found = await device.find(0, PLACE)
    assert found.facts.content_type == "c/d", "a later post without a type leaves it"
    other = LocalDevice(tmp_path / "d2")
    await other.put(0, PLACE, found.data, found.written)
    await other.post(0, PLACE, found.revision)
    assert await other.held("objects", 3) == await device.held("objects", 3)
    assert await other.digests("objects", 3) == await device.digests("objects", 3)
    (held,) = await device.held("objects", 3, PLACE.hashed[-1])
    assert (held.timestamp, held.revision_at, held.type_at) == (5, 7, 6)
    await found.close()
    await other.close()


async def test_posts_come_in_any_order(device, tmp_path):
    other = LocalDevice(tmp_path / "d2")
    posts = [
        Revision(timestamp=7, headers={"m": "7"}),
        Revision(timestamp=6, content_type="c/d", content_type_at=6),
    ]
    seen = []
    for one, order in ((device, posts), (other, posts[::-1])):
        await one.put(0, PLACE, b"x", facts(b"x"))
        for post in order:
            await one.post(0, PLACE, post)
        with pytest.raises(Superseded):
            await one.post(0, PLACE, posts[0])
        found = await one.find(0, PLACE)
        seen.append(found.facts)
        await found.close()
    await other.close()
    assert seen[0] == seen[1]
    assert (seen[0].content_type, seen[0].headers) == ("c/d", {"m": "7"})


async def test_a_damaged_object_is_told_and_put_aside(device, local):
    await device.put(0, PLACE, b"x" * 100, facts(b"x" * 100))
    before = await device.digests("objects", 3)
    os.truncate(local.objects(0).tree.folder(3, PLACE.hashed) + f"/{PLACE.hashed}", 50)
    with pytest.raises(Damaged):
        await device.find(0, PLACE)
    assert await device.held("objects", 3) == []
    assert not await device.quarantine("objects", PLACE, "it is cut short")
    assert await device.find(0, PLACE) is None
    assert (await device.status()).quarantined == {"objects": 1}
    await device.put(0, PLACE, b"x" * 100, facts(b"x" * 100))
    assert await device.digests("objects", 3) == before


async def test_what_moved_on_is_forgotten(device):
    await device.put(0, PLACE, b"x", facts(b"x"))
    await device.put(0, FAR, b"x", facts(b"x"))
    await device.put(2, PLACE, b"x", facts(b"x"))
    assert list(await device.partitions("objects")) == [3, 9]
    assert list(await device.partitions("objects-2")) == [3]
    assert list(await device.partitions("fragments-2")) == []
    assert await device.digests("objects", 4) == {}
    assert not await device.forget("objects", 3, Held(hashed=PLACE.hashed, timestamp=4))
    assert await device.forget("objects", 3, Held(hashed=PLACE.hashed, timestamp=5))
    assert list(await device.partitions("objects")) == [9]
    assert (await device.status()).stores == ["objects", "objects-2"]


async def test_a_device_without_room_for_digests_is_compared_all_the_same(device, local, monkeypatch):
    monkeypatch.setattr("aerostat.services.object.stores.tree.SETTLED_NS", -1)
    await device.put(0, PLACE, b"x", facts(b"x"))
    written = await device.digests("objects", 3)
    await device.put(0, OTHER, b"x", facts(b"x"))

    def full(*_args, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = [path for path in (local.root / "tmp").rglob("*") if path.is_file()]
    monkeypatch.setattr("aerostat.services.object.stores.tree.os.rename", full)
    assert written.items() < (await device.digests("objects", 3)).items()
    left = [path for path in (local.root / "tmp").rglob("*") if path.is_file()]
    assert left == before, "nothing is left of what could not be kept"


async def test_digests_tell_every_change(device, monkeypatch):
    monkeypatch.setattr("aerostat.services.object.stores.tree.SETTLED_NS", -1)
    seen = []

    async def look():
        seen.append(dict(await device.digests("objects", 3)))
        assert dict(await device.digests("objects", 3)) == seen[-1]

    await device.put(0, PLACE, b"x", facts(b"x"))
    await look()
    await device.put(0, OTHER, b"x", facts(b"x"))
    await look()
    await device.post(0, PLACE, Revision(timestamp=6))
    await look()
    await device.delete(0, PLACE, "/a/c/o", 8)
    await look()
    assert len({str(one) for one in seen}) == len(seen)
    assert seen[0].keys() == {"b"}
    assert len({one["d"] for one in seen[1:]}) == 1


# Fragments


async def test_fragments_wait_beside_the_object(device):
    small, large = b"x" * 100, os.urandom(3 * PIECE)
    await write(device.begin_fragment(2, PLACE), small, fragment(small))
    found = await device.find_fragment(2, PLACE)
    assert (found.is_durable, found.facts.fragment, await whole(found)) == (False, 0, small)
    await found.close()
    assert await device.make_durable(2, PLACE, 5)
    assert not await device.make_durable(2, OTHER, 5)
    for index in (0, 1):
        await write(device.begin_fragment(2, PLACE, len(large)), large, fragment(large, 6, index))
    found = await device.find_fragment(2, PLACE)
    assert (found.is_durable, found.facts.timestamp, found.facts.geometry.data) == (True, 5, 2)
    assert [(one.timestamp, one.fragment, one.is_durable) for one in found.versions] == [
        (6, 0, False),
        (6, 1, False),
        (5, 0, True),
    ]
    await found.close()
    found = await device.find_fragment(2, PLACE, (6, 1))
    assert await whole(found) == large
    await found.close()
    assert await device.find_fragment(2, PLACE, (6, 2)) is None
    assert await device.make_durable(2, PLACE, 6)
    assert [one.timestamp for one in await device.held("fragments-2", 3)] == [6, 6]
    assert (await device.post_fragments(2, PLACE, Revision(timestamp=7, headers={"m": "1"}))).headers == {
        "m": "1"
    }
    with pytest.raises(Superseded):
        await write(device.begin_fragment(2, PLACE), small, fragment(small))
    with pytest.raises(ValueError, match="geometry"):
        await write(device.begin_fragment(2, PLACE), small, facts(small, 9))
    assert (await device.delete_fragments(2, PLACE, "/a/c/o", 8)).timestamp == 6
    assert [(one.timestamp, one.is_gone) for one in await device.held("fragments-2", 3)] == [(8, True)]


# Containers and accounts


async def test_a_container_is_made_once_and_comes_back_new(device):
    said = {"x-container-meta-a": ("1", 5)}
    assert await device.hear_objects(PLACE, [Entry(name="o", timestamp=5)]) is False
    assert await device.make_container(PLACE, "/a/c", 5, 1, said) is True
    assert await device.make_container(PLACE, "/a/c", 6, 1, {}) is False
    status, found = await device.container(PLACE)
    assert (status.policy, status.put_at, found) == (1, 6, said)
    assert await device.hear_objects(PLACE, [Entry(name="o", timestamp=7, size=3)]) is True
    assert [entry.name for entry in await device.list_container(PLACE, Asked())] == ["o"]
    assert await device.delete_container(PLACE, 8) is False
    await device.hear_objects(PLACE, [Entry(name="o", timestamp=9, is_gone=True)])
    assert await device.delete_container(PLACE, 6) is False, "it was made later"
    assert await device.delete_container(PLACE, 10) is True
    assert await device.delete_container(PLACE, 11) is None
    assert await device.container(PLACE) is None
    assert await device.list_container(PLACE, Asked()) is None
    assert await device.say_of_container(PLACE, said) is False
    assert await device.make_container(PLACE, "/a/c", 12, 2, {}) is True
    status, found = await device.container(PLACE)
    assert (status.policy, found) == (2, {"x-container-meta-a": ("", 10)})
    assert await device.delete_container(OTHER, 12) is None


async def test_many_make_a_container_at_once_and_it_is_new_once(device):
    made = await asyncio.gather(
        *(device.make_container(PLACE, "/a/c", at, 0, {f"m{at}": ("1", at)}) for at in range(1, 20))
    )
    assert made.count(True) == 1
    status, said = await device.container(PLACE)
    assert (status.put_at, len(said)) == (19, 19)


async def test_pages_have_names_and_subdirs(device):
    await device.make_container(PLACE, "/a/c", 1, 0, {})
    await device.hear_objects(
        PLACE, [Entry(name=name, timestamp=5, size=1) for name in ("a/1", "a/2", "b\0\n", "é")]
    )
    page = await device.list_container(PLACE, Asked(delimiter="/"))
    assert [one.name for one in page] == ["a/", "b\0\n", "é"]
    assert page[0] == Subdir("a/")
    assert page[1] == Entry(name="b\0\n", timestamp=5, size=1)


async def test_an_account_knows_its_containers(device):
    assert await device.account(PLACE) is None
    assert await device.make_account(PLACE, "/a", 5, {}) is True
    assert await device.hear_containers(PLACE, [ContainerEntry(name="c/d", put_at=6, objects=2, bytes=9)])
    status, _ = await device.account(PLACE)
    assert (status.containers, status.objects, status.bytes) == (1, 2, 9)
    assert [entry.name for entry in await device.list_account(PLACE, Asked())] == ["c/d"]
    assert await device.list_account(PLACE, Asked(delimiter="/")) == [Subdir("c/")]
    assert await device.say_of_account(PLACE, {"x-account-meta-a": ("1", 7)}) is True
    assert (await device.account(PLACE))[1] == {"x-account-meta-a": ("1", 7)}
    assert await device.delete_account(PLACE, 8) is True
    assert await device.delete_account(PLACE, 8) is None
    assert await device.account(PLACE) is None


async def test_databases_are_copied(device, tmp_path):
    other = LocalDevice(tmp_path / "d2")
    await device.make_container(PLACE, "/a/c", 1, 1, {"m": ("1", 1)})
    await device.hear_objects(PLACE, [Entry(name=f"{n:02}", timestamp=5, size=n) for n in range(30)])
    await device.hear_objects(PLACE, [Entry(name="07", timestamp=6, is_gone=True)])
    (state,) = await device.databases(CONTAINERS, 3)
    assert (state.hashed, state.rows, state.policy) == (PLACE.hashed, 29, 1)
    start = 0
    while (page := await device.rows_since(CONTAINERS, PLACE, start, 7)).rows:
        merged = await other.merge_database(CONTAINERS, PLACE, state, page.rows, page.change)
        start = page.change
    assert (merged.rows, merged.checksum, merged.said) == (state.rows, state.checksum, state.said)
    assert merged.heard == {state.file_id: state.change}
    await other.make_container(PLACE, "/a/c", 9, 1, {"n": ("2", 9)})
    rows = await other.rows_since(CONTAINERS, PLACE, 0, 100)
    back = await device.merge_database(CONTAINERS, PLACE, await other.database(CONTAINERS, PLACE), rows.rows)
    assert (back.put_at, back.said) == (9, {"m": ("1", 1), "n": ("2", 9)})
    assert back.checksum == state.checksum
    assert await device.forget_gone(CONTAINERS, PLACE, 7) == 1
    assert await device.rows_since(CONTAINERS, OTHER, 0, 7) is None
    assert await device.database(CONTAINERS, OTHER) is None
    await device.make_account(PLACE, "/a", 1, {})
    await device.hear_containers(PLACE, [ContainerEntry(name="c", put_at=2, objects=3, bytes=4)])
    rows = (await device.rows_since(ACCOUNTS, PLACE, 0, 7)).rows
    await other.merge_database(ACCOUNTS, PLACE, await device.database(ACCOUNTS, PLACE), rows)
    assert (await other.account(PLACE))[0].policies == (await device.account(PLACE))[0].policies
    await other.close()


async def test_a_database_goes_as_it_was_seen_and_may_come_again(device):
    await device.make_container(PLACE, "/a/c", 1, 0, {})
    seen = await device.database(CONTAINERS, PLACE)
    await device.hear_objects(PLACE, [Entry(name="a", timestamp=5)])
    assert not await device.remove_database(CONTAINERS, PLACE, seen.file_id, seen.change)
    seen = await device.database(CONTAINERS, PLACE)
    assert await device.remove_database(CONTAINERS, PLACE, seen.file_id, seen.change)
    assert await device.container(PLACE) is None
    assert list(await device.partitions(CONTAINERS)) == []
    assert not await device.hear_objects(PLACE, [Entry(name="b", timestamp=5)])
    assert await device.make_container(PLACE, "/a/c", 2, 0, {})
    again = await device.database(CONTAINERS, PLACE)
    assert again.file_id != seen.file_id
    assert again.rows == 0


async def test_a_damaged_database_is_told_and_put_aside(device, local, tmp_path):
    await device.make_container(PLACE, "/a/c", 1, 0, {})
    await device.make_container(OTHER, "/a/d", 1, 0, {})
    path = local._containers.path(3, PLACE.hashed)
    path.unlink()
    path.write_bytes(b"no database" * 1000)
    for verb in (
        device.container(PLACE),
        device.database(CONTAINERS, PLACE),
        device.make_container(PLACE, "/a/c", 2, 0, {}),
    ):
        with pytest.raises(Damaged):
            await verb
    assert [state.hashed for state in await device.databases(CONTAINERS, 3)] == [OTHER.hashed]
    assert (await device.status()).quarantined["containers"] >= 1
    assert await device.container(PLACE) is None
    assert await device.make_container(PLACE, "/a/c", 3, 0, {})


# The device


async def test_a_full_disk_is_told_and_leaves_nothing(device, local, monkeypatch):
    def refuse(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Writing, "_write", refuse)
    for verb in (
        lambda: device.put(0, PLACE, b"x", facts(b"x")),
        lambda: write(device.begin(0, PLACE), bytes(5 << 20), facts(bytes(5 << 20))),
    ):
        with pytest.raises(OSError, match="No space") as told:
            await verb()
        assert told.value.errno == errno.ENOSPC
    monkeypatch.setattr(
        Writing, "reserve", lambda self, size: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left"))
    )
    with pytest.raises(OSError, match="No space"):
        await device.begin(0, PLACE, 100)
    await until(lambda: leftovers(local) == [])


async def test_a_listing_that_finds_no_room_is_told_and_goes_on_later(device, local):
    def limit(pages):
        return local._containers.ask(
            3, PLACE.hashed, lambda found: found.rows(f"PRAGMA max_page_count = {pages}")
        )

    await device.make_container(PLACE, "/a/c", 1, 0, {})
    await limit(1)
    many = [Entry(name=f"{n:0100}", timestamp=5, size=1) for n in range(1000)]
    for verb in (
        lambda: device.hear_objects(PLACE, many),
        lambda: device.say_of_container(PLACE, {f"m{n}": ("x" * 200, 5) for n in range(200)}),
    ):
        with pytest.raises(OSError, match="full") as told:
            await verb()
        assert told.value.errno == errno.ENOSPC
    assert await device.list_container(PLACE, Asked()) == []
    await limit(1 << 30)
    assert await device.hear_objects(PLACE, many)
    assert len(await device.list_container(PLACE, Asked())) == 1000


async def test_an_unmounted_device_is_away_and_not_filled(device, local):
    await device.put(0, PLACE, b"x", facts(b"x"))
    status = await device.status()
    assert status.total_bytes > status.free_bytes > 0
    assert len(status.device_id) == 32
    mounted, empty = local.root, local.root.with_name("unmounted")
    mounted.rename(empty)
    mounted.mkdir()
    for verb in (
        device.find(0, PLACE),
        device.put(0, PLACE, b"x", facts(b"x", 6)),
        device.make_container(PLACE, "/a/c", 1, 0, {}),
        device.status(),
    ):
        with pytest.raises(DeviceAway):
            await verb
    assert list(mounted.iterdir()) == []
    mounted.rmdir()
    empty.rename(mounted)
    assert (await device.status()).device_id == status.device_id
    found = await device.find(0, PLACE)
    await found.close()


@pytest.mark.parametrize("marked", ["", "format 1\n", "format 3\n", "format ?\n"])
async def test_a_device_of_another_format_is_refused(local, marked):
    """Be it known or new: what lies on it would be misread."""
    known = (await local.status()).device_id
    mark = local.root / MARK
    assert mark.read_text() == f"{known}\nformat {FORMAT}\n"
    other_mark = local.root / "another"
    other_mark.write_text(f"{known}\n{marked}")
    other_mark.rename(mark)
    for device_id in (None, known):
        with pytest.raises(OtherFormat, match=rf"{local.root} was written by an? (older|newer) version"):
            LocalDevice(local.root, device_id=device_id)
    with pytest.raises(DeviceAway, match="has the format"):  # one that is mounted while we run
        await local.put(0, PLACE, b"x", facts(b"x"))
    check_format(local.root / "nothing there")
    other = LocalDevice(local.root, device_id="of another disk")
    with pytest.raises(DeviceAway, match="is another device"):
        await other.find(0, PLACE)
    await other.close()


async def test_another_disk_is_not_taken_for_this_one(local, tmp_path):
    known = (await local.status()).device_id
    for root in (tmp_path / "nothing", tmp_path / "another"):
        if root.name == "another":
            await LocalDevice(root).close()
        before = sorted(root.iterdir()) if root.exists() else None
        device = LocalDevice(root, device_id=known)
        with pytest.raises(DeviceAway):
            await device.put(0, PLACE, b"x", facts(b"x"))
        assert (sorted(root.iterdir()) if root.exists() else None) == before
        await device.close()
    again = LocalDevice(local.root, device_id=known)
    await again.put(0, PLACE, b"x", facts(b"x"))
    await again.close()
