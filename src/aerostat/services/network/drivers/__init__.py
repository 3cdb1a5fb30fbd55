"""What carries packets: `ovn`, or `fake` for tests and `up --fake`."""

from aerostat.kernel.config import Config

from ..config import NetworkConfig
from ..host.protocol import NetworkDriver


def open_driver(config: Config) -> NetworkDriver:
    """The driver that the settings name. It is not connected yet."""
    name = config.driver("network", "ovn")
    if name == "fake":
        from .fake import FakeNetworkDriver

        return FakeNetworkDriver()
    if name == "ovn":
        from .ovn.daemons import OvnHost
        from .ovn.northbound import OvnNetworkDriver

        host_name = config.kernel.host_name
        own = OvnHost(state_dir=config.state, prefix=config.folder.prefix, host_name=host_name)
        settings = config.section(NetworkConfig)
        return OvnNetworkDriver(settings.northbound or own.northbound, settings.gateway_hosts or (host_name,))
    raise ValueError(f"there is no network driver {name}; there are ovn and fake")
