"""What hearers could not be told is written down on a device, for the updater of its node."""

from collections.abc import Sequence

import structlog

from ..stores.pending import Note
from ..stores.protocol import Place
from .calls import FAULTS, Calls
from .errors import NoQuorum
from .layout import Target

TRIES = 4

log = structlog.get_logger(__name__)


class Notes:
    """`targets`: where notes may be kept: one of this process if it can, else the best of the others."""

    def __init__(self, calls: Calls, targets: Sequence[Target]) -> None:
        self._calls = calls
        self._targets = targets

    async def keep(self, place: Place, note: Note) -> None:
        """Raises `NoQuorum` when it can be kept nowhere."""
        for target in self._calls.standings.for_reading(self._targets)[:TRIES]:
            try:
                await self._calls.timed(target, target.device.keep_note(place, note))
            except FAULTS as error:
                log.warning("note not kept", device=target.key, why=str(error))
                continue
            return
        raise NoQuorum("a note to be told later", 0, 1)
