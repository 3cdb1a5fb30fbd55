"""The contract between the network room and whatever carries packets.

Two halves, since two processes use them. `NetworkDriver` describes the whole cloud's topology, is called by
the reconciler in the control process and knows no host. `HostNetworkDriver` works on one machine, inside
the host process: taps of guests, namespaces, sockets inside namespaces.

The topology is a set of *things*: networks, subnets, ports, security groups, routers, floating IPs. A thing
is complete in itself: it names others by id, and carries the few facts of them that its back-end form needs
(the prefix length beside an address, say), so that one changed port is one small call, whatever the cloud's
size. Addresses are text in their canonical form, MAC addresses lower case with colons.
"""

from collections.abc import Callable, Iterable, Mapping
from socket import socket
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

METADATA_ADDRESS = "169.254.169.254"


def network_topic(host: str) -> str:
    """Where a host is asked for its half of the network."""
    return f"network.{host}"


Kind: TypeAlias = Literal["network", "subnet", "port", "security_group", "router", "floating_ip"]


class Key(Struct, frozen=True, order=True):
    """What a thing is known by."""

    kind: Kind
    id: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"


class Network(Struct, frozen=True, kw_only=True):
    """A layer 2 segment. `physical_network` names the wire it is bridged to (external networks)."""

    id: str
    physical_network: str | None = None
    vlan: int | None = None


class HostRoute(Struct, frozen=True):
    """A route that guests of a subnet are told."""

    destination: str
    next_hop: str


class Subnet(Struct, frozen=True, kw_only=True):
    """What guests on a subnet are told. Without `dhcp` nothing is made for it; give it all the same.

    `metadata_ip`: the address of the network's metadata port in this subnet; guests are given a route to
    169.254.169.254 through it. `ipv6_mode`: slaac, dhcpv6-stateful, dhcpv6-stateless or None (nothing
    answers). Ports hold on to their subnet's answers by id: after DHCP was switched on, ensure the subnet's
    ports again.
    """

    id: str
    network_id: str
    cidr: str
    gateway_ip: str | None = None
    dhcp: bool = True
    dns_servers: tuple[str, ...] = ()
    host_routes: tuple[HostRoute, ...] = ()
    metadata_ip: str | None = None
    mtu: int = 1442
    dns_domain: str = ""
    ipv6_mode: str | None = None


class FixedIP(Struct, frozen=True):
    """An address of a port. `prefix_length` is its subnet's."""

    subnet_id: str
    address: str
    prefix_length: int


class AddressPair(Struct, frozen=True):
    """A further address (or prefix) a port may send from; `mac` None means the port's own."""

    address: str
    mac: str | None = None


class DhcpOption(Struct, frozen=True):
    """Something that a port's guest is told besides or instead of what its subnet says; names are the API's."""

    name: str
    value: str


class OwnDhcp(Struct, frozen=True):
    """A port's own answers in one of its subnets. The subnet comes along whole: the answers hold all it says."""

    subnet: Subnet
    options: tuple[DhcpOption, ...]


class RouterSide(Struct, frozen=True, kw_only=True):
    """The router's end of a port of kind `router`. `gateway`: it is the router's leg in an external network.

    `ra_mode`: what the router advertises on IPv6 (slaac, dhcpv6-stateful, dhcpv6-stateless), None for
    nothing.
    """

    router_id: str
    gateway: bool = False
    ra_mode: str | None = None


class Port(Struct, frozen=True, kw_only=True):
    """A place on a network.

    kind `guest`: what a server (or anything that is plugged) uses; `router`: a leg of a router, told by
    `router`; `metadata`: the one per network behind which each host answers metadata, present on every host
    at once. `security_groups` None: port security is off, the port may send anything and all is let
    through. An empty tuple: anti-spoofing, and nothing but DHCP and metadata passes. `dns_names` are
    answered with the port's addresses inside its network. `host`: the host the port is bound to. `next_host`: where
    its guest is moving to: packets for it come there too, and it may speak there as soon as it has said that it has
    come. `own_dhcp`: at most one for IPv4 and one for IPv6; options that the back-end does not know are left out.
    """

    id: str
    network_id: str
    mac: str
    fixed_ips: tuple[FixedIP, ...] = ()
    kind: Literal["guest", "router", "metadata"] = "guest"
    enabled: bool = True
    security_groups: tuple[str, ...] | None = ()
    address_pairs: tuple[AddressPair, ...] = ()
    dns_names: tuple[str, ...] = ()
    host: str | None = None
    next_host: str | None = None
    own_dhcp: tuple[OwnDhcp, ...] = ()
    mtu: int = 1442
    router: RouterSide | None = None


class Rule(Struct, frozen=True, kw_only=True):
    """A rule of a security group, in the network API's terms. Everything not allowed by a rule is dropped.

    `protocol`: a name (tcp, udp, icmp, icmpv6, …), a number as text, or None for any. For ICMP the port
    range is type and code. `remote_group_id` and `remote_ip_prefix`: at most one.
    """

    id: str
    direction: Literal["ingress", "egress"]
    ethertype: Literal["IPv4", "IPv6"]
    protocol: str | None = None
    port_min: int | None = None
    port_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None


class SecurityGroup(Struct, frozen=True, kw_only=True):
    """`stateful`: what answers something allowed is let through; otherwise each direction stands for itself."""

    id: str
    rules: tuple[Rule, ...] = ()
    stateful: bool = True


