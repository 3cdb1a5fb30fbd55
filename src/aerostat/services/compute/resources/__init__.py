"""What the compute API is made of, one file per resource."""

from .aggregate import Aggregate
from .availability_zone import AvailabilityZone
from .compute_service import ComputeService
from .console import ConsolePages, RemoteConsole
from .extension import Extension
from .external_event import ExternalEvents
from .flavor import Flavor
from .flavor_access import FlavorAccess
from .flavor_extra_spec import FlavorExtraSpecs
from .floating_ip_proxy import FloatingIpProxy
from .host import Host
from .host_proxy import HostProxy
from .hypervisor import Hypervisor
from .image_proxy import ImageProxy
from .instance_action import InstanceAction
from .keypair import Keypair
from .limit import Limits
from .migration import Migration
from .network_proxy import NetworkProxy
from .quota_set import QuotaSet
from .security_group_proxy import SecurityGroupProxy
from .server import Server
from .server_address import ServerAddresses
from .server_diagnostics import ServerDiagnostics
from .server_group import ServerGroup
from .server_interface import ServerInterface
from .server_metadata import ServerMetadata
from .server_migration import ServerMigration
from .server_security_group import ServerSecurityGroups
from .server_tag import ServerTags
from .server_topology import ServerTopology
from .tenant_usage import TenantUsage
from .usage_audit import UsageAudit
from .versions import VersionDocuments

RESOURCES = (
    *(VersionDocuments, Extension),
    *(Flavor, FlavorExtraSpecs, FlavorAccess, Keypair, ServerGroup),
    *(Server, ServerMetadata, ServerTags, ServerAddresses, ServerInterface, ServerSecurityGroups),
    *(
        RemoteConsole,
        ConsolePages,
        InstanceAction,
        ServerDiagnostics,
        ServerTopology,
        Migration,
        ServerMigration,
        ExternalEvents,
    ),
    *(Host, Hypervisor, ComputeService, AvailabilityZone, Aggregate),
    *(Limits, QuotaSet, TenantUsage, UsageAudit),
    *(ImageProxy, SecurityGroupProxy, FloatingIpProxy, NetworkProxy, HostProxy),
)
