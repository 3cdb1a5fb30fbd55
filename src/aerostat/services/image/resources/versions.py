"""Where the versions of the image API are announced. https://docs.openstack.org/api-ref/image/versions/"""

from typing import Any

from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from ..versions import ANNOUNCED


class VersionDocuments(Resource):
    below_bases = False

    @route("GET", "/", public=True)
    async def choices(self, req: Request) -> Response:
        return Response(_document(req), 300)

    @route("GET", "/versions", public=True)
    async def versions(self, req: Request) -> dict[str, Any]:
        return _document(req)


def _document(req: Request) -> dict[str, Any]:
    href = f"{req.base_url}{req.service.prefix}/v2/"
    return {
        "versions": [
            {"id": id, "status": status, "links": [{"rel": "self", "href": href}]} for id, status in ANNOUNCED
        ]
    }
