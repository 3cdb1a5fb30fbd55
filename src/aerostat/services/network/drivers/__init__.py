"""What carries packets: `ovn`, or `fake` for tests and `up --fake`."""

from typing import TYPE_CHECKING

from aerostat.kernel.config import Config
from aerostat.kernel.host_place import place_of

from ..config import NetworkConfig, gateway_hosts
from ..host.protocol import NetworkDriver

if TYPE_CHECKING:
    from .fake import FakeWorld


def open_fake_world(config: Config) -> "FakeWorld":
    """The fake network of this process, or the file that several share."""
    from .fake import FakeWorld
    from .fake_shared import SharedFakeWorld

    file = config.section(NetworkConfig).fake_world
    return FakeWorld() if file is None else SharedFakeWorld(file)


def open_driver(config: Config) -> NetworkDriver:
    """The driver that the settings name. It is not connected yet."""
    name = config.driver("network", "ovn")
    if name == "fake":
        from .fake import FakeNetworkDriver

        return FakeNetworkDriver(open_fake_world(config))
    if name == "ovn":
        from .ovn.daemons import OvnHost
        from .ovn.northbound import OvnNetworkDriver

        first = place_of(config)
        settings = config.section(NetworkConfig)
        northbound = settings.northbound or OvnHost.at(first, first).northbound
        return OvnNetworkDriver(northbound, gateway_hosts(config))
    raise ValueError(f"there is no network driver {name}; there are ovn and fake")
