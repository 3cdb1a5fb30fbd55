"""So many writes and listings a second and no more: by account, and by how large a container is.

https://docs.openstack.org/swift/latest/ratelimit.html

A request that comes too soon waits; one that would have to wait too long is refused. **Each process counts for
itself**: where a store has N of them, an account may get N times its rate through.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from ..config import options_of
from ..http.request import Handler, Request
from ..http.response import Refusal, Response

if TYPE_CHECKING:
    from ..room import ObjectStore

WRITES = frozenset({"PUT", "POST", "DELETE", "COPY"})
OF_ACCOUNT = "x-account-sysmeta-global-write-ratelimit"
"""An operator's word about an account: `WHITELIST`, `BLACKLIST`, or writes per second."""
BY_SIZE, LISTING_BY_SIZE = "container_ratelimit_", "container_listing_ratelimit_"
APART = (BY_SIZE, LISTING_BY_SIZE)
"""How options begin whose names go on with a size."""
BLACKLISTED_WAIT_S = 1.0
MOST_KNOWN = 50_000

log = structlog.get_logger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[object.middleware.ratelimit]`, beside `container_ratelimit_SIZE` (writes of objects per second, in containers
    from that size on) and `container_listing_ratelimit_SIZE`.
    """

    account_ratelimit: float = 0
    """PUT and DELETE of containers per second; 0: no limit."""
    max_sleep_time_seconds: float = 60
    """Who would have to wait longer is refused."""
    log_sleep_time_seconds: float = 0
    """Who waits longer stands in the log; 0: nobody."""
    rate_buffer_seconds: float = 5
    """How much of what was not used may be made up for."""
    account_whitelist: tuple[str, ...] = ()
    account_blacklist: tuple[str, ...] = ()
    status: int = 498
    """Of refusals; 429 for clients that know it."""


class Rates:
    """Requests per second by a container's objects, straight lines between the sizes that are given."""

    def __init__(self, options: Mapping[str, Any], prefix: str) -> None:
        self.points: Sequence[tuple[int, float]] = sorted(
            (int(name[len(prefix) :]), float(rate))
            for name, rate in options.items()
            if name.startswith(prefix)
        )

    def of(self, objects: int) -> float | None:
        """None: no limit for so small a one."""
        below = [point for point in self.points if point[0] <= objects]
        if not below or not objects:
            return None
        size, rate = below[-1]
        if len(below) == len(self.points):
            return rate
        next_size, next_rate = self.points[len(below)]
        return rate + (objects - size) * (next_rate - rate) / (next_size - size)


class Turns:
    """When the next one may go. What was not used is good for `buffer_s`."""

    def __init__(self, most_wait_s: float, buffer_s: float) -> None:
        self._most_wait_s, self._buffer_s = most_wait_s, buffer_s
        self._next_s: OrderedDict[str, float] = OrderedDict()

    def take(self, key: str, rate: float, now_s: float) -> float | None:
        """How long to wait; None for too long, and then no turn is taken."""
        next_s = max(self._next_s.get(key, 0.0), now_s - self._buffer_s)
        wait_s = max(0.0, next_s - now_s)
        if wait_s > self._most_wait_s:
            return None
        self._next_s[key] = next_s + 1 / rate
        self._next_s.move_to_end(key)
        if len(self._next_s) > MOST_KNOWN:
            self._next_s.popitem(last=False)
        return wait_s


class Middleware:
    """See the module."""

    def __init__(self, room: "ObjectStore", next: Handler) -> None:
        settings = options_of(room.settings, "ratelimit", Settings, apart=APART)
        options = room.settings.middleware.get("ratelimit", {})
        self._room = room
        self._next = next
        self._account_rate = settings.account_ratelimit
        self._writes, self._listings = Rates(options, BY_SIZE), Rates(options, LISTING_BY_SIZE)
        self._most_wait_s = settings.max_sleep_time_seconds
        self._log_wait_s = settings.log_sleep_time_seconds
        self._turns = Turns(self._most_wait_s, settings.rate_buffer_seconds)
        self._white = frozenset(settings.account_whitelist)
        self._black = frozenset(settings.account_blacklist)
        self._status = settings.status

    async def __call__(self, request: Request) -> Response:
        if request.account is not None:
            await self._wait(request, request.account)
        return await self._next(request)

    async def _wait(self, request: Request, account: str) -> None:
        """Raises `Refusal` 497, or 498."""
        info = await self._room.infos.account(account)
        word = info.headers.get(OF_ACCOUNT, "") if info is not None else ""
        if account in self._white or word == "WHITELIST":
            return
        if account in self._black or word == "BLACKLIST":
            log.error("account is blacklisted", account=account, trans_id=request.trans_id)
            await asyncio.sleep(BLACKLISTED_WAIT_S)
            raise Refusal(497, "Your account has been blacklisted")
        for key, rate in await self._limits(request, account, word):
            wait_s = self._turns.take(key, rate, time.monotonic())
            if wait_s is None:
                log.error("rate limit is reached", key=key, method=request.method, trans_id=request.trans_id)
                raise Refusal(self._status, "Slow down")
            if self._log_wait_s and wait_s > self._log_wait_s:
                log.warning(
                    "request has to wait", key=key, wait_s=round(wait_s, 3), trans_id=request.trans_id
                )
            if wait_s:
                await asyncio.sleep(wait_s)

    async def _limits(self, request: Request, account: str, word: str) -> list[tuple[str, float]]:
        """What the request counts for, and the rate of each."""
        found: list[tuple[str, float]] = []
        method, container = request.method, request.container
        if container is not None:
            if request.name is None and method in ("PUT", "DELETE") and self._account_rate:
                found.append((account, self._account_rate))
            rates = None
            if request.name is not None and method in WRITES:
                rates, kind = self._writes, "writes"
            elif request.name is None and method == "GET":
                rates, kind = self._listings, "listings"
            if rates is not None and rates.points:
                info = await self._room.infos.container(account, container)
                if info is not None and (rate := rates.of(info.status.objects)):
                    found.append((f"{kind} {account}/{container}", rate))
        if word and method in WRITES:
            try:
                rate = float(word)
            except ValueError:
                rate = 0.0
            if rate > 0:
                found.append((f"all {account}", rate))
        return found

    def info(self) -> Mapping[str, Any]:
        return {
            "ratelimit": {
                "account_ratelimit": self._account_rate,
                "max_sleep_time_seconds": self._most_wait_s,
                "container_ratelimits": [list(point) for point in self._writes.points],
                "container_listing_ratelimits": [list(point) for point in self._listings.points],
            }
        }
