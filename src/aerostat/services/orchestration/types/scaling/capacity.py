"""How large a group shall be, and in which steps it gets there. Pure: numbers and names in, numbers and names out.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::ScalingPolicy
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

EXACT, CHANGE, PERCENT = "exact_capacity", "change_in_capacity", "percent_change_in_capacity"

Member = tuple[str, Mapping[str, Any]]


def adjusted(
    current: int, adjustment: float, kind: str, least: int, most: int, min_step: int | None = None
) -> int:
    """The size after an adjustment, kept between `least` and `most`.

    A percentage is rounded towards no change, but changes something: half a member is one.
    """
    if kind == EXACT:
        wanted = int(adjustment)
    elif kind == CHANGE:
        wanted = current + int(adjustment)
    else:
        wanted = current + _percentage(current, adjustment, min_step or 0)
    return max(least, min(most, wanted))


def _percentage(current: int, adjustment: float, min_step: int) -> int:
    delta = current * adjustment / 100.0
    step = math.floor(abs(delta)) if abs(delta) >= 1.0 else math.ceil(abs(delta))
    step = max(step, min_step)
    return step if delta > 0.0 else -step


def batches(target: int, current: int, size: int, in_service: int) -> list[tuple[int, int]]:
    """The steps of a rolling update: `(members after it, members that get the new definition in it)`.

    While a batch changes, `in_service` members are not touched: for that a group may grow for a while.
    """
    steps: list[tuple[int, int]] = []
    renewed = 0
    while not renewed >= current == target:
        fresh = min(size, max(target - renewed, 0))
        kept = max(min(current, target - fresh), min(in_service, target, current))
        current = kept + fresh
        renewed += fresh
        steps.append((current, fresh))
    return steps


def next_members(
    old: Sequence[Member], new: Mapping[str, Any], total: int, fresh: int, names: Iterable[str]
) -> Iterator[Member]:
    """The `total` members of the next step. `old` are there now, those to go first in front.

    At most `fresh` members get the new definition, the ones that are added counted in; `names` are for these.
    """
    kept = list(old[-total:]) if total else []
    left = fresh - (total - len(kept))
    unused = iter(names)
    for name, definition in kept:
        if definition != new and left > 0:
            left -= 1
            yield name, new
        else:
            yield name, definition
    for _ in range(total - len(kept)):
        yield next(unused), new
