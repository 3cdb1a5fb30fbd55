"""Objects that are to be deleted at a time: noted when that is said, found again when the time has come.

The notes are names in containers of an account that nobody else can reach, one container for each hour:
`.expiring_objects/SECONDS/SECONDS-ACCOUNT/CONTAINER/OBJECT`. Several notes of one object do no harm: who comes to
delete it looks first whether it is still to be deleted at that time.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from . import timestamp
from .cluster.cluster import Cluster
from .stores.container_db import Entry
from .timestamp import TICKS, Timestamp

ACCOUNT = ".expiring_objects"
SLOT_S = 3600
MOST_KNOWN = 1000
ASKED = "application/async-deleted"
"""The content type of a note by somebody who asked for the deletion itself: the object is to be deleted as it was at
the time of the note, whatever it says of its own end.
"""


def slot_of(delete_at: int) -> str:
    """The container of a time."""
    return f"{delete_at - delete_at % SLOT_S:010d}"


def name_of(delete_at: int, account: str, container: str, name: str) -> str:
    return f"{delete_at:010d}-{account}/{container}/{name}"


class Expiry:
    """Where notes are made."""

    def __init__(self, cluster: Callable[[], Cluster]) -> None:
        self._cluster = cluster
        self._made: OrderedDict[str, None] = OrderedDict()

    async def note(self, delete_at: int, account: str, container: str, name: str) -> None:
        """Raises `NoQuorum`."""
        entry = Entry(name=name_of(delete_at, account, container, name), timestamp=timestamp.now())
        await self._note(slot_of(delete_at), [entry])

    async def ask(self, at: Timestamp, account: str, container: str, names: Iterable[str]) -> None:
        """Let objects be deleted soon that are not newer than `at`. Raises `NoQuorum`."""
        seconds = at // TICKS
        entries = [
            Entry(
                name=name_of(seconds, account, container, name), timestamp=at, content_type=ASKED, type_at=at
            )
            for name in dict.fromkeys(names)
        ]
        await self._note(slot_of(seconds), entries)

    async def _note(self, slot: str, entries: list[Entry]) -> None:
        if slot not in self._made:
            at = timestamp.now()
            await self._cluster().accounts.make(ACCOUNT, at, {})
            await self._cluster().containers.make(ACCOUNT, slot, at, 0, {})
            self._made[slot] = None
            if len(self._made) > MOST_KNOWN:
                self._made.popitem(last=False)
        await self._cluster().containers.hear(ACCOUNT, slot, entries)
