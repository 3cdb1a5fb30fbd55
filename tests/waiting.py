"""Waiting for what comes by itself, with an end."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], limit_s: float, *, every_s: float = 0.5, why: str = "") -> T:
    """What `look` answers as soon as that is true; fails after `limit_s`."""
    ends_s = time.monotonic() + limit_s
    while not (answer := look()):
        assert time.monotonic() < ends_s, f"not within {limit_s:.0f} s: {why or look.__name__}; {answer!r}"
        time.sleep(every_s)
    return answer
