"""What one device holds and another lacks. Pure.

Each device pushes what it has and another misses; nobody pulls. So of two that differ each tells the other.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ..stores.held import DatabaseState, Held
from ..timestamp import Timestamp


def differing(mine: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Suffixes of mine that the other has not, or not alike."""
    return sorted(suffix for suffix, digest in mine.items() if theirs.get(suffix) != digest)


class Push(msgspec.Struct, frozen=True):
    """To be sent: the file, and what a POST said of it, or only the latter."""

    held: Held
    is_whole: bool


def plan_objects(mine: Iterable[Held], theirs: Iterable[Held], reclaim: Timestamp) -> list[Push]:
    """What the other is to be sent. A deletion older than `reclaim` is told only to who has what was deleted: others
    may have forgotten it already.
    """
    there = {held.hashed: held for held in theirs}
    pushes = []
    for held in mine:
        other = there.get(held.hashed)
        if other is None:
            if not (held.is_gone and held.timestamp < reclaim):
                pushes.append(Push(held, True))
        elif held.timestamp > other.timestamp:
            pushes.append(Push(held, True))
        elif _is_revised(held, other):
            pushes.append(Push(held, False))
    return pushes


def _is_revised(held: Held, other: Held) -> bool:
    """What a POST said counts for a later version, too, if it is later still: who took it may have missed the PUT."""
    if held.is_gone or other.is_gone:
        return False
    return held.revision_at > max(other.revision_at, other.timestamp) or held.type_at > max(
        other.type_at, other.timestamp
    )


def forgettable(mine: Iterable[Held], others: Sequence[Iterable[Held]], reclaim: Timestamp) -> list[Held]:
    """Deletions that need no remembering: old, and no other holder (all of them are in `others`) has anything that
    they would be needed against.
    """
    there: dict[str, Timestamp] = {}
    for held in (held for other in others for held in other):
        if not held.is_gone:
            there[held.hashed] = max(there.get(held.hashed, 0), held.timestamp)
    return [held for held in mine if held.is_gone and held.timestamp < reclaim and held.hashed not in there]


# Databases


def alike(mine: DatabaseState, theirs: DatabaseState) -> bool:
    """Whether both hold the same rows and the same metadata."""
    return _content(mine) == _content(theirs)


def _content(state: DatabaseState) -> object:
    times = (state.created_at, state.put_at, state.deleted_at, state.changed_at, state.policy)
    return times, state.rows, state.checksum, state.said


def is_forgettable(state: DatabaseState, reclaim: Timestamp) -> bool:
    """It was deleted so long ago, and is empty, that nobody needs to be told."""
    return state.rows == 0 and state.put_at < state.deleted_at < reclaim


def plan_database(mine: DatabaseState, theirs: DatabaseState | None, reclaim: Timestamp) -> int | None:
    """From which change on the other is to be told of mine; None when it need not be."""
    if theirs is None:
        return None if is_forgettable(mine, reclaim) else 0
    if alike(mine, theirs):
        return None
    told = theirs.heard.get(mine.file_id, 0)
    if told >= mine.change and mine.heard.get(theirs.file_id, 0) >= theirs.change:
        return 0  # each knows all of the other's changes, and still they differ: one has lost some
    return min(told, mine.change)
