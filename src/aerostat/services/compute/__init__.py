"""Compute: servers and what they need. The door of the room.

Wire: https://docs.openstack.org/api-ref/compute/ ; `README.md` says what is here and what is not yet.
"""

from aerostat.kernel.http import envelopes, paging
from aerostat.kernel.service import Service, iso_z

from .bootstrap import bootstrap
from .client import ComputeClient
from .config import ComputeConfig
from .console import WEBSOCKETS
from .flows import FLOWS
from .model import TABLES
from .quotas import QUOTAS
from .reconcilers import RECONCILERS
from .resources import RESOURCES
from .start import start, stop
from .sweepers import SWEEPERS
from .versions import VERSIONS

SERVICE = Service(
    "compute",
    type="compute",
    project="nova",
    prefix="/compute",
    catalog="/compute/v2.1",
    bases=("/v2.1", "/v2.1/{own_project_id}", "/v2", "/v2/{own_project_id}"),
    versions=VERSIONS,
    envelope=envelopes.compute,
    resources=RESOURCES,
    tables=TABLES,
    client=ComputeClient,
    paging=paging.COMPUTE,
    time_format=iso_z,
    foreign_project="Malformed request URL: URL's project_id '%(asked)s' doesn't match Context's project_id '%(own)s'",
    request_id_header="x-compute-request-id",
    flows=FLOWS,
    reconcilers=RECONCILERS,
    sweepers=SWEEPERS,
    quotas=[QUOTAS],
    config=ComputeConfig,
    start=start,
    stop=stop,
    bootstrap=bootstrap,
    websockets=WEBSOCKETS,
    description="Compute",
)
