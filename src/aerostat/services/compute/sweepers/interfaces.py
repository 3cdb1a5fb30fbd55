"""What rows say of ports is read anew now and then: an event about a change may have been lost."""

from datetime import timedelta
from typing import Any

from aerostat.kernel.work import Sweeper

from .. import model, networking
from ..room import room_of
from ..states import RESTING

AT_ONCE = 100


async def _sweep(house: Any) -> int:
    """Answers how many servers were shown wrongly."""
    admin = room_of(house).network_admin("compute-interfaces")
    servers = await house.store.all(model.SERVERS, {"state": RESTING})
    wrong = 0
    for start in range(0, len(servers), AT_ONCE):
        some = servers[start : start + AT_ONCE]
        found = await networking.read_interfaces(admin, some)
        for server in some:
            if found[server.id] == server.interfaces and not server.interfaces_stale:
                continue
            wrong += await house.store.update(
                model.SERVERS,
                {"id": server.id, "state": server.state, "updated_at": server.updated_at},
                interfaces=found[server.id],
                interfaces_stale=False,
                updated_at=server.updated_at,
            )
    return wrong


refresh_interfaces = Sweeper("compute.interfaces", every=timedelta(minutes=5), sweep=_sweep)
