"""When servers came to a host, so that an order of before that does them no harm.

A queue gives an order again when it did not hear of its end, and a process that was stopped may find an old one when
it goes on. «Remove this guest», from when the server moved away, would then take it, and its disk, after it has moved
back. Times are those of the control side's clock, which the orders bear: the host's own may be another.
"""

from datetime import datetime, timedelta

from aerostat.kernel.errors import DriverError

LATEST = timedelta(minutes=30)
"""No order is later than this. What seems to be is from a clock that was set back, and is heard."""


class Arrivals:
    """In memory only: a new process has heard no order, so every one of before its beginning is late to it."""

    def __init__(self) -> None:
        self.since: datetime | None = None
        """When this process was told that it may serve."""
        self._came: dict[str, datetime] = {}

    def note(self, server_id: str, at: datetime | None) -> None:
        """The server comes, or is made sure to be here, by an order of `at`."""
        if at is not None:
            self._came[server_id] = max(at, self._came.get(server_id, at))

    def forget(self, server_id: str) -> None:
        self._came.pop(server_id, None)

    def of(self, server_id: str) -> datetime | None:
        """When the order was given by which the server came; None if this process heard none."""
        return self._came.get(server_id)

    def came_by(self, server_id: str, at: datetime | None) -> bool:
        """Whether this very order was followed before."""
        return at is not None and self.of(server_id) == at

    def has_come_since(self, server_id: str, at: datetime | None) -> bool:
        """Whether the server came, or may have come, after an order of `at` was given."""
        came = self._came.get(server_id, self.since)
        return at is not None and came is not None and at < came <= at + LATEST

    def check(self, server_id: str, at: datetime | None) -> None:
        """Raises `DriverError` if the order is late. Whoever still means it gives it again, and it is heard."""
        if self.has_come_since(server_id, at):
            raise DriverError(
                "The order is older than what the host has of the server.",
                detail=f"{server_id}: given at {at}, came at {self._came.get(server_id, self.since)}",
                retry=True,
            )
