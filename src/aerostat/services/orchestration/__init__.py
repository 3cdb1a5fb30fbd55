"""Orchestration: stacks made from templates. Upstream: https://docs.openstack.org/api-ref/orchestration/v1/"""

from aerostat.kernel.http import envelopes, paging
from aerostat.kernel.policy import Rule
from aerostat.kernel.service import Service, iso_z

from . import model
from .client import OrchestrationClient
from .config import OrchestrationConfig
from .flows import FLOWS
from .resources.about import About
from .resources.cfn_metadata import CfnMetadata
from .resources.event import Event
from .resources.lookup import Lookup
from .resources.output import Output
from .resources.resource import StackResource
from .resources.resource_type import ResourceTypes
from .resources.scope import MEMBER
from .resources.software_config import SoftwareConfigs
from .resources.software_deployment import SoftwareDeployments
from .resources.stack import Stack
from .resources.template import Templates
from .sweepers import SWEEPERS
from .versions import VERSIONS

SERVICE = Service(
    "orchestration",
    type="orchestration",
    project="heat",
    prefix="/orchestration",
    catalog="/orchestration/v1/%(project_id)s",
    versions=VERSIONS,
    envelope=envelopes.orchestration,
    resources=[
        About,
        Stack,
        Lookup,
        StackResource,
        Event,
        Output,
        ResourceTypes,
        Templates,
        SoftwareConfigs,
        SoftwareDeployments,
        CfnMetadata,
    ],
    tables=model.TABLES,
    bases=("/v1/{project_id}",),
    client=OrchestrationClient,
    paging=paging.ORCHESTRATION,
    time_format=iso_z,
    forbidden="You are not authorized to use %(rule)s.",
    max_body_bytes=OrchestrationConfig().most_body_bytes,
    rules=[
        Rule(name="resource:signal", text=MEMBER.text),
        Rule(name="stacks:global_index", text="role:admin"),
    ],
    flows=[*FLOWS.values()],
    sweepers=SWEEPERS,
    config=OrchestrationConfig,
    description="Stacks made from templates",
)
