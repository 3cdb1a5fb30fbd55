"""The identity API has one version and no microversions."""

from aerostat.kernel.http.versions import Versions

VERSIONS = Versions(minimum="3.0")
