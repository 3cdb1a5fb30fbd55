"""The rest between two batches of a group's members: kept in the group's row, so that it survives whoever began it."""

from datetime import datetime, timedelta

from aerostat.kernel import clock

from ...thing import Thing

_KEY = "resting_until"


def is_rested(thing: Thing, pause_s: float) -> bool:
    """Whether the rest is over; it begins with the first look, and so may be asked about many times."""
    until = thing.data.get(_KEY)
    if until is None:
        if pause_s <= 0:
            return True
        thing.data[_KEY] = (clock.now() + timedelta(seconds=pause_s)).isoformat()
        return False
    return clock.now() >= datetime.fromisoformat(until)


def end_rest(thing: Thing) -> None:
    """The next batch begins: the next rest is another one."""
    thing.data.pop(_KEY, None)
