"""Where images can be kept, how they may come in, and how much of them a project has.

https://docs.openstack.org/api-ref/image/v2/#image-service-info-discovery
"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.policy import Rule
from aerostat.kernel.resource import Resource, route

from .. import quotas
from ..config import ImageConfig
from ..stores import NamedStore, Stores, stores_of


class Info(Resource):
    extra_rules = (Rule(name="stores_info_detail", text="role:admin or role:service"),)

    @route("GET", "/info/stores")
    async def stores(self, req: Request) -> dict[str, Any]:
        stores = stores_of(req.house)
        return {"stores": [_shown(stores, one) for one in stores.all]}

    @route("GET", "/info/stores/detail", policy="stores_info_detail")
    async def stores_in_detail(self, req: Request) -> dict[str, Any]:
        stores = stores_of(req.house)
        return {"stores": [{**_shown(stores, one), **_detail(one)} for one in stores.all]}

    @route("GET", "/info/import")
    async def ways_of_import(self, req: Request) -> dict[str, Any]:
        known = list(req.house.config.section(ImageConfig).import_methods)
        return {
            "import-methods": {"description": "Import methods available.", "type": "array", "value": known}
        }

    @route("GET", "/info/usage")
    async def usage(self, req: Request) -> dict[str, Any]:
        return {"usage": await quotas.usage(req)}


def _shown(stores: Stores, one: NamedStore) -> dict[str, Any]:
    shown = {"id": one.name}
    if one.settings.description:
        shown["description"] = one.settings.description
    if one.name == stores.default:
        shown["default"] = "true"
    if not one.is_writable:
        shown["read-only"] = "true"
    return shown


_TYPES = {"object": "swift"}  # as clients know it


def _detail(one: NamedStore) -> dict[str, Any]:
    properties = one.driver.properties() if one.driver is not None else {}
    kind = one.settings.type
    return {"type": _TYPES.get(kind, kind), "weight": one.settings.weight, "properties": properties}
