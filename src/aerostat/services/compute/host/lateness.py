"""Which orders come too late: others about the same server, given after them, were heard before.

A queue gives an order again when it did not hear of its end, and a process that was stopped finds old ones when it goes
on. «Remove this guest», from when the server moved away, would then take it, and its disk, after it has moved back.
Times are those of the control side's clock, which orders bear: the host's own may be another. It may be set back, so
it is asked for when an order is refused.
"""

from datetime import datetime, timedelta

from aerostat.kernel.clock import LEAST_JUMP_S
from aerostat.kernel.errors import DriverError

LATEST = timedelta(minutes=30)
"""No order is later than this. What seems to be is from a clock that was set back, and is heard."""
LEAST_JUMP = timedelta(seconds=LEAST_JUMP_S)
MOST_REMEMBERED = 10_000


class Lateness:
    """In memory only: a new process has heard no order, so every one of before its beginning is late to it."""

    def __init__(self) -> None:
        self.since: datetime | None = None
        """When this process was told that it may serve."""
        self._newest: dict[str, datetime] = {}

    def newest(self, server_id: str) -> datetime | None:
        """When the newest order about the server was given, of those that this process heard."""
        return self._newest.get(server_id)

    def admit(self, server_id: str, at: datetime | None) -> None:
        """Hear an order of `at`. Raises `DriverError` if it is late: whoever still means it gives it again."""
        if at is None:
            return
        newest = self._newest.get(server_id, self.since)
        if newest is not None and at < newest <= at + LATEST:
            raise DriverError(
                "The order is older than others that the host has followed since.",
                detail=f"about {server_id}: given at {at}, another at {newest}",
                retry=True,
            )
        self._newest[server_id] = at
        if len(self._newest) > MOST_REMEMBERED:
            self._newest = {id: one for id, one in self._newest.items() if one > at - LATEST}

    def set_clock(self, now: datetime) -> None:
        """The control side's clock says `now`. If orders were given later than that it was set back since, and what is
        given from now on comes after them.
        """
        if self.since is not None and self.since > now + LEAST_JUMP:
            self.since = now
        for server_id, newest in self._newest.items():
            if newest > now + LEAST_JUMP:
                self._newest[server_id] = now
