"""Cooldowns: for how long after scaling nothing is scaled again. Kept in the resource's metadata, as upstream has it."""

from datetime import datetime, timedelta

from aerostat.kernel import clock

from ...thing import Thing

_KEY = "cooldown_end"


def note_scaling(thing: Thing, cooldown_s: float, reason: str) -> None:
    """Scaling was done just now; the caller stores the row."""
    end = clock.now() + timedelta(seconds=max(0.0, cooldown_s))
    thing.row.metadata = {**thing.metadata, _KEY: {end.isoformat(): reason}, "scaling_in_progress": False}


def is_cooling(thing: Thing, cooldown_s: float) -> bool:
    """Whether the last scaling was so short ago; a cooldown that was shortened since counts as it is now."""
    ends = thing.metadata.get(_KEY)
    if not ends or cooldown_s <= 0:
        return False
    end = datetime.fromisoformat(next(iter(ends)))
    return clock.now() < min(end, clock.now() + timedelta(seconds=cooldown_s))
