"""Times by which conflicts end: the newer wins, on every node alike.

A whole number of 10 µs since 1970, written as upstream writes `X-Timestamp`: `1763870000.12345`. All writes of one
process get different ones.
"""

import re
import time

Timestamp = int
TICK_DIGITS = 5
TICKS: int = 10**TICK_DIGITS
"""In a second."""
LATEST: Timestamp = 9_999_999_999 * TICKS

_SENT = re.compile(r"(\d{1,10})(?:\.(\d{1,20}))?")
_last = 0


def now() -> Timestamp:
    """This moment; later than all that were given before, even where the clock was set back a little."""
    global _last
    _last = max(_last + 1, time.time_ns() // 10_000)
    return _last


def parse(text: str) -> Timestamp:
    """What a client or another node wrote. Raises ValueError."""
    if (match := _SENT.fullmatch(text.strip())) is None:
        raise ValueError(f"{text[:40]!r} is no timestamp")
    whole, fraction = match.groups()
    return int(whole) * TICKS + int(((fraction or "") + "00000")[:5])


def write(moment: Timestamp) -> str:
    """`1763870000.12345`, ten digits and five: sorted as text as by time."""
    return f"{moment // TICKS:010d}.{moment % TICKS:05d}"
