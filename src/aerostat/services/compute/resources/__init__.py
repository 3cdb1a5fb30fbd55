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
from .hypervisor import Hypervisor
from .image_proxy import ImageProxy
from .instance_action import InstanceAction
from .keypair import Keypair
from .limit import Limits
from .migration import Migration
from .quota_set import QuotaSet
from .server import Server
from .server_address import ServerAddresses
from .server_diagnostics import ServerDiagnostics
from .server_group import ServerGroup
from .server_interface import ServerInterface
from .server_metadata import ServerMetadata
from .server_security_group import ServerSecurityGroups
from .server_tag import ServerTags
from .tenant_usage import TenantUsage
from .versions import VersionDocuments

RESOURCES = (
    *(VersionDocuments, Extension),
    *(Flavor, FlavorExtraSpecs, FlavorAccess, Keypair, ServerGroup),
    *(Server, ServerMetadata, ServerTags, ServerAddresses, ServerInterface, ServerSecurityGroups),
    *(RemoteConsole, ConsolePages, InstanceAction, ServerDiagnostics, Migration, ExternalEvents),
    *(Hypervisor, ComputeService, AvailabilityZone, Aggregate),
    *(Limits, QuotaSet, TenantUsage, ImageProxy),
)
