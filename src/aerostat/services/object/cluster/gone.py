"""Containers and accounts that are deleted, as devices tell of them where others still have them.

A device that was away when a container was deleted still has it. What the others have then must count: not that they
have nothing, but since when.
"""

import msgspec

from ..stores.held import DatabaseState
from ..timestamp import Timestamp


class Gone(msgspec.Struct, frozen=True):
    """It was deleted at that time."""

    deleted_at: Timestamp


def gone(state: DatabaseState | None) -> Gone | None:
    """Of a database whose device says that there is none; None when there really is none."""
    return Gone(state.deleted_at) if state is not None and state.deleted_at else None
