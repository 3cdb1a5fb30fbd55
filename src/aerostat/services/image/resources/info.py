"""Where images can be kept, and how they may come in. https://docs.openstack.org/api-ref/image/v2/#image-service-info-discovery"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route


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
