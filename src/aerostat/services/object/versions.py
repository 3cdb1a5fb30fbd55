"""The object store has one version, in its paths."""

from aerostat.kernel.http.versions import Versions

VERSIONS = Versions()
