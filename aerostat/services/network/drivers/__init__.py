"""What carries packets: `ovn`, or `fake` for tests and `up --fake`."""

from aerostat.kernel.config import Config

from ..host.protocol import NetworkDriver


def open_driver(config: Config) -> NetworkDriver:
    """The driver that the settings name. It is not connected yet."""
    name = config.driver("network", "ovn")
    if name == "fake":
        from .fake import FakeNetworkDriver

        return FakeNetworkDriver()
    if name == "ovn":
        from .ovn import open_ovn

        return open_ovn(config)
    raise ValueError(f"there is no network driver {name}; there are ovn and fake")
