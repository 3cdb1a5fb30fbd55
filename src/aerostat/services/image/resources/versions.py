"""Versions of the image API, its stores and ways of import. https://docs.openstack.org/api-ref/image/versions/"""

from typing import Any

from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

# What each minor version added is whole up to the first of these.
_VERSIONS = (
    ("v2.9", "CURRENT"),
    ("v2.7", "SUPPORTED"),
    ("v2.5", "SUPPORTED"),
    ("v2.4", "SUPPORTED"),
    ("v2.3", "SUPPORTED"),
    ("v2.2", "SUPPORTED"),
    ("v2.1", "SUPPORTED"),
    ("v2.0", "SUPPORTED"),
)


class Versions(Resource):
    below_bases = False

    @route("GET", "/", public=True)
    async def choices(self, req: Request) -> Response:
        return Response(_document(req), 300)

    @route("GET", "/versions", public=True)
    async def versions(self, req: Request) -> dict[str, Any]:
        return _document(req)


class Info(Resource):
    @route("GET", "/info/stores")
    async def stores(self, req: Request) -> dict[str, Any]:
        return {"stores": [{"id": "file", "description": "Files on this machine", "default": "true"}]}

    @route("GET", "/info/import")
    async def ways_of_import(self, req: Request) -> dict[str, Any]:
        known: list[str] = []
        return {
            "import-methods": {"description": "Import methods available.", "type": "array", "value": known}
        }


def _document(req: Request) -> dict[str, Any]:
    href = f"{req.base_url}{req.service.prefix}/v2/"
    return {
        "versions": [
            {"id": id, "status": status, "links": [{"rel": "self", "href": href}]} for id, status in _VERSIONS
        ]
    }
