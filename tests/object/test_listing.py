"""Pages of names, against a plain reading of all of them."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerostat.services.object.stores.listing import Asked, Subdir, page, successor


class Row(msgspec.Struct, frozen=True):
    name: str


def fetching(names, read=None):
    ordered = sorted(set(names))

    def fetch(span, reverse, limit):
        rows = [
            Row(name)
            for name in ordered
            if (span.first is None or name > span.first or (span.is_first_in and name == span.first))
            and (span.end is None or name < span.end)
        ]
        answer = (rows[::-1] if reverse else rows)[:limit]
        if read is not None:
            read.append(len(answer))
        return answer

    return fetch


def told(asked, names):
    found = page(asked, fetching(names))
    return [("dir " if isinstance(one, Subdir) else "") + one.name for one in found]


def plainly(asked, names):
    """The same, by looking at every name."""
    prefix, delimiter = asked.prefix, asked.delimiter
    if asked.path is not None:
        prefix, delimiter = (asked.path.rstrip("/") + "/" if asked.path else ""), "/"
    found = []
    for name in sorted(set(names), reverse=asked.reverse):
        low, high = (asked.end_marker, asked.marker) if asked.reverse else (asked.marker, asked.end_marker)
        if (low and name <= low) or (high and name >= high) or not name.startswith(prefix):
            continue
        below = name.find(delimiter, len(prefix)) if delimiter else -1
        if asked.path is not None:
            if name != prefix and (below < 0 or below == len(name) - 1):
                found.append(name)
        elif below >= 0:
            folder = name[: below + len(delimiter)]
            if folder != asked.marker and f"dir {folder}" not in found:
                found.append(f"dir {folder}")
        else:
            found.append(name)
    return found[: asked.limit]


letters = st.text(alphabet="ab/0é\U0010ffff", max_size=5)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(letters.filter(bool), max_size=25),
    st.builds(
        Asked,
        limit=st.integers(1, 12),
        marker=letters,
        end_marker=letters,
        prefix=letters,
        delimiter=st.sampled_from(["", "/", "a", "//", "\U0010ffff"]),
        path=st.none() | letters,
        reverse=st.booleans(),
    ),
)
def test_a_page_is_what_a_plain_reading_finds(names, asked):
    assert told(asked, names) == plainly(asked, names)


@pytest.mark.parametrize("reverse", [False, True])
def test_below_a_path_a_folder_that_has_a_name_of_its_own_is_told_once(reverse):
    names = ["/", "/0", "/00", "b/", "b/0"]
    assert told(Asked(path="", reverse=reverse), names) == (["b/", "/"] if reverse else ["/", "b/"])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_one_after_the_other_tell_everything_once(reverse, delimiter):
    names = [f"{top}/{n}" for top in "abc" for n in range(40)] + [f"x{n}" for n in range(40)]
    whole = told(Asked(delimiter=delimiter, reverse=reverse), names)
    pieces, marker = [], ""
    while piece := told(Asked(delimiter=delimiter, reverse=reverse, limit=7, marker=marker), names):
        pieces += piece
        marker = piece[-1].removeprefix("dir ")
    assert pieces == whole


def test_what_is_below_a_delimiter_is_not_read():
    names = [f"{top}/{n:04}" for top in "abc" for n in range(2000)]
    read = []
    assert len(page(Asked(delimiter="/"), fetching(names, read))) == 3
    assert sum(read) == 3


@pytest.mark.parametrize(
    ("prefix", "behind"),
    [("a", "b"), ("a\U0010ffff", "b"), ("\U0010ffff", None), ("", None), ("\ud7ff", "\ue000"), ("a/", "a0")],
)
def test_the_text_behind_all_of_a_prefix(prefix, behind):
    assert successor(prefix) == behind
