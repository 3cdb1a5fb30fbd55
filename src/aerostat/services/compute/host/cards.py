"""The host's half of guests' network cards: plugged before a guest starts, unplugged after it is gone.

A card is plugged for nothing when its guest does not come: an order came late and failed, or the process died. So it
is told here which cards are nobody's at two looks, unless it is plugged again in between.
"""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Protocol

from aerostat.kernel.turns import Turns

from .orders import Card
from .protocol import Interface


class PortPlugger(Protocol):
    """What a compute host needs of the network's host half."""

    async def plug_port(self, port_id: str, mac: str, mtu: int) -> str: ...

    async def unplug_port(self, port_id: str) -> None: ...

    async def list_plugged_ports(self) -> dict[str, str]: ...


class Cards:
    """The cards of one compute host."""

    def __init__(self, network: PortPlugger) -> None:
        self._network = network
        self._turns = Turns()
        self._coming: Counter[str] = Counter()  # ports of guests that are being made now
        self._suspects: frozenset[str] = frozenset()  # of no guest at the last look, and not plugged since

    async def plug(self, card: Card) -> Interface:
        self._suspects -= {card.port_id}
        async with self._turns.of(card.port_id):
            tap = await self._network.plug_port(card.port_id, card.mac, card.mtu)
        return Interface(port_id=card.port_id, mac=card.mac, tap=tap, mtu=card.mtu, model=card.model)

    async def unplug(self, port_ids: Iterable[str]) -> None:
        """One after the other; what is not plugged is success."""
        for port_id in sorted(port_ids):
            async with self._turns.of(port_id):
                await self._network.unplug_port(port_id)

    @contextlib.contextmanager
    def awaiting(self, cards: Iterable[Card]) -> Iterator[None]:
        """A guest's cards are nobody's until it is there, which may take long."""
        ports = Counter(card.port_id for card in cards)
        self._coming += ports
        try:
            yield
        finally:
            self._coming -= ports

    async def list_plugged(self) -> frozenset[str]:
        """Port ids of all cards that are plugged."""
        return frozenset(await self._network.list_plugged_ports())

    def suspect(self, nobodys: frozenset[str]) -> frozenset[str]:
        """Take note of the cards that no guest has; answers those that were so at the last look too."""
        suspects = nobodys - self._coming.keys()
        again = suspects & self._suspects
        self._suspects = suspects
        return again

    async def unplug_suspect(self, port_id: str) -> bool:
        """False, and nothing is done, when the card was plugged again since it was looked at."""
        async with self._turns.of(port_id):
            if port_id not in self._suspects:
                return False
            self._suspects -= {port_id}
            await self._network.unplug_port(port_id)
            return True
