"""The state of guests' ports: ACTIVE when a host carries them, DOWN when none does.

The driver tells of changes at once. Since a telling can be lost, ports whose rows changed are compared on the clock,
and all of them now and then. Whoever waits for a port hears of it on the bus: `network.port.active` and
`network.port.down`, with the port's and its device's id.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from aerostat.kernel import clock
from aerostat.kernel.db import Row
from aerostat.kernel.work import OVERLAP, Reconciler

from ..model import PORTS

if TYPE_CHECKING:
    from aerostat.kernel.house import House

NAME = "network.port_status"
EVERY_S = 30.0
FULL_EVERY = timedelta(minutes=10)


def plan(up: Mapping[str, bool], rows: list[Row]) -> list[tuple[Row, str]]:
    """Which rows show something else than is the case, and what they should show."""
    wanted = [(row, "ACTIVE" if up[row.id] else "DOWN") for row in rows if row.id in up]
    return [(row, status) for row, status in wanted if row.status != status]


async def reconcile(house: "House") -> int:
    room = house.state["network"]
    told, room.told = room.told, {}
    began = clock.now()
    full = not clock.is_recent(room.ports_compared_at, FULL_EVERY)
    try:
        moved = await _settle(house, room, told, None if full else room.ports_looked_at - OVERLAP)
    except Exception:
        room.ports_compared_at = clock.NEVER  # what was told is lost now
        raise
    room.ports_looked_at = began
    if full:
        room.ports_compared_at = began
    return moved


async def _settle(house: "House", room: Any, told: Mapping[str, bool], since: datetime | None) -> int:
    """Bring rows to what is the case: of the ports told of, else of those changed `since`, else of all."""
    statement = select(PORTS.c.id, PORTS.c.status, PORTS.c.device_id)
    if told and since is not None:
        rows = await house.store.fetch(statement.where(PORTS.c.id.in_(list(told))))
        up = dict(told)
    else:
        statement = statement.where(~PORTS.c.device_owner.startswith("network:"))
        if since is not None:
            statement = statement.where(PORTS.c.updated_at >= since)
        rows = await house.store.fetch(statement)
        carried = await room.driver.list_up_ports() if rows else ()
        up = {row.id: row.id in carried for row in rows}
    moves = plan(up, rows)
    if not moves:
        return 0
    async with house.store.transaction() as tx:
        for row, status in moves:
            await tx.update(PORTS, {"id": row.id}, status=status)
    for row, status in moves:
        event = "network.port.active" if status == "ACTIVE" else "network.port.down"
        await house.bus.publish(event, {"port_id": row.id, "device_id": row.device_id})
    return len(moves)


RECONCILER = Reconciler(NAME, every=EVERY_S, run=reconcile)
