"""Who is let in, and who gives way."""

import random
import resource
from collections import Counter

import pytest

from aerostat.kernel.http import crowd
from aerostat.kernel.http.crowd import Crowd, files_limit, raise_files_limit


class Guest:
    def __init__(self, address: str = "10.0.0.1") -> None:
        self.address = address
        self.is_gone = False

    def give_way(self) -> None:
        self.is_gone = True


def entered(many: Crowd, *addresses: str) -> list[Guest]:
    guests = [Guest(address) for address in addresses]
    assert all(many.enter(guest) for guest in guests)
    return guests


def test_who_has_waited_longest_gives_way() -> None:
    many = Crowd(3)
    one, two, three = entered(many, "a", "a", "a")
    many.work(one)
    many.wait(one)  # it has been answered: now it waits for less long than the others
    entered(many, "b")
    assert [guest.is_gone for guest in (one, two, three)] == [False, True, False]
    assert (len(many), many.gave_way) == (3, 1)


def test_who_has_most_connections_gives_way_first() -> None:
    many = Crowd(6)
    honest = entered(many, "honest")
    greedy = entered(many, *["greedy"] * 5)
    entered(many, *["greedy"] * 20, "another")
    assert not honest[0].is_gone
    assert all(guest.is_gone for guest in greedy)
    assert len(many) == 6


def test_who_works_is_left_alone() -> None:
    many = Crowd(2)
    one, two = entered(many, "a", "b")
    many.work(one)
    many.work(two)
    assert not many.enter(Guest())
    assert (many.turned_away, len(many)) == (1, 2)
    many.wait(one)
    assert many.enter(Guest())
    assert (one.is_gone, two.is_gone) == (True, False)


def test_who_was_not_let_in_or_has_left_counts_for_nothing() -> None:
    many = Crowd(1)
    (one,) = entered(many, "a")
    many.work(one)
    refused = Guest()
    assert not many.enter(refused)
    for told in (many.work, many.leave, many.leave):
        told(refused)
    assert len(many) == 1
    many.leave(one)
    many.leave(one)
    many.work(one)
    assert len(many) == 0


def test_as_many_as_may_be_and_no_more() -> None:
    """A long random story, beside a count of our own."""
    chance = random.Random(1)
    many = Crowd(10)
    inside: dict[Guest, bool] = {}
    for _ in range(20_000):
        what = chance.randrange(4)
        if what == 0:
            guest = Guest(chance.choice("abcd"))
            waited = Counter(one.address for one, works in inside.items() if not works)
            was_full = len(inside) == 10
            is_in = many.enter(guest)
            assert is_in == (not was_full or bool(waited))
            gone = [one for one in inside if one.is_gone]
            assert len(gone) == int(was_full and is_in)
            for one in gone:
                assert waited[one.address] == max(waited.values())
                del inside[one]
                many.leave(one)
            if is_in:
                inside[guest] = False
        elif inside:
            guest = chance.choice(list(inside))
            if what == 1:
                many.work(guest)
                inside[guest] = True
            elif what == 2:
                many.wait(guest)
                inside[guest] = False
            else:
                many.leave(guest)
                del inside[guest]
        assert len(many) == len(inside) <= 10
    assert many.gave_way > 100


def test_the_limit_of_open_files_tells_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [1024, 4096]
    monkeypatch.setattr(crowd.resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(
        crowd.resource, "setrlimit", lambda _, wanted: limits.__setitem__(slice(None), wanted)
    )
    assert Crowd().most == files_limit() == 256
    assert Crowd(5000).most == 5000
    raise_files_limit()
    assert (limits, files_limit()) == ([4096, 4096], 1024)
    limits[:] = [1024, resource.RLIM_INFINITY]
    raise_files_limit()
    assert (limits[0], files_limit()) == (32_768, 8192)
    limits[:] = [1 << 20, 1 << 20]
    raise_files_limit()
    assert (limits[0], files_limit()) == (1 << 20, 8192)
