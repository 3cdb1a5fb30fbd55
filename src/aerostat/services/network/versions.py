"""The network API has one version; what a cloud can do is told by its extensions."""

from aerostat.kernel.http.versions import Versions

VERSIONS = Versions(minimum="2.0")
