"""The one version of the orchestration API: it has no microversions."""

from aerostat.kernel.http.versions import Versions

VERSIONS = Versions(minimum="1.0")
