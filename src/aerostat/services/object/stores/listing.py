"""One page of a listing: which names, and which names cut at a delimiter. Pure.

https://docs.openstack.org/api-ref/object-store/#show-container-details-and-list-objects. The rows come from wherever
sorted names can be read piece by piece; what lies below a delimiter is jumped over, not read.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec


class Named(Protocol):
    @property
    def name(self) -> str: ...


class Subdir(msgspec.Struct, frozen=True):
    """All names that begin with this one, which ends with the delimiter."""

    name: str


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The page that is asked for. `marker` and `end_marker` are themselves not part of it; empty means none. `path`:
    the names right below it, as if it were a folder; then `prefix` and `delimiter` are of no account.
    """

    limit: int = 10_000
    marker: str = ""
    end_marker: str = ""
    prefix: str = ""
    delimiter: str = ""
    path: str | None = None
    reverse: bool = False


class Span(msgspec.Struct, frozen=True):
    """Names from `first`, or from the one behind it, to before `end`. None: no bound."""

    first: str | None
    is_first_in: bool
    end: str | None


Fetch = Callable[[Span, bool, int], Sequence[Any]]
"""Rows of a span in order (backwards if told), at most so many."""

MOST_AT_ONCE = 1024  # rows read where a delimiter may let us jump


def page(asked: Asked, fetch: Fetch) -> list[Any]:
    """Rows as `fetch` gives them, and `Subdir`s, in order."""
    prefix, delimiter, is_path = asked.prefix, asked.delimiter, asked.path is not None
    if asked.path is not None:
        prefix = asked.path.rstrip("/") + "/" if asked.path else ""
        delimiter = "/"
    span: Span | None = _span(asked, prefix)
    if not delimiter:
        return list(fetch(span, asked.reverse, asked.limit)) if span is not None else []
    found: list[Any] = []
    at_once = 1  # behind a folder there mostly is another, behind many names more of them
    while span is not None and len(found) < asked.limit:
        size = min(at_once, asked.limit - len(found))
        rows = fetch(span, asked.reverse, size)
        following: Span | None = None
        for row in rows:
            below = row.name.find(delimiter, len(prefix))
            folder = row.name[: below + len(delimiter)] if below >= 0 else ""
            if is_path and row.name in (prefix, folder):
                folder = ""
            if not folder:
                if not (is_path and row.name == prefix):
                    found.append(row)
                continue
            if not is_path and folder != asked.marker:
                found.append(Subdir(folder))
            # below a path the folder's own name is a name, and comes last when we go backwards
            following = _beyond(span, folder + "\0" if is_path and asked.reverse else folder, asked.reverse)
            at_once = 1
            break
        else:
            at_once = min(2 * at_once, MOST_AT_ONCE)
            if len(rows) == size:
                following = _after(span, rows[-1].name, asked.reverse)
        span = following
    return found


def names_of(asked: Asked) -> Span | None:
    """All names that may be on the page, or below what is on it."""
    if asked.path is not None:
        return _span(asked, asked.path.rstrip("/") + "/" if asked.path else "")
    return _span(asked, asked.prefix)


def _span(asked: Asked, prefix: str) -> Span | None:
    """The names that may be on the page; None when none can."""
    low, high = (asked.end_marker, asked.marker) if asked.reverse else (asked.marker, asked.end_marker)
    first, is_first_in = (low, False) if low and low >= prefix else (prefix or None, True)
    end = high or None
    behind = successor(prefix)
    if behind is not None and (end is None or behind < end):
        end = behind
    if first is not None and end is not None and first >= end:
        return None
    return Span(first, is_first_in, end)


def _beyond(span: Span, folder: str, reverse: bool) -> Span | None:
    """What is left of a span behind all names of a folder."""
    if reverse:
        return Span(span.first, span.is_first_in, folder)
    behind = successor(folder)
    if behind is None or (span.end is not None and behind >= span.end):
        return None
    return Span(behind, True, span.end)


def _after(span: Span, name: str, reverse: bool) -> Span:
    return Span(span.first, span.is_first_in, name) if reverse else Span(name, False, span.end)


def successor(prefix: str) -> str | None:
    """The first text behind all that begin with `prefix`, as UTF-8 sorts; None when there is no such."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
        prefix = prefix[:-1]
    return None
