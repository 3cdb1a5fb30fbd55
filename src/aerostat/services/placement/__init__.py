"""Placement: what each provider has, and who holds it. Upstream: https://docs.openstack.org/api-ref/placement/"""

from aerostat.kernel.http import envelopes
from aerostat.kernel.policy import Rule
from aerostat.kernel.service import Service

from . import model
from .client import PlacementClient
from .resources.allocation import Allocation
from .resources.inventory import Inventory
from .resources.provider import Provider
from .resources.trait import ResourceClass, Trait
from .resources.versions import VersionDocuments
from .versions import VERSIONS

_RESOURCES = [VersionDocuments, Provider, Inventory, Allocation, Trait, ResourceClass]
# Upstream lets services and administrators in; usages of the own project are for its readers too.
_SERVICES = "role:admin or role:service"
_RULES = [
    Rule(name="placement:usages", text=f"{_SERVICES} or (role:reader and project_id:%(project_id)s)"),
    *(
        Rule(name=name, text=_SERVICES)
        for name in dict.fromkeys(one.policy for kind in _RESOURCES for one in kind.routes if one.policy)
    ),
]

SERVICE = Service(
    "placement",
    type="placement",
    project="placement",
    prefix="/placement",
    catalog="/placement",
    versions=VERSIONS,
    envelope=envelopes.placement,
    resources=_RESOURCES,
    tables=model.TABLES,
    client=PlacementClient,
    invalid="JSON does not validate: %(reason)s, at %(path)s",
    rules=_RULES,
    description="What each provider has, and who holds it",
)
