"""A host's tidiness: cards and files of guests that are not, taken away.

Both are made before their guest is, and an order that came late, or a process that died, may have made them for
nothing. Looking twice leaves a guest the time to come. One that is sent here by another host may take hours, so the
control side, which knows of every move, is asked before anything goes: nothing of that is kept here.
"""

from typing import Any

import structlog

from aerostat.kernel.turns import Turns

from .cards import Cards
from .lateness import Lateness
from .orders import CONTROL_TOPIC, WHO_COMES_VERB, WHO_LEFT_VERB, WhoComes, WhoLeft
from .protocol import Hypervisor, MovesDomains

log = structlog.get_logger(__name__)

ASK_LIMIT_S = 30.0


class Tidying:
    """The looks of one host. `turns` and `lateness` are those of its orders about servers."""

    def __init__(
        self, name: str, bus: Any, hypervisor: Hypervisor, cards: Cards, turns: Turns, lateness: Lateness
    ) -> None:
        self._name = name
        self._bus = bus
        self._hypervisor = hypervisor
        self._cards = cards
        self._turns = turns
        self._lateness = lateness
        self._leftovers: frozenset[str] = frozenset()

    async def tidy(self) -> int:
        """Take away what nobody here needs, now and at the last look. Answers how many pieces went."""
        return await self._unplug_strays() + await self._remove_leftovers()

    async def _unplug_strays(self) -> int:
        plugged = await self._cards.list_plugged()
        domains = await self._hypervisor.list_domains()
        strays = self._cards.suspect(plugged.difference(*(domain.ports for domain in domains)))
        if not strays:
            return 0
        awaited = await self._ask(WHO_COMES_VERB, WhoComes(self._name))
        unplugged = 0
        for port_id in sorted(strays.difference(awaited)):
            if await self._cards.unplug_suspect(port_id):
                log.warning("card of no guest unplugged", host=self._name, port_id=port_id)
                unplugged += 1
        return unplugged

    async def _remove_leftovers(self) -> int:
        """Files of servers that the control side says have nothing to do with this host any more."""
        if not isinstance(self._hypervisor, MovesDomains):
            return 0
        left = frozenset(await self._hypervisor.moves.list_leftovers())
        again, self._leftovers = sorted(left & self._leftovers), left
        if not again:
            return 0
        heard = {server_id: self._lateness.newest(server_id) for server_id in again}
        removed = 0
        for server_id in await self._ask(WHO_LEFT_VERB, WhoLeft(self._name, tuple(again))):
            async with self._turns.of(server_id):
                if self._lateness.newest(server_id) != heard[server_id]:
                    continue  # it may have come back since the question was asked
                await self._hypervisor.remove_domain(server_id)
            log.warning("files of no server removed", host=self._name, server_id=server_id)
            removed += 1
        return removed

    async def _ask(self, verb: str, question: WhoComes | WhoLeft) -> list[str]:
        found: list[str] = await self._bus.call(
            CONTROL_TOPIC, verb, question, timeout_s=ASK_LIMIT_S, into=list[str]
        )
        return found
