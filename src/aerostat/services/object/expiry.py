"""Objects that are to be deleted at a time: noted when that is said, found again when the time has come.

The notes are names in containers of an account that nobody else can reach, one container for each hour:
`.expiring_objects/SECONDS/SECONDS-ACCOUNT/CONTAINER/OBJECT`. Several notes of one object do no harm: who comes to
delete it looks first whether it is still to be deleted at that time.
"""

from collections import OrderedDict
from collections.abc import Callable

from . import timestamp
from .cluster.cluster import Cluster
from .stores.container_db import Entry

ACCOUNT = ".expiring_objects"
SLOT_S = 3600
MOST_KNOWN = 1000


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
        slot = slot_of(delete_at)
        if slot not in self._made:
            at = timestamp.now()
            await self._cluster().accounts.make(ACCOUNT, at, {})
            await self._cluster().containers.make(ACCOUNT, slot, at, 0, {})
            self._made[slot] = None
            if len(self._made) > MOST_KNOWN:
                self._made.popitem(last=False)
        entry = Entry(name=name_of(delete_at, account, container, name), timestamp=timestamp.now())
        await self._cluster().containers.hear(ACCOUNT, slot, [entry])
