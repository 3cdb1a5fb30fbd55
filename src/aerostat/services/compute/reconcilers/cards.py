"""Every guest has the network cards that its server's ports say.

A port may be deleted in the network room while a guest has it, and an order to plug or unplug may come late or twice:
what is too much is taken out of the guest, what is missing is put in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog

from aerostat.kernel.db import Row
from aerostat.kernel.work import Reconciler

from .. import model, networking
from ..host.protocol import Domain
from ..room import room_of
from ..states import DESIRED_POWER

log = structlog.get_logger(__name__)

REQUEST_ID = "compute-cards"
HOSTS_AT_ONCE = 500


class Mend(msgspec.Struct, frozen=True, kw_only=True):
    """A guest whose cards are not those of its server."""

    server_id: str
    host: str
    state: str


async def _observe(house: Any) -> tuple[list[Row], dict[str, dict[str, Domain]]]:
    """Servers that rest, with the ports they have now, and their guests: on hosts where either changed."""
    room = room_of(house)
    room.card_watch.begin()
    found = await room.card_watch.changed_guests(house, REQUEST_ID)
    servers: list[Row] = []
    names = sorted(found)
    for start in range(0, len(names), HOSTS_AT_ONCE):
        some = {"host": names[start : start + HOSTS_AT_ONCE], "state": list(DESIRED_POWER)}
        servers += await house.store.all(model.SERVERS, some)
    resting = {server.id for server in servers}
    for name, guests in found.items():
        if any(guest.id not in resting for guest in guests):
            room.card_watch.forget(name)  # its server is on its way; what it has is looked at when it rests
    stale = [server for server in servers if server.interfaces_stale]
    if stale:
        now = await networking.read_interfaces(room.network_admin(REQUEST_ID), stale)
        for server in stale:
            server.interfaces = now[server.id]
    return servers, {host: {guest.id: guest for guest in guests} for host, guests in found.items()}


def plan_cards(servers: Sequence[Row], actual: Mapping[str, Mapping[str, Domain]]) -> list[Mend]:
    """Nothing for servers whose guest was not seen."""
    plan = []
    for server in servers:
        guest = actual.get(server.host, {}).get(server.id)
        if guest is not None and set(guest.ports) != {one["port_id"] for one in server.interfaces}:
            plan.append(Mend(server_id=server.id, host=server.host, state=server.state))
    return plan


async def _apply(house: Any, action: Mend) -> None:
    """Ask the network room and the host once more: a flow may be at work on it."""
    room, store = room_of(house), house.store
    room.card_watch.forget(action.host)  # seen to be right before it is believed to be
    server = await store.find(model.SERVERS, id=action.server_id, state=action.state, host=action.host)
    if server is None:
        return
    host = room.host(action.host, REQUEST_ID)
    found = await networking.read_interfaces(room.network_admin(REQUEST_ID), [server])
    server.interfaces = found[server.id]
    guest = await host.find_guest(server.id)
    if guest is None:
        return
    cards = {card.port_id: card for card in networking.cards_of(server)}
    for port_id in sorted(set(guest.ports) - cards.keys()):
        await host.unplug_card(server.id, port_id)
        log.info("card of no port unplugged", server_id=server.id, port_id=port_id)
    for port_id in sorted(cards.keys() - set(guest.ports)):
        await host.plug_card(server.id, cards[port_id])
        log.info("missing card plugged", server_id=server.id, port_id=port_id)


cards = Reconciler(
    "compute.cards",
    every=30.0,  # between two rounds of all hosts, those of servers whose ports changed
    observe=_observe,
    plan=plan_cards,
    apply=_apply,
    forget=lambda house: room_of(house).card_watch.forget_all(),
)
