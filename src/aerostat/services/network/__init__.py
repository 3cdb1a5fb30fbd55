"""The door of the network room: Networking API v2.0 over OVN."""

from aerostat.kernel.http import envelopes
from aerostat.kernel.service import Service, iso_z

from . import listing, room
from .client import NetworkClient
from .config import NetworkConfig
from .first_networks import make_first_networks
from .model import TABLES
from .quotas import QUOTAS
from .reconcilers import RECONCILERS
from .resources.address_scope import AddressScope
from .resources.agent import Agent
from .resources.auto_topology import AutoTopology
from .resources.extension import Extension
from .resources.facts import AvailabilityZone, ServiceProvider
from .resources.floating_ip import FloatingIP
from .resources.ip_availability import IpAvailability
from .resources.network import Network
from .resources.port import Port
from .resources.quota import Quota
from .resources.rbac_policy import RbacPolicy
from .resources.router import Router
from .resources.security_group import SecurityGroup
from .resources.security_group_rule import SecurityGroupRule
from .resources.subnet import Subnet
from .resources.subnet_pool import SubnetPool
from .resources.tag import Tags
from .resources.versions import VersionDocuments
from .sweepers import SWEEPERS
from .versions import VERSIONS

SERVICE = Service(
    "network",
    type="network",
    project="neutron",
    prefix="/networking",
    catalog="/networking",
    description="OpenStack Networking",
    versions=VERSIONS,
    envelope=envelopes.network,
    tables=TABLES,
    bases=("/v2.0",),
    client=NetworkClient,
    paging=listing.PAGING,
    time_format=iso_z,
    lenient=True,
    invalid="Invalid input for %(path)s. Reason: %(reason)s.",
    forbidden="rule:%(rule)s is disallowed by policy",
    resources=[
        VersionDocuments,
        Network,
        Subnet,
        Port,
        Router,
        FloatingIP,
        SecurityGroup,
        SecurityGroupRule,
        SubnetPool,
        AddressScope,
        RbacPolicy,
        AutoTopology,
        Quota,
        Tags,
        Agent,
        Extension,
        AvailabilityZone,
        ServiceProvider,
        IpAvailability,
    ],
    sweepers=SWEEPERS,
    reconcilers=RECONCILERS,
    quotas=[QUOTAS],
    config=NetworkConfig,
    start=room.start,
    stop=room.stop,
    bootstrap=make_first_networks,
)