class Route(Struct, frozen=True):
    """A static route of a router."""

    destination: str
    next_hop: str


class Router(Struct, frozen=True, kw_only=True):
    """A router without its legs (those are ports). `routes` holds the default route too.

    `snat_address`: the address behind which the `snat_cidrs` (its inner IPv4 subnets) go out; None for no
    SNAT.
    """

    id: str
    enabled: bool = True
    routes: tuple[Route, ...] = ()
    snat_address: str | None = None
    snat_cidrs: tuple[str, ...] = ()


class FloatingIP(Struct, frozen=True, kw_only=True):
    """An associated floating IP (without an association there is nothing to make).

    With `port_id` and `mac` it is answered on the host of that port, under that MAC address; without,
    centrally.
    """

    id: str
    router_id: str
    address: str
    fixed_ip: str
    port_id: str | None = None
    mac: str | None = None


Thing: TypeAlias = Network | Subnet | Port | SecurityGroup | Router | FloatingIP

KIND_OF: Mapping[type, Kind] = {
    Network: "network",
    Subnet: "subnet",
    Port: "port",
    SecurityGroup: "security_group",
    Router: "router",
    FloatingIP: "floating_ip",
}


def key_of(thing: Thing) -> Key:
    return Key(KIND_OF[type(thing)], thing.id)


class Changes(Struct, frozen=True):
    """What a call found to do. Both empty: the world was as described."""

    ensured: tuple[Key, ...] = ()
    removed: tuple[Key, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.ensured or self.removed)


PortUp: TypeAlias = Callable[[str, bool], None]


class NetworkDriver(Protocol):
    """The topology. Every verb may be repeated; every wait is bounded; failures are `DriverError`."""

    async def start(self) -> None:
        """Connect; returns when the present state is known. A repeat does nothing."""

    async def close(self) -> None:
        """Let go; the topology stays."""

    async def ensure_things(self, things: Iterable[Thing]) -> Changes:
        """Make these things exist exactly as described, in one transaction; no other thing is touched.

        A thing may name others that come in the same call. One that is nowhere (a port's network, router or
        security group) is a DriverError with `retry`, and nothing was changed.
        """

    async def remove_things(self, keys: Iterable[Key]) -> Changes:
        """Make these things not exist; absent ones are no error. What stands on a removed thing goes too."""

    async def sync(self, topology: Iterable[Thing]) -> Changes:
        """Make the world equal to `topology`: repair what drifted, remove what is not in it.

        Compares everything, writes only what differs.
        """

    async def list_things(self) -> dict[Key, str]:
        """All things that are there, each with a fingerprint of its present state (see `fingerprint`)."""

    def fingerprint(self, thing: Thing) -> str:
        """What `list_things` shows for a thing that is there exactly as described."""

    async def check_answers(self) -> None:
        """DriverError unless the topology can be read now. Costs the same however much there is to read."""

    async def list_up_ports(self) -> frozenset[str]:
        """Ids of guest ports that are plugged on some host and carry packets."""

    def on_port_up(self, callback: PortUp) -> None:
        """Call `callback(port_id, is_up)` in the event loop at every change.

        Changes made while nobody is connected are lost: use it to wake up early, `list_up_ports` to know.
        """

    async def wait_applied(self, timeout_s: float = 30.0) -> None:
        """Return when all hosts carry everything asked so far; DriverError(retry) if not in time."""


class MetadataPort(Struct, frozen=True, kw_only=True):
    """A network's metadata port as a host needs it. `addresses` with prefix length: ("10.0.0.2/24",)."""

    network_id: str
    port_id: str
    mac: str
    addresses: tuple[str, ...]
    mtu: int = 1442


class HostNetworkDriver(Protocol):
    """One machine's side. Every verb may be repeated; every wait is bounded; failures are `DriverError`.

    `namespace` in the socket verbs is `external` or `metadata/<network id>`; metadata listeners see the
    network by the socket that accepted and the asking guest by the peer's address.
    """

    async def start(self) -> None:
        """Connect to the switch. A repeat does nothing."""

    async def close(self) -> None:
        """Let go; taps and namespaces stay, guests run on."""

    async def plug_port(self, port_id: str, mac: str, mtu: int) -> str:
        """Make the port's tap and join it to the switch; answers the tap's name, `tap` + 11 characters of
        the id.

        A repeat answers the same name, and mends what is missing (after a reboot: everything).
        """

    async def unplug_port(self, port_id: str) -> None:
        """Take the tap away."""

    async def list_plugged_ports(self) -> dict[str, str]:
        """Port id → tap name of all that is joined to the switch by `plug_port`."""

    async def ensure_metadata(self, port: MetadataPort) -> None:
        """Make the namespace in which this host answers metadata for a network."""

    async def remove_metadata(self, network_id: str) -> None:
        """Take it away; sockets that were handed out for it hear nothing more."""

    async def list_metadata(self) -> frozenset[str]:
        """Ids of the networks that have such a namespace here."""

    async def listen(self, namespace: str, address: str, port: int) -> socket:
        """A non-blocking listening TCP socket inside a namespace. The caller owns it."""

    async def connect(self, namespace: str, address: str, port: int, timeout_s: float = 10.0) -> socket:
        """A connected non-blocking TCP socket inside a namespace. The caller owns it."""


def tap_name(port_id: str) -> str:
    """The name of a port's tap, known before it is made; fits the kernel's 15 characters."""
    return f"tap{port_id[:11]}"
