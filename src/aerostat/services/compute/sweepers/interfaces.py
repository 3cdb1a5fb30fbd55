"""What rows say of ports is read anew now and then: an event about a change may have been lost.

Each round takes the rows known to be stale and then a few of the others, in turn, so that it costs the same however
many servers there are.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from aerostat.kernel.db import Row
from aerostat.kernel.work import Sweeper

from .. import model, networking
from ..room import room_of
from ..states import RESTING

AT_ONCE = 100


async def _sweep(house: Any) -> int:
    """Answers how many servers were shown wrongly."""
    room = room_of(house)
    table = model.SERVERS
    resting = table.c.state.in_(RESTING)
    servers = await house.store.fetch(
        select(table).where(resting, table.c.interfaces_stale.is_(True)).limit(AT_ONCE)
    )
    if len(servers) < AT_ONCE:
        rest = select(table).where(resting, table.c.interfaces_stale.is_(False), table.c.id > room.swept_to)
        others = await house.store.fetch(rest.order_by(table.c.id).limit(AT_ONCE - len(servers)))
        room.swept_to = others[-1].id if others else ""
        servers += others
    return await _refresh(house, servers) if servers else 0


async def _refresh(house: Any, servers: list[Row]) -> int:
    wrong = 0
    found = await networking.read_interfaces(room_of(house).network_admin("compute-interfaces"), servers)
    for server in servers:
        if found[server.id] == server.interfaces and not server.interfaces_stale:
            continue
        wrong += await house.store.update(
            model.SERVERS,
            {"id": server.id, "state": server.state, "updated_at": server.updated_at},
            interfaces=found[server.id],
            interfaces_stale=False,
            updated_at=server.updated_at,
        )
        if server.host is not None:
            room_of(house).card_watch.forget(server.host)  # its guest may have the cards of before
    return wrong


SWEEPER = Sweeper("compute.interfaces", every=timedelta(minutes=1), sweep=_sweep)
