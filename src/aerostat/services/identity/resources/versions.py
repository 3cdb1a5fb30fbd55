"""Which versions of the identity API there are. https://docs.openstack.org/api-ref/identity/v3/#api-versions"""

from typing import Any

from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

_MEDIA = [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}]


def _v3(req: Request) -> dict[str, Any]:
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{req.base_url}{req.service.prefix}/v3/"}],
        "media-types": _MEDIA,
    }


class VersionDocuments(Resource):
    @route("GET", "/", public=True)
    async def versions(self, req: Request) -> Response:
        return Response({"versions": {"values": [_v3(req)]}}, 300)

    @route("GET", "/v3", public=True)
    async def version(self, req: Request) -> dict[str, Any]:
        return {"version": _v3(req)}
