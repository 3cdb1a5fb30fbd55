"""Where the versions of placement are announced. https://docs.openstack.org/api-ref/placement/#api-versions"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route


class VersionDocuments(Resource):
    @route("GET", "/", public=True)
    async def versions(self, req: Request) -> dict[str, Any]:
        newest = {
            "id": "v1.0",
            "status": "CURRENT",
            "min_version": str(req.service.versions.minimum),
            "max_version": str(req.service.versions.maximum),
            "links": [{"rel": "self", "href": ""}],
        }
        return {"versions": [newest]}
