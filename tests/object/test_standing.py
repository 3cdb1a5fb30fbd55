"""Who is asked first, and who is passed over."""

import errno

import pytest

from aerostat.services.object.cluster.layout import Target
from aerostat.services.object.cluster.standing import FAILURES, MOST_OVERDUE, SHUNNED_S, Standings
from aerostat.services.object.stores.protocol import DeviceAway


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def standings(clock):
    return Standings(clock)


def targets(*keys, local=()):
    return [Target(key, None, key in local) for key in keys]


def order(standings, found):
    return [target.key for target in standings.for_reading(found)]


def test_this_process_first_then_the_quick(standings):
    for key, took_s in (("far", 0.5), ("near", 0.01), ("here", 1.0)):
        standings.answered(key, took_s)
    assert order(standings, targets("far", "near", "here", local={"here"})) == ["here", "near", "far"]


def test_who_failed_often_is_asked_last_for_a_while(standings, clock):
    found = targets("a", "b", local={"a"})
    for _ in range(FAILURES - 1):
        standings.failed("a", DeviceAway())
    assert order(standings, found) == ["a", "b"]
    standings.failed("a", DeviceAway())
    assert order(standings, found) == ["b", "a"]
    assert not standings.is_for_writing(found[0])
    clock.now += SHUNNED_S
    assert order(standings, found) == ["a", "b"]
    standings.failed("a", DeviceAway())
    assert order(standings, found) == ["b", "a"], "it has not answered since"
    standings.answered("a", 0.1)
    assert order(standings, found) == ["a", "b"]


def test_a_full_device_is_read_and_not_written(standings, clock):
    [target] = targets("a")
    standings.failed("a", OSError(errno.ENOSPC, "full"))
    assert not standings.is_for_writing(target)
    assert not standings.is_shunned("a")
    clock.now += SHUNNED_S
    assert standings.is_for_writing(target)


def test_who_owes_too_many_answers_is_passed_over(standings):
    [target] = targets("a")
    standings.overdue("a", MOST_OVERDUE)
    assert standings.is_late("a")
    assert not standings.is_for_writing(target)
    standings.overdue("a", -MOST_OVERDUE)
    assert not standings.is_late("a")
    assert standings.is_for_writing(target)
