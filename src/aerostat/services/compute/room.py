"""What the room shares within one process: its settings, links to hosts.

Made by the door's `start`, kept in `house.state["compute"]`.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from aerostat.kernel import clock
from aerostat.kernel.context import internal_context
from aerostat.kernel.db import Row

from . import model
from .config import ComputeConfig
from .drivers.fake import FakeWorld, Faults
from .host.agent import HostAgent
from .host.orders import HostLink
from .host_watch import HostWatch
from .placing import Placing

MOST_AHEAD = timedelta(seconds=90)
"""What clocks of the control plane's machines may differ."""


class Room:
    """The compute room of this process."""

    def __init__(self, house: Any) -> None:
        self.house = house
        self.config: ComputeConfig = house.config.section(ComputeConfig)
        self.power_watch = HostWatch(every=timedelta(hours=1))
        self.orphan_watch = HostWatch(every=timedelta(hours=6))
        self.card_watch = HostWatch(every=timedelta(hours=1), ask_every=timedelta(minutes=2))
        self.swept_to = ""  # the server whose interfaces were last read anew on the clock
        # Both by host id: the generation of its provider when claims were right, facts and generation when in order.
        self.claims_seen: dict[str, int | None] = {}
        self.providers_seen: dict[str, tuple[Any, int | None]] = {}
        self.agents: list[HostAgent] = []  # hosts that live in this process
        self.fake_world: FakeWorld | None = None

    @property
    def faults(self) -> Faults | None:
        """What shall go wrong on the fake hosts, for tests; None with a real hypervisor."""
        return self.fake_world.faults if self.fake_world is not None else None

    def host(self, name: str, request_id: str | None = None) -> HostLink:
        return HostLink(self.house.bus, name, request_id)

    def placing(self, request_id: str) -> Placing:
        return Placing(self.house, request_id)

    def network_admin(self, request_id: str) -> Any:
        """The network room, in the cloud's own name: bindings are not the users' to set."""
        return self.house.client("network", internal_context(request_id, "compute"))

    def is_up(self, host: Row) -> bool:
        """Whether a host was heard of lately and nobody forced it down."""
        return not host.forced_down and self.was_heard(host)

    def was_heard(self, host: Row) -> bool:
        """A report from the future is one of before the clock was put back, and says nothing of now."""
        ago = clock.now() - host.seen_at
        return bool(-MOST_AHEAD < ago < timedelta(seconds=self.config.down_after_s))

    def is_deaf(self) -> bool:
        """Whether hosts may be silent only because they could not be heard, or what they said not be written, or
        because the clock was put forward.
        """
        heard_s = min(
            self.house.bus.has_heard_for_s(),
            self.house.store.has_answered_for_s(),
            clock.clock.even_for_s(),
        )
        return bool(heard_s < self.config.down_after_s)

    async def zones(self) -> dict[str, str]:
        """Availability zone of each host, by name: the one of an aggregate it is in, else the default."""
        hosts = await self.house.store.fetch(select(model.HOSTS.c.name))
        zones = {host.name: self.config.zone for host in hosts}
        for aggregate in await self.house.store.all(model.AGGREGATES):
            if zone := aggregate.metadata.get("availability_zone"):
                zones.update(dict.fromkeys(aggregate.hosts, zone))
        return zones


def room_of(house: Any) -> Room:
    room: Room = house.state["compute"]
    return room


def instance_name(server_id: str) -> str:
    """The name by which a server is known to its hypervisor."""
    return f"instance-{server_id}"
