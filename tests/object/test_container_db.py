"""Containers on a device: words about objects come late, twice and in any order, and the sums are right."""

import sqlite3
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerostat.services.object.stores.container_db import ContainerDb, Entry
from aerostat.services.object.stores.listing import Asked, Subdir

PATH = "/AUTH_a/c"


def made(folder, name="c.db"):
    ContainerDb.make(folder / name, folder / "new", name=PATH, at=1, policy=2)
    return ContainerDb(folder / name)


@pytest.fixture
def container(tmp_path):
    container = made(tmp_path)
    yield container
    container.close()


def put(name, at, size=1, **more):
    return Entry(name=name, timestamp=at, size=size, etag=f"e{at}", content_type="text/plain", **more)


def gone(name, at):
    return Entry(name=name, timestamp=at, is_gone=True)


def names(container, **asked):
    return [("dir " if isinstance(one, Subdir) else "") + one.name for one in container.list(Asked(**asked))]


def sums(container):
    status = container.container()
    return status.objects, status.bytes


def test_a_new_container_is_empty_and_known(container, tmp_path):
    status = container.container()
    assert (status.path, status.policy, status.created_at, status.put_at) == (PATH, 2, 1, 1)
    assert (status.objects, status.bytes, status.is_deleted) == (0, 0, False)
    assert not list(tmp_path.glob("new*"))
    with pytest.raises(FileNotFoundError):
        ContainerDb(tmp_path / "none")


def test_made_twice_it_stays_what_it_was(container, tmp_path):
    container.hear([put("a", 5)])
    ContainerDb.make(container.path, tmp_path / "new", name=PATH, at=9, policy=0)
    again = ContainerDb(container.path)
    assert (again.container().created_at, again.container().policy, sums(again)) == (1, 2, (1, 1))
    again.close()


def test_names_are_listed_in_order_of_their_bytes(container):
    container.hear(put(name, 5) for name in ("b", "é", "a/2", "a/1", "Z", "\U0001f600", "a0"))
    assert names(container) == ["Z", "a/1", "a/2", "a0", "b", "é", "\U0001f600"]
    assert names(container, delimiter="/") == ["Z", "dir a/", "a0", "b", "é", "\U0001f600"]
    assert names(container, reverse=True, limit=2) == ["\U0001f600", "é"]
    assert names(container, marker="a/1", end_marker="b") == ["a/2", "a0"]


def test_what_a_post_says_counts_by_its_own_time(container):
    container.hear(
        [
            put("a", 5),
            Entry(name="a", timestamp=5, size=1, etag="e5", content_type="x/y", type_at=7, meta_at=8),
        ]
    )
    (entry,) = container.since(0, 10).objects
    assert (entry.timestamp, entry.etag, entry.content_type, entry.meta_at) == (5, "e5", "x/y", 8)
    (listed,) = container.list(Asked())
    assert (listed.timestamp, listed.etag, listed.content_type) == (8, "e5", "x/y")
    container.hear([put("a", 6)])
    (entry,) = container.since(0, 10).objects
    assert (entry.timestamp, entry.etag, entry.content_type, entry.meta_at) == (6, "e6", "x/y", 8)


words = st.lists(
    st.builds(
        lambda name, at, size, is_gone: gone(name, at) if is_gone else put(name, at, size),
        st.sampled_from("abcd"),
        st.integers(1, 20),
        st.integers(0, 9),
        st.booleans(),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(words, st.data())
def test_words_may_come_in_any_order_and_twice(tmp_path_factory, words, data):
    """At one time there is one word: two writes never have the same."""
    words = list({(word.name, word.timestamp): word for word in words}.values())
    found = []
    for order in (words, data.draw(st.permutations(words + words))):
        container = made(tmp_path_factory.mktemp("c"))
        cut = len(order) // 2
        container.hear(order[:cut])
        container.hear(order[cut:])
        listed = container.list(Asked())
        assert sums(container) == (len(listed), sum(entry.size for entry in listed))
        found.append(listed)
        container.close()
    assert found[0] == found[1]
    newest = {}
    for word in words:
        if word.timestamp > newest.get(word.name, word).timestamp or word.name not in newest:
            newest[word.name] = word
    assert [(entry.name, entry.timestamp) for entry in found[0]] == sorted(
        (word.name, word.timestamp) for word in newest.values() if not word.is_gone
    )


def test_writers_at_once_lose_nothing(container):
    other = ContainerDb(container.path)

    def write(database, start):
        for n in range(start, 400, 4):
            database.hear([put(f"{n:04}", n + 1)])

    threads = [
        threading.Thread(target=write, args=(database, start))
        for start, database in enumerate([container, other, container, other])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums(container) == (400, 400)
    assert names(other) == [f"{n:04}" for n in range(400)]
    other.close()


def test_a_batch_counts_whole_or_not_at_all(container):
    def broken():
        yield put("a", 5)
        raise RuntimeError("died")

    with pytest.raises(RuntimeError, match="died"):
        container.hear(broken())
    assert (names(container), sums(container)) == ([], (0, 0))
    container.hear([put("a", 5)])
    assert sums(container) == (1, 1)


def test_a_transaction_that_cannot_end_holds_up_none_that_follow(container):
    """The disk may be full only at the very end."""

    def refuse(action, what, *_):
        ends = action == sqlite3.SQLITE_TRANSACTION and what == "COMMIT"
        return sqlite3.SQLITE_DENY if ends else sqlite3.SQLITE_OK

    def write():
        with container.writing() as db:
            db.execute("INSERT INTO gone VALUES ('a', 9, 9)")
            db.set_authorizer(refuse)

    with pytest.raises(sqlite3.DatabaseError, match="authorized"):
        write()
    container._db.set_authorizer(None)
    container.hear([put("a", 5)])
    assert names(container) == ["a"]


# The container itself


def test_only_an_empty_container_is_deleted_and_it_comes_back_new(container):
    container.hear([put("a", 5)])
    assert not container.delete(10)
    container.hear([gone("a", 6)])
    assert container.delete(10)
    assert container.container().is_deleted
    assert container.delete(10) is None, "a repeat is no harm"
    assert not container.put_again(9), "that was before"
    assert container.container().is_deleted
    assert container.put_again(11)
    assert not container.put_again(12)
    status = container.container()
    assert (status.is_deleted, status.changed_at) == (False, 11)


def test_of_each_metadata_name_the_newest_word_stays(container):
    container.say({"x-container-meta-a": ("1", 5), "x-container-meta-b": ("2", 5)})
    container.say({"x-container-meta-a": ("", 7)})
    container.say({"x-container-meta-a": ("late", 6), "x-container-meta-b": ("3", 8)})
    assert container.metadata() == {"x-container-meta-a": ("", 7), "x-container-meta-b": ("3", 8)}


def test_what_was_said_of_a_container_goes_with_it(container):
    container.say({"x-container-read": (".r:*", 5)})
    container.delete(6)
    assert container.put_again(7, 1, {"x-container-meta-a": ("new", 7)})
    assert container.metadata() == {"x-container-read": ("", 6), "x-container-meta-a": ("new", 7)}
    assert container.container().policy == 1, "it is a new one"


def test_deleted_names_are_forgotten_in_time(container):
    container.hear([gone("a", 5), gone("b", 9)])
    assert container.forget_gone(9) == 1
    container.hear([put("a", 4), put("b", 4)])
    assert names(container) == ["a"]


def test_a_damaged_file_is_told(tmp_path):
    path = tmp_path / "c.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        ContainerDb(path)
