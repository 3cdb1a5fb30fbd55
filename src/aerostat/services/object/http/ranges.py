"""Which bytes a `Range` header asks for. https://www.rfc-editor.org/rfc/rfc9110#section-14"""

import itertools
import re

MOST_RANGES = 50
MOST_OVERLAPS = 2
MOST_OUT_OF_ORDER = 8

Span = tuple[int | None, int | None]
"""First and last byte as written: `(None, 5)` are the last five, `(5, None)` all from the fifth."""
_UNIT = re.compile(r"bytes\s*=\s*(.*)", re.IGNORECASE | re.ASCII)
_SPAN = re.compile(r"(\d*)\s*-\s*(\d*)", re.ASCII)


def parse(header: str) -> list[Span] | None:
    """None: it makes no sense, and is to be ignored."""
    if (unit := _UNIT.fullmatch(header.strip())) is None:
        return None
    spans: list[Span] = []
    for part in unit.group(1).split(","):
        if not (part := part.strip()):
            return None
        if (match := _SPAN.fullmatch(part)) is None or match.group(0) == "-":
            return None
        first, last = (int(digits[:20]) if digits else None for digits in match.groups())
        if first is None and last is None:
            return None
        if first is not None and last is not None and first > last:
            return None
        spans.append((first, last))
    return spans


def within(spans: list[Span], size: int) -> list[tuple[int, int]]:
    """The spans that an object of this size has, from their start to before their end; none when nothing is left to
    answer, or when the list is one that only an attack would send.
    """
    if len(spans) > MOST_RANGES:
        return []
    found: list[tuple[int, int]] = []
    for first, last in spans:
        if first is None:
            if not last:
                continue
            found.append((max(0, size - last), size))
        elif first < size:
            found.append((first, size if last is None else min(last + 1, size)))
    if size == 0:
        return []
    out_of_order = sum(here < before for (before, _), (here, _) in itertools.pairwise(found))
    ordered = sorted(found)
    overlaps = sum(here < end for (_, end), (here, _) in itertools.pairwise(ordered))
    if out_of_order >= MOST_OUT_OF_ORDER or overlaps > MOST_OVERLAPS:
        return []
    return found
