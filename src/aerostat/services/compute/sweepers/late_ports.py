"""Ports that were made for a server after all of it was gone.

Whoever asks for a port may stand still between the decision and the call, for longer than its lease. By then the server
was deleted, and its ports were given back; the call goes through all the same, and nobody else knows of it.
"""

from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import select

from aerostat.kernel import clock
from aerostat.kernel.work import Sweeper

from .. import model, networking
from ..flows.create_server import give_back_every_port
from ..room import room_of

log = structlog.get_logger(__name__)

LOOKED_AFTER = timedelta(minutes=15)
"""How long after its end a server is looked after: no call is on its way for longer."""
AT_ONCE = 200


async def _sweep(house: Any) -> int:
    """Answers how many servers had something left."""
    servers = model.SERVERS
    gone = await house.store.fetch(
        select(servers)
        .where(servers.c.state == "deleted", servers.c.deleted_at > clock.now() - LOOKED_AFTER)
        .order_by(servers.c.deleted_at.desc())
        .limit(AT_ONCE)
    )
    if not gone:
        return 0
    admin = room_of(house).network_admin("compute-late-ports")
    found = await networking.ports_of(admin, [server.id for server in gone])
    left = [server for server in gone if found[server.id]]
    for server in left:
        log.info("ports of a deleted server given back", server=server.id, ports=len(found[server.id]))
        await give_back_every_port(admin, server)
    return len(left)


SWEEPER = Sweeper("compute.late_ports", every=timedelta(seconds=20), sweep=_sweep)
