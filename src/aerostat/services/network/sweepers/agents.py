"""Heart-beats of agents: while the driver answers, the hosts it works through are alive.

A host is one that carries a guest's port, or one of the gateways. Which known ones still do is asked host by host,
and new ones are looked for among the ports that changed, so that a round costs by hosts and not by ports.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, select

from aerostat.kernel import clock
from aerostat.kernel.errors import DriverError
from aerostat.kernel.work import OVERLAP, Sweeper

from ..config import NetworkConfig, gateway_hosts
from ..model import AGENTS, PORTS

if TYPE_CHECKING:
    from aerostat.kernel.house import House

_KINDS = (
    ("OVN Controller Gateway agent", "ovn-controller"),
    ("OVN Metadata agent", "neutron-ovn-metadata-agent"),
)
EVERY_S = 30.0
LONG_AGO = timedelta(seconds=60)
AT_ONCE = 500


async def beat(house: "House") -> int:
    """Answers how many agents are alive."""
    room = house.state["network"]
    try:
        await room.driver.check_answers()
    except DriverError:
        return 0
    now = clock.now()
    known = {
        (row.host, row.agent_type)
        for row in await house.store.fetch(select(AGENTS.c.host, AGENTS.c.agent_type))
    }
    alive = await _carrying(house, room) | set(gateway_hosts(house.config))
    room.agents_looked_at = now
    async with house.store.transaction() as tx:
        names = sorted(alive)
        for start in range(0, len(names), AT_ONCE):
            some = {"host": names[start : start + AT_ONCE], "agent_type": [kind for kind, _ in _KINDS]}
            await tx.update(AGENTS, some, heartbeat_timestamp=now)
        zone = house.config.section(NetworkConfig).availability_zone
        for host in names:
            for kind, binary in _KINDS:
                if (host, kind) not in known:
                    new = {"host": host, "agent_type": kind, "binary": binary, "availability_zone": zone}
                    await tx.insert(AGENTS, **new, heartbeat_timestamp=now)
    return len(alive) * len(_KINDS)


async def _carrying(house: "House", room: Any) -> set[str]:
    """The hosts that carry a port: those known to have agents, and those of ports that changed since the last look.

    After a look so long ago that agents were dead meanwhile, and may have been deleted, all ports are looked at.
    """
    looked_at = room.agents_looked_at
    since = looked_at - OVERLAP if clock.is_recent(looked_at, LONG_AGO) else clock.NEVER
    carried = PORTS.c.status == "ACTIVE"
    still = select(AGENTS.c.host).where(exists().where(PORTS.c.host == AGENTS.c.host, carried)).distinct()
    # Not distinct: a database would walk the hosts' index, past every port, to find each once.
    new = select(PORTS.c.host).where(carried, PORTS.c.host != "", PORTS.c.updated_at >= since)
    return {row.host for statement in (still, new) for row in await house.store.fetch(statement)}


SWEEPER = Sweeper("network.agents", every=EVERY_S, sweep=beat)
