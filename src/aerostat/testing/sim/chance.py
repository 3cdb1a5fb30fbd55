"""All that is random or tells the time, in the process of a simulation, comes from the seed and the virtual clock.

The operating system's entropy is replaced where the standard library takes it, so ids, tokens, MAC addresses and the
choices of any library replay alike. This cannot be undone: it is done in child processes that end with their history.
"""

import base64
import os
import random
import time

import bcrypt

from aerostat.kernel import ids

from .loop import EPOCH, VirtualLoop

_EPOCH_S = 1_893_456_000.0  # EPOCH, in seconds since 1970
assert EPOCH.year == 2030


def take_over(rng: random.Random, loop: VirtualLoop) -> None:
    """From now on this process knows no other chance and no other time."""
    entropy = random.Random(rng.getrandbits(64))
    os.urandom = entropy.randbytes
    random._urandom = entropy.randbytes  # type: ignore[attr-defined]
    bcrypt.gensalt = lambda rounds=12, prefix=b"2b": _salt(entropy, rounds, prefix)
    random.seed(rng.getrandbits(64))
    os.getloadavg = lambda: (0.0, 0.0, 0.0)
    time.monotonic = loop.time
    time.perf_counter = loop.time
    time.time = lambda: _EPOCH_S + loop.time() + loop.clock_ahead_s
    time.time_ns = lambda: int(time.time() * 1e9)
    ids._last_tick = 0


def _salt(entropy: random.Random, rounds: int, prefix: bytes) -> bytes:
    """bcrypt draws its salt from the system by itself. Its alphabet is its own; the last digit has two bits."""
    digits = base64.b64encode(entropy.randbytes(15), b"./")[:20] + b"ae"
    return b"$%s$%02d$%s" % (prefix, rounds, digits)
