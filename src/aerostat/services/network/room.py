"""What runs beside the requests: the driver, and what it says.

Every process with an engine has a `Room` in `house.state["network"]`; the topology is written by whoever holds
the reconciler's lease, so any number of them may be connected.
"""

from typing import Any

from aerostat.kernel import clock
from aerostat.kernel.house import House

from .drivers import open_driver
from .drivers.fake import FakeHostNetworkDriver, FakeNetworkDriver
from .host.protocol import HostNetworkDriver, NetworkDriver
from .reconcilers import port_status
from .reconcilers.topology import Progress

_KEY = "network"


class Room:
    """What the room shares between its requests and its reconcilers."""

    def __init__(self, driver: NetworkDriver) -> None:
        self.driver = driver
        # What shall go wrong in the fake world, for tests; None with real switches.
        self.faults = driver.world.faults if isinstance(driver, FakeNetworkDriver) else None
        self.progress = Progress()
        self.ports_compared_at = self.ports_looked_at = clock.NEVER
        self.agents_looked_at = clock.NEVER
        self.told: dict[str, bool] = {}  # port id → is up, as the driver said since the last look


async def start(house: House) -> None:
    """Open the driver and listen to it, where there is an engine: requests only write rows.

    Whoever opened the house may have brought a driver along.
    """
    if not house.runs_engine:
        return
    driver = house.state.get("network.driver") or open_driver(house.config)
    room = Room(driver)
    house.state[_KEY] = room

    def tell(port_id: str, is_up: bool) -> None:
        room.told[port_id] = is_up
        house.nudge(port_status.NAME)

    driver.on_port_up(tell)
    if isinstance(driver, FakeNetworkDriver):
        world = driver.world

        def open_host_half(host: str) -> HostNetworkDriver:
            return FakeHostNetworkDriver(world, host)

        house.state["network.host_half"] = open_host_half
    await driver.start()


async def stop(house: House) -> None:
    room: Any = house.state.pop(_KEY, None)
    if room is not None:
        await room.driver.close()
