"""What hearers could not be told is written down on a device of this process, for the updater."""

import asyncio
from collections.abc import Sequence

from ..stores.pending import Note, Pending
from .errors import NoQuorum


class Notes:
    """`stores`: where notes may be kept; the first that can is taken."""

    def __init__(self, stores: Sequence[Pending]) -> None:
        self.stores = stores

    async def keep(self, hashed: str, note: Note) -> None:
        """Raises `NoQuorum` when it can be kept nowhere."""
        for store in self.stores:
            try:
                await asyncio.to_thread(store.keep, hashed, note)
            except OSError:
                continue
            return
        raise NoQuorum("a note to be told later", 0, 1)
