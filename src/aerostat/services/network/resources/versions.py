"""Where the version of the network API is announced. https://docs.openstack.org/api-ref/network/v2/#api-versions"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route


class VersionDocuments(Resource):
    """`/` lists the versions, `/v2.0` the collections of the version."""

    below_bases = False

    @route("GET", "/", public=True)
    async def versions(self, req: Request) -> dict[str, Any]:
        link = {"href": f"{req.base_url}{req.service.prefix}/v2.0/", "rel": "self"}
        return {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]}

    @route("GET", "/v2.0", public=True)
    async def collections(self, req: Request) -> dict[str, Any]:
        base = f"{req.base_url}{req.service.prefix}/v2.0"
        named = [one for one in self.service.resources.values() if one.plural]
        return {
            "resources": [
                {
                    "name": one.singular,
                    "collection": one.plural,
                    "links": [{"rel": "self", "href": base + one.path.rsplit("/", 1)[0]}],
                }
                for one in named
            ]
        }
