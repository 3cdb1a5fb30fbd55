"""Copies of databases: whatever each has heard, they hold the same when they have told each other."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerostat.services.object.stores.account_db import AccountDb
from aerostat.services.object.stores.container_db import ContainerDb
from aerostat.services.object.stores.database import Retired
from aerostat.services.object.stores.entries import ContainerEntry, Entry
from aerostat.services.object.stores.listing import Asked


def made(folder, kind=ContainerDb, name="one", at=1, **more):
    kind.make(folder / f"{name}.db", folder / "new", name="/a/c", at=at, **more)
    return kind(folder / f"{name}.db")


@pytest.fixture
def two(tmp_path):
    copies = [made(tmp_path, name=name, at=at) for name, at in (("one", 1), ("two", 2))]
    yield copies
    for copy in copies:
        copy.close()


def put(name, at, size=1):
    return Entry(name=name, timestamp=at, size=size, etag=f"e{at}", content_type="t/p")


def gone(name, at):
    return Entry(name=name, timestamp=at, is_gone=True)


def tell(one, other, limit=3):
    """As a replicator does: all that the other has not heard yet; answers how many rows were sent."""
    state, start = one.state(), other.state().heard.get(one.state().file_id, 0)
    sent = 0
    while True:
        page = one.since(start, limit)
        other.merge(state, page.rows, page.change)
        sent += len(page.rows)
        if not page.rows:
            return sent
        start = page.change


def alike(state):
    return (
        state.created_at,
        state.put_at,
        state.deleted_at,
        state.changed_at,
        state.policy,
        state.rows,
        state.checksum,
        state.said,
    )


def test_only_what_is_new_is_told(two):
    one, other = two
    one.hear(put(f"{n}", 5) for n in range(10))
    assert tell(one, other) == 10
    assert tell(one, other) == 0
    one.hear([put("3", 6, 9), gone("4", 6), put("5", 5)])
    assert tell(one, other) == 2
    assert (one.state().rows, one.state().checksum) == (other.state().rows, other.state().checksum)
    assert (other.container().objects, other.container().bytes) == (9, 17)
    assert tell(other, one) == 10, "all of it once: it cannot know from whom it came"
    assert tell(other, one) == 0
    assert tell(one, other) == 0


def test_what_is_said_of_it_is_told_too(two):
    one, other = two
    one.say({"x-container-meta-a": ("1", 5), "x-container-meta-b": ("2", 5)})
    other.say({"x-container-meta-a": ("3", 6)})
    other.put_again(7)
    tell(one, other)
    tell(other, one)
    assert alike(one.state()) == alike(other.state())
    assert one.metadata() == {"x-container-meta-a": ("3", 6), "x-container-meta-b": ("2", 5)}
    one.delete(8)
    tell(one, other)
    assert other.container().is_deleted
    assert other.metadata() == {"x-container-meta-a": ("", 8), "x-container-meta-b": ("", 8)}


words = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.one_of(
            st.builds(put, st.sampled_from("abcd"), st.integers(3, 20), st.integers(0, 9)),
            st.builds(gone, st.sampled_from("abcd"), st.integers(3, 20)),
            st.builds(
                ContainerEntry,
                name=st.sampled_from("abc"),
                put_at=st.integers(1, 9),
                deleted_at=st.integers(0, 9),
                objects=st.integers(0, 5),
                bytes=st.integers(0, 50),
                policy=st.integers(0, 2),
                said_at=st.integers(1, 5),
            ),
            st.sampled_from(["delete", "put", "say"]).flatmap(
                lambda verb: st.tuples(st.just(verb), st.integers(3, 20), st.integers(0, 2))
            ),
        ),
    ),
    max_size=25,
)


@pytest.mark.parametrize("kind", [ContainerDb, AccountDb])
@settings(max_examples=60, deadline=None)
@given(words=words)
def test_copies_that_told_each_other_are_alike(tmp_path_factory, kind, words):
    folder = tmp_path_factory.mktemp("c")
    one, other = made(folder, kind), made(folder, kind, name="two", policy=1)
    rows = Entry if kind is ContainerDb else ContainerEntry
    for which, word in words:
        database = (one, other)[which]
        match word:
            case ("delete", at, _):
                database.delete(at)
            case ("put", at, policy):
                database.put_again(at, policy)
            case ("say", at, value):
                database.say({"x": (str(value), at)})
            case _ if isinstance(word, rows):
                database.hear([word])
    for _ in range(2):
        tell(one, other)
        tell(other, one)
    assert alike(one.state()) == alike(other.state())
    assert list(one.list(Asked())) == list(other.list(Asked())) or kind is AccountDb
    assert [row.name for row in one.list(Asked())] == [row.name for row in other.list(Asked())]
    assert (one.state().checksum == 0) == (one.state().rows == 0)
    for database in (one, other):
        database.close()


def test_the_checksum_is_of_what_is_there_and_of_nothing_else(two):
    one, other = two
    one.hear([put("a", 5), put("b", 6), gone("b", 7), put("c", 5), put("c", 8)])
    other.hear([put("c", 8)])
    other.hear([put("a", 5)])
    assert one.state().checksum == other.state().checksum != 0
    assert one.forget_gone(9) == 1
    assert one.state().checksum == other.state().checksum
    other.hear([put("a", 6)])
    assert one.state().checksum != other.state().checksum


def test_a_file_goes_only_as_it_was_last_seen_and_nobody_writes_into_it_then(two):
    one, _ = two
    same = ContainerDb(one.path)
    state = one.state()
    same.say({"x-container-meta-a": ("1", 5)})
    assert not one.retire(state.file_id, state.change)
    assert not one.retire("another", one.state().change)
    assert one.retire(state.file_id, one.state().change)
    for write in (
        lambda: same.hear([put("a", 5)]),
        lambda: same.put_again(9),
        lambda: same.say({"a": ("", 9)}),
    ):
        with pytest.raises(Retired):
            write()
    same.close()
