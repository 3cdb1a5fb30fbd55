"""How many may be connected to a process at once, so that strangers who only hold connections keep nobody out.

A connection *works* from the end of a request's head to the end of its answer; else it *waits*, for a first request or
another. Where as many are open as may be, one that waits gives way to a new one: of the address that has most of those,
the one that has waited longest. Who sends heads slowly, or nothing at all, so loses his own connections first. A new
one is turned away only when all the others work, and for that requests must be taken that somebody answers; how
slowly a request may come and an answer be read has limits of its own (`connection`, rooms).
"""

import resource
from typing import Protocol

import structlog

MOST = 8192
FILES_EACH = 4
"""So many may be open for each: its own, those that its request reads; and a process may answer on two addresses."""
COMPLAIN_EVERY = 1000

log = structlog.get_logger(__name__)


class Guest(Protocol):
    """A connection."""

    address: str

    def give_way(self) -> None:
        """Be closed, now."""


class Crowd:
    """The connections of one process. `most`: how many may be open; 0: as many as files can be (`files_limit`)."""

    def __init__(self, most: int = 0) -> None:
        self.most = most or files_limit()
        self._working: set[Guest] = set()
        self._waiting: dict[str, dict[Guest, None]] = {}
        self._waiting_count = 0
        self.gave_way = 0
        """How many connections were closed for others."""
        self.turned_away = 0

    def __len__(self) -> int:
        return len(self._working) + self._waiting_count

    def enter(self, guest: Guest) -> bool:
        """Somebody connects, and waits from now on; False when there is no room."""
        if len(self) >= self.most and not self._make_room():
            self.turned_away += 1
            self._complain(self.turned_away, "connections are turned away: all that are open work")
            return False
        self.wait(guest)
        return True

    def wait(self, guest: Guest) -> None:
        """It has its answer, or has asked for nothing yet. Told again, it waits no longer for that."""
        self._working.discard(guest)
        same = self._waiting.setdefault(guest.address, {})
        if guest not in same:
            same[guest] = None
            self._waiting_count += 1

    def work(self, guest: Guest) -> None:
        """It has asked for something."""
        if self._stop_waiting(guest):
            self._working.add(guest)

    def leave(self, guest: Guest) -> None:
        """It is closed, or somebody else's business; may be told again."""
        self._working.discard(guest)
        self._stop_waiting(guest)

    def _stop_waiting(self, guest: Guest) -> bool:
        same = self._waiting.get(guest.address)
        if same is None or guest not in same:
            return False
        del same[guest]
        if not same:
            del self._waiting[guest.address]
        self._waiting_count -= 1
        return True

    def _make_room(self) -> bool:
        if not self._waiting:
            return False
        most = max(self._waiting.values(), key=len)
        guest = next(iter(most))
        self._stop_waiting(guest)
        self.gave_way += 1
        self._complain(self.gave_way, "connections that wait are closed to make room")
        guest.give_way()
        return True

    def _complain(self, count: int, what: str) -> None:
        if count % COMPLAIN_EVERY == 1:
            log.warning(what, most=self.most, so_far=count)


def files_limit() -> int:
    """How many connections the limit of open files leaves room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(1, min(MOST, soft // FILES_EACH))


def raise_files_limit() -> None:
    """Let this process have as many files open as `MOST` connections need, if the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_EACH * MOST if hard == resource.RLIM_INFINITY else min(hard, FILES_EACH * MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
