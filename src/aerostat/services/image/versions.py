"""The image API has no microversions to ask for: what each minor version added is there for everybody."""

from aerostat.kernel.http.versions import Versions

VERSIONS = Versions(minimum="2.0")
# What each minor version added is whole up to the first of these.
ANNOUNCED = (
    ("v2.18", "CURRENT"),
    *((f"v2.{minor}", "SUPPORTED") for minor in range(17, -1, -1)),
)
