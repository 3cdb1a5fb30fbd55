"""OS::Keystone::Region.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Keystone::Region
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ...thing import Thing
from ..identity_thing import IdentityThing
from ..outside import is_absent
from ..property import boolean, text


class Region(IdentityThing):
    name = "OS::Keystone::Region"
    description = "Heat Template Resource for Keystone Region."
    kind = "region"
    properties = {
        "id": text("The user-defined region ID, unique to the OpenStack deployment."),
        "parent_region": text(
            "If the region is hierarchically a child of another region, set this parameter to the ID of the parent"
            " region.",
            update=True,
            custom="keystone.region",
        ),
        "description": text("Description of keystone region.", update=True),
        "enabled": boolean("This region is enabled or disabled.", default=True, update=True),
    }
    sent = {"parent_region": "parent_region_id", "description": "description", "enabled": "enabled"}

    async def attributes_of(self, thing: Thing, values: Mapping[str, Any]) -> dict[str, Any]:
        body = await super().attributes_of(thing, values)
        if values is thing.properties:
            body["id"] = _own_id(thing)
        return body

    async def find_made(self, thing: Thing) -> str | None:
        id = _own_id(thing)
        if await is_absent(thing.client("identity").get("region", id)) or await thing.is_claimed(id):
            return None
        return id


def _own_id(thing: Thing) -> str:
    """Of our choosing where the template has none, so that a second run finds what the first one made."""
    return quote(thing.properties["id"]) if thing.properties["id"] else thing.id.replace("-", "")
