"""The one clock. Everything that asks the time asks here, so that tests can move it by hand.

Times are naive datetimes in UTC; durations are seconds as floats.
"""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Wall time that runs by itself, or stands until it is moved."""

    def __init__(self) -> None:
        self._standing_at: datetime | None = None

    def now(self) -> datetime:
        if self._standing_at is not None:
            return self._standing_at
        return datetime.now(UTC).replace(tzinfo=None)

    def timestamp(self) -> float:
        """Seconds since the epoch."""
        if self._standing_at is None:
            return time.time()
        return self._standing_at.replace(tzinfo=UTC).timestamp()

    def stop(self, at: datetime | None = None) -> None:
        """Stand still, at `at` or now, until `step` or `run`."""
        self._standing_at = at or self.now()

    def step(self, **duration: float) -> None:
        """Move a standing clock forward: `step(hours=1)`."""
        if self._standing_at is None:
            self.stop()
        assert self._standing_at is not None
        self._standing_at += timedelta(**duration)

    def run(self) -> None:
        self._standing_at = None


clock = Clock()
now = clock.now


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)
