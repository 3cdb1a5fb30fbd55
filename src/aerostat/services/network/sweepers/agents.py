"""Heart-beats of agents: while the driver answers, the hosts it works through are alive."""

from typing import TYPE_CHECKING

from aerostat.kernel import clock
from aerostat.kernel.errors import DriverError
from aerostat.kernel.work import Sweeper

from ..config import NetworkConfig, gateway_hosts
from ..model import AGENTS, PORTS

if TYPE_CHECKING:
    from aerostat.kernel.house import House

_KINDS = (
    ("OVN Controller Gateway agent", "ovn-controller"),
    ("OVN Metadata agent", "neutron-ovn-metadata-agent"),
)
EVERY_S = 30.0


async def beat(house: "House") -> int:
    """Answers how many agents are alive."""
    settings = house.config.section(NetworkConfig)
    try:
        await house.state["network"].driver.list_up_ports()
    except DriverError:
        return 0
    hosts = set(gateway_hosts(house.config))
    hosts |= {row.host for row in await house.store.all(PORTS, {"status": "ACTIVE"}) if row.host}
    now = clock.now()
    async with house.store.transaction() as tx:
        for host in sorted(hosts):
            for kind, binary in _KINDS:
                known = {"host": host, "agent_type": kind}
                if not await tx.update(AGENTS, known, heartbeat_timestamp=now):
                    zone = settings.availability_zone
                    await tx.insert(AGENTS, **known, binary=binary, availability_zone=zone)
    return len(hosts) * len(_KINDS)


SWEEPER = Sweeper("network.agents", every=EVERY_S, sweep=beat)
