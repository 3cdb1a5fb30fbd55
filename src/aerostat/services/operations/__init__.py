"""The operation record, readable: what happened to a thing or in a request, step by step, and why."""

from aerostat.kernel.http import envelopes
from aerostat.kernel.http.versions import Versions
from aerostat.kernel.service import Service

from .resources.explanation import Explanation

SERVICE = Service(
    "operations",
    type="operations",
    project="aerostat",
    prefix="/aerostat",
    catalog=None,
    versions=Versions(),
    envelope=envelopes.plain,
    resources=[Explanation],
    description="What happened, and why",
)
