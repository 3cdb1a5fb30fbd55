"""The state of guests' ports: ACTIVE when a host carries them, DOWN when none does.

The driver tells of changes at once; since a telling can be lost, all ports are compared on the clock. Whoever waits for
a port hears of it on the bus: `network.port.active` and `network.port.down`, with the port's and its device's id.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlalchemy import select

from aerostat.kernel.db import Row
from aerostat.kernel.work import Reconciler

from ..model import PORTS

if TYPE_CHECKING:
    from aerostat.kernel.house import House

NAME = "network.port_status"
EVERY_S = 30.0


def plan(up: Mapping[str, bool], rows: list[Row]) -> list[tuple[Row, str]]:
    """Which rows show something else than is the case, and what they should show."""
    wanted = [(row, "ACTIVE" if up[row.id] else "DOWN") for row in rows if row.id in up]
    return [(row, status) for row, status in wanted if row.status != status]


async def reconcile(house: "House") -> int:
    room = house.state["network"]
    told, room.told = room.told, {}
    columns = (PORTS.c.id, PORTS.c.status, PORTS.c.device_id)
    if told:
        rows = await house.store.fetch(select(*columns).where(PORTS.c.id.in_(list(told))))
        up = told
    else:
        guests = ~PORTS.c.device_owner.startswith("network:")
        rows = await house.store.fetch(select(*columns).where(guests))
        carried = await room.driver.list_up_ports()
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
