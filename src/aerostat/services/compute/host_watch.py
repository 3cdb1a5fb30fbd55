"""Looks at hosts again only where something changed: a round over a still cloud costs the same with many servers.

Each host is asked for a digest of its guests; the guests themselves are fetched where the digest is not the one that
was found right before. What is remembered is remembered by one process: forgetting it costs one full look.
"""

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import structlog

from aerostat.kernel import clock
from aerostat.kernel.db import Row
from aerostat.kernel.errors import DriverError
from aerostat.kernel.work import OVERLAP

from . import model
from .host.protocol import Domain, digest_of

log = structlog.get_logger(__name__)

ASKED_AT_ONCE = 32


class HostWatch:
    """What one reconciler remembers of earlier rounds. `every` is how often it looks at everything all the same.

    `ask_every`: how often all hosts are asked whether anything changed; in the rounds between only those that were
    forgotten, or are suspects, are looked at.
    """

    def __init__(self, every: timedelta, ask_every: timedelta = timedelta()) -> None:
        self._every = every
        self._ask_every = ask_every
        self._asked_at: datetime | None = None
        self._digests: dict[str, str] = {}
        self._silent: set[str] = set()
        self._looked_at: datetime | None = None
        self._full_at: datetime | None = None

    def begin(self) -> datetime | None:
        """A new round. Answers since when rows have to be looked at; None: all of them."""
        self._silent.clear()
        now, since = clock.now(), self._looked_at
        turned_back = since is not None and now < since  # the clock: what changes from now on would look old
        if self._full_at is None or now - self._full_at >= self._every or turned_back:
            self._digests.clear()
            self._full_at, self._asked_at, since = now, None, None
        self._looked_at = now
        return since - OVERLAP if since is not None else None

    async def changed_guests(
        self, house: Any, request_id: str, suspects: Collection[str] = ()
    ) -> dict[str, list[Domain]]:
        """The guests of each host that answers and is a suspect, or has others than at the last look."""
        limit = asyncio.Semaphore(ASKED_AT_ONCE)
        found: dict[str, list[Domain]] = {}

        async def look(host: Row) -> None:
            async with limit:
                guests = await self._look(house, host, request_id, host.name in suspects)
            if guests is not None:
                found[host.name] = guests

        hosts = await house.store.all(model.HOSTS)
        if self._asked_at is not None and clock.now() - self._asked_at < self._ask_every:
            hosts = [host for host in hosts if host.name in suspects or host.name not in self._digests]
        else:
            self._asked_at = clock.now()
        await asyncio.gather(*map(look, hosts))
        return found

    def list_silent(self) -> list[str]:
        """Hosts that are up, and did not answer in this round; by name."""
        return sorted(self._silent)

    def forget_all(self) -> None:
        """Look at everything in the next round."""
        self._looked_at = self._full_at = None

    def forget(self, host_name: str) -> None:
        """Look at this host in the next round whatever it says: something there is not yet as it should be."""
        self._digests.pop(host_name, None)

    async def _look(self, house: Any, host: Row, request_id: str, suspect: bool) -> list[Domain] | None:
        room = house.state["compute"]
        try:
            if room.is_up(host):
                link = room.host(host.name, request_id)
                known = self._digests.get(host.name)
                if known is not None and not suspect and known == await link.digest_guests():
                    return None
                guests: list[Domain] = await link.list_guests()
                self._digests[host.name] = digest_of(guests)
                return guests
        except DriverError as error:
            log.warning("a host does not answer", host=host.name, error=error.message)
            self._silent.add(host.name)
        self.forget(host.name)
        return None
