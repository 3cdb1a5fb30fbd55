"""The one clock. Everything that asks the time asks here, so that tests can move it by hand.

Times are naive datetimes in UTC; durations are seconds as floats. What is stored, or told to another machine, is
wall time, and wall clocks are put forward and back. Who waits inside a process counts by the loop's own time, which
never jumps; who compares stored times asks `jumps` whether the difference is worth anything.
"""

import math
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

NEVER = datetime(1970, 1, 1)
"""When what did not happen yet happened last."""
LEAST_JUMP_S = 10.0
"""What a clock may differ from the even run of time between two looks; what sets clocks gently does less."""


class Jump(NamedTuple):
    """The machine's clock was put forward, or back if `by_s` is negative; `at` is what it said afterwards."""

    at: datetime
    by_s: float
    seen_s: float  # by the monotonic clock


class Clock:
    """Wall time that runs by itself, or stands until it is moved."""

    def __init__(self) -> None:
        self._standing_at: datetime | None = None
        self._put_s = 0.0
        self._offset_s: float | None = None
        self._jumps: list[Jump] = []

    def now(self) -> datetime:
        if self._standing_at is not None:
            return self._standing_at
        if self._put_s:
            return datetime.fromtimestamp(self.timestamp(), UTC).replace(tzinfo=None)
        return datetime.now(UTC).replace(tzinfo=None)

    def jumps(self) -> list[Jump]:
        """How the machine's clock was put since this process first asked, as far as somebody looked in between."""
        if self._standing_at is None:
            offset_s = self.timestamp() - time.monotonic()
            if self._offset_s is not None and abs(offset_s - self._offset_s) > LEAST_JUMP_S:
                self._jumps.append(Jump(self.now(), offset_s - self._offset_s, time.monotonic()))
            self._offset_s = offset_s
        return list(self._jumps)

    def even_for_s(self) -> float:
        """How long ago the clock was last put forward or back."""
        jumps = self.jumps()
        return time.monotonic() - jumps[-1].seen_s if jumps else math.inf

    def skipped_since(self, at: datetime) -> timedelta:
        """How much of the time that seems to have passed since `at` never did, for the clock was put forward."""
        forward = [jump for jump in self.jumps() if jump.by_s > 0]
        return timedelta(
            seconds=sum(one.by_s for one in forward if at < one.at - timedelta(seconds=one.by_s))
        )

    def skipped_lately(self, span: timedelta) -> timedelta:
        """By how much the clock was put forward within the last `span`, which is measured by the monotonic clock."""
        now_s, span_s = time.monotonic(), span.total_seconds()
        lately = [jump for jump in self.jumps() if jump.by_s > 0 and now_s - jump.seen_s < span_s]
        return timedelta(seconds=sum(one.by_s for one in lately))

    def put(self, seconds: float) -> None:
        """For tests: as if somebody had put the clock forward, or back. Of one that stands it is known at once."""
        if self._standing_at is None:
            self._put_s += seconds
            return
        self._standing_at += timedelta(seconds=seconds)
        if abs(seconds) > LEAST_JUMP_S:
            self._jumps.append(Jump(self._standing_at, seconds, time.monotonic()))

    def forget_jumps(self) -> None:
        """For tests: the clock is right, and always was."""
        self._put_s, self._offset_s = 0.0, None
        self._jumps.clear()

    def timestamp(self) -> float:
        """Seconds since the epoch."""
        if self._standing_at is None:
            return time.time() + self._put_s
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


def is_recent(at: datetime, span: timedelta) -> bool:
    """Whether `at` is less than `span` ago. What is still to come is of before the clock was put back, and is not."""
    return timedelta() <= now() - at < span


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)
