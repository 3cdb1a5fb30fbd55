"""Network cards come and go while a server lives: attach and detach, one flow each.

The port is made or found by the request, which answers with it; the flow plugs it in. An attach that fails gives the
port back.
"""

from datetime import timedelta
from typing import Any

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.work import Fault, Flow, Work

from .. import model, networking
from ..host.orders import Card
from ..room import room_of

LIMIT = timedelta(minutes=10)


async def _stay(work: Work, server: Row, fault: Fault) -> None:
    """The server is none the worse for it; the record says what went wrong."""


attach_interface = Flow("server.attach_interface", on=model.SERVERS, deadline=LIMIT, failed=_stay)
detach_interface = Flow("server.detach_interface", on=model.SERVERS, deadline=LIMIT, failed=_stay)


@attach_interface.step
async def plug(work: Work, server: Row) -> None:
    """Plug the card in; the guest sees it at once, or at its next start."""
    entry = _entry(server, work.data["port_id"])
    if entry is None or server.host is None:
        return
    card = Card(port_id=entry["port_id"], mac=entry["mac"], mtu=entry["mtu"])
    await room_of(work.house).host(server.host, work.request_id).plug_card(server.id, card)


@plug.undo
async def unplug_again(work: Work, server: Row) -> None:
    await _take_out(work, server)


@detach_interface.step
async def unplug(work: Work, server: Row) -> None:
    await _take_out(work, server)


async def _take_out(work: Work, server: Row) -> None:
    """Out of the guest, back to the network room, off the row: in this order, so that a repeat finds the rest."""
    port_id = work.data["port_id"]
    entry = _entry(server, port_id)
    if entry is None:
        return
    if server.host is not None:
        await room_of(work.house).host(server.host, work.request_id).unplug_card(server.id, port_id)
    admin = room_of(work.house).network_admin(work.request_id)
    await networking.give_back_port(admin, server.id, port_id, owned=entry["owned"])
    work.also(lambda tx: drop_interface(tx, server.id, port_id))


async def add_interface(tx: Transaction, server_id: str, interface: dict[str, Any]) -> None:
    """Put a card on the row, among those that are there now."""
    server = await tx.get(model.SERVERS, id=server_id)
    others = [one for one in server.interfaces if one["port_id"] != interface["port_id"]]
    await tx.update(model.SERVERS, {"id": server_id}, interfaces=[*others, interface])


async def drop_interface(tx: Transaction, server_id: str, port_id: str) -> None:
    server = await tx.find(model.SERVERS, id=server_id)
    if server is not None:
        others = [one for one in server.interfaces if one["port_id"] != port_id]
        await tx.update(model.SERVERS, {"id": server_id}, interfaces=others)


def _entry(server: Row, port_id: str) -> dict[str, Any] | None:
    return next((one for one in server.interfaces if one["port_id"] == port_id), None)
