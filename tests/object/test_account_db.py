"""Accounts on a device: what containers say of themselves, and sums that are right."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerostat.services.object.stores.account_db import AccountDb, ContainerEntry, PolicySum
from aerostat.services.object.stores.listing import Asked


def made(folder):
    AccountDb.make(folder / "a.db", folder / "new", name="/AUTH_a", at=1)
    return AccountDb(folder / "a.db")


@pytest.fixture
def account(tmp_path):
    account = made(tmp_path)
    yield account
    account.close()


def says(name, put_at, **more):
    return ContainerEntry(name=name, put_at=put_at, **more)


def names(account, **asked):
    return [entry.name for entry in account.list(Asked(**asked))]


def test_sums_are_by_policy_and_follow(account):
    account.hear([says("a", 2, objects=3, bytes=30), says("b", 2, objects=1, bytes=5, policy=1)])
    account.hear([says("a", 2, objects=4, bytes=31)])
    status = account.account()
    assert (status.containers, status.objects, status.bytes) == (2, 5, 36)
    assert status.policies[1] == PolicySum(policy=1, containers=1, objects=1, bytes=5)
    account.hear([says("b", 2, deleted_at=3, policy=1)])
    assert (account.account().containers, account.account().bytes) == (1, 31)
    assert names(account) == ["a"]


def test_a_container_that_came_back_is_not_what_it_was(account):
    account.hear([says("a", 2, objects=3, bytes=30), says("a", 2, deleted_at=5)])
    assert names(account) == []
    account.hear([says("a", 6, policy=1)])
    account.hear([says("a", 2, deleted_at=5, objects=9)])
    (entry,) = account.list(Asked())
    assert (entry.put_at, entry.objects, entry.policy) == (6, 0, 1)


def test_containers_are_listed_in_pages(account):
    account.hear(says(f"{n:02}", 2, deleted_at=3 if n % 2 else 0) for n in range(20))
    assert names(account, limit=3) == ["00", "02", "04"]
    assert names(account, marker="04", end_marker="10") == ["06", "08"]
    assert names(account, reverse=True, limit=2) == ["18", "16"]
    assert account.forget_gone(4) == 10


words = st.lists(
    st.builds(
        says,
        st.sampled_from("abc"),
        st.integers(1, 9),
        deleted_at=st.integers(0, 9),
        objects=st.integers(0, 5),
        bytes=st.integers(0, 50),
        policy=st.integers(0, 2),
    ),
    max_size=15,
)


@settings(max_examples=60, deadline=None)
@given(words)
def test_sums_are_those_of_what_is_listed(tmp_path_factory, words):
    account = made(tmp_path_factory.mktemp("a"))
    for word in words:
        account.hear([word])
    listed, status = account.list(Asked()), account.account()
    assert (status.containers, status.objects, status.bytes) == (
        len(listed),
        sum(entry.objects for entry in listed),
        sum(entry.bytes for entry in listed),
    )
    account.close()


def test_an_account_is_deleted_once_and_made_again(account):
    account.hear([says("a", 2)])
    assert account.delete(5)
    assert account.account().is_deleted
    assert not account.delete(6)
    assert account.put_again(7)
    assert not account.account().is_deleted
