"""How devices did lately: who is asked first, and who is passed over while others can be had.

Nobody is shut out. A device that failed is asked last, and one that is the only one left is asked all the same.
"""

import errno
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

from ..stores.object_file import Damaged
from .layout import Target

FAILURES = 3
"""After so many in a row a device is passed over, ..."""
SHUNNED_S = 10.0
"""... for so long."""
MOST_OVERDUE = 64
"""Calls that a device may leave unanswered before it is passed over."""
_WEIGHT = 0.1  # of the last call, in the mean


class _Record:
    __slots__ = ("failed_at", "failures", "full_at", "latency_s", "overdue")

    def __init__(self) -> None:
        self.failures = 0
        self.failed_at = self.full_at = float("-inf")
        self.latency_s = 0.0
        self.overdue = 0


class Standings:
    """By key of a device. `clock`: seconds that only go forward."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._records: defaultdict[str, _Record] = defaultdict(_Record)

    def answered(self, key: str, took_s: float) -> None:
        record = self._records[key]
        record.failures = 0
        record.latency_s += _WEIGHT * (took_s - record.latency_s)

    def failed(self, key: str, error: BaseException | None = None) -> None:
        """It is away, or broken, or (OSError, ENOSPC) full. A damaged file says nothing of its device."""
        if isinstance(error, Damaged):
            return
        record = self._records[key]
        if isinstance(error, OSError) and error.errno in FULL:
            record.full_at = self.clock()
            return
        record.failures += 1
        record.failed_at = self.clock()

    def overdue(self, key: str, change: int) -> None:
        """Nobody waits any more for so many calls more (or fewer)."""
        self._records[key].overdue += change

    def latency_s(self, key: str) -> float:
        """A moving mean."""
        return self._records[key].latency_s

    def is_shunned(self, key: str) -> bool:
        record = self._records[key]
        if record.overdue >= MOST_OVERDUE:
            return True
        return record.failures >= FAILURES and self.clock() - record.failed_at < SHUNNED_S

    def is_full(self, key: str) -> bool:
        return self.clock() - self._records[key].full_at < SHUNNED_S

    def is_late(self, key: str) -> bool:
        """It owes answers to calls that were given up: not worth waiting for when others suffice."""
        return self._records[key].overdue > 0

    def for_reading(self, targets: Iterable[Target]) -> list[Target]:
        """Those of this process first, then the quick; those that failed lately last."""
        return sorted(
            targets,
            key=lambda one: (
                self.is_shunned(one.key),
                self.is_late(one.key),
                not one.is_local,
                self.latency_s(one.key),
            ),
        )

    def is_for_writing(self, target: Target) -> bool:
        return not self.is_shunned(target.key) and not self.is_full(target.key)


FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
