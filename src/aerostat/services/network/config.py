"""Settings of the network room: section `[network]`."""

from pathlib import Path

import msgspec

from aerostat.kernel.config import Config
from aerostat.kernel.host_place import places_of


class NetworkConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes and names that a new cloud is made with, and what tenants' networks are given."""

    mtu: int = 1442
    """Of tenants' networks: an Ethernet frame of 1500 less the tunnel's header."""
    external_mtu: int = 1500
    """Of networks that stand on a wire of the machine's own."""
    dns_domain: str = "openstack.local."
    """Appended to the names of ports in `dns_assignment`."""
    dns_servers: tuple[str, ...] = ()
    """What guests of subnets without name servers of their own are told."""
    availability_zone: str = "nova"
    max_fixed_ips: int = 5
    max_allowed_address_pairs: int = 10
    max_routes: int = 30
    """Of a router; and host routes of a subnet."""
    max_dns_nameservers: int = 5
    northbound: str = ""
    """OVN's northbound database, `unix:/path` or `tcp:address:port`; empty: the one of this cloud's own."""
    gateway_hosts: tuple[str, ...] = ()
    """Hosts on which routers reach external networks, the preferred first; empty: see `gateway_hosts` below."""
    southbound: str = ""
    """OVN's southbound database, `tcp:address:port`, `ssl:address:port` or `unix:/path`, as hosts are told when they
    join; empty: the one of this cloud's own."""
    switch: str = "unix:/run/openvswitch/db.sock"
    """Open vSwitch of a compute host on a machine of its own, which the distribution runs."""
    tunnel_address: str = ""
    """Where other hosts reach such a host, with tunnels and with guests that move; empty: the address by which it
    reaches the southbound database."""
    bridge_mappings: dict[str, str] = {}
    """On such a host: physical network → bridge of the switch that leads there, `{ public = "br-ex" }`. Needed where
    floating IPs and routers shall come out; the others need none."""
    fake_world: Path | None = None
    """A file that is the fake network, for fake drivers in several processes of one machine."""
    full_sync_s: float = 600.0
    """How often the whole topology is compared with the world, beside what changes bring."""

    external_network: str = "public"
    external_physical_network: str = "public"
    external_cidr: str = "172.24.4.0/24"
    external_gateway: str = "172.24.4.1"
    external_pool: tuple[str, str] = ("172.24.4.10", "172.24.4.250")

    default_pool: str = "shared-default-subnetpool-v4"
    default_pool_cidr: str = "10.64.0.0/10"
    default_pool_prefixlen: int = 26
    """Of the subnets that projects get when they ask for a network of any kind."""

    demo_network: str = "private"
    demo_subnet: str = "private-subnet"
    demo_router: str = "router1"
    demo_cidr: str = "10.20.0.0/24"


FEWEST_TO_FAIL_OVER = 3


def gateway_hosts(config: Config) -> tuple[str, ...]:
    """Hosts on which routers reach external networks, the preferred one first: as set, or those of this machine.

    A gateway that sees no other host any more takes itself for the one that is cut off, and gives up. So of two
    hosts only the first is one: the other's death would end both.
    """
    named = config.section(NetworkConfig).gateway_hosts
    own = tuple(place.name for place in places_of(config))
    return named or (own if len(own) >= FEWEST_TO_FAIL_OVER else own[:1])
