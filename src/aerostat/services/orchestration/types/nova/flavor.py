"""OS::Nova::Flavor: for administrators.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Nova::Flavor
"""

from collections.abc import Mapping
from typing import Any

from ...thing import Thing
from ..outside import id_of, unless_gone
from ..property import BOOLEAN, MAP, Attribute, boolean, integer, listing, mapping, number, text
from ..resource_type import ResourceType


class Flavor(ResourceType):
    name = "OS::Nova::Flavor"
    description = "A resource for creating OpenStack virtual hardware templates."
    room = "compute"
    properties = {
        "tenants": listing("List of tenants.", text(), default=[], update=True),
        "ram": integer("Memory in MB for the flavor.", required=True),
        "vcpus": integer("Number of VCPUs for the flavor.", required=True),
        "disk": integer("Size of local disk in GB.", default=0),
        "swap": integer("Swap space in MB.", default=0),
        "ephemeral": integer("Size of a secondary ephemeral data disk in GB.", default=0),
        "rxtx_factor": number("RX/TX factor.", default=1.0),
        "extra_specs": mapping("Key/Value pairs to extend the capabilities of the flavor.", update=True),
        "flavorid": text("Unique ID of the flavor."),
        "name": text("Name of the flavor."),
        "is_public": boolean("Scope of flavor accessibility. Public or private.", default=True),
    }
    attributes = {
        "is_public": Attribute("Whether the flavor is shared across all projects.", BOOLEAN),
        "extra_specs": Attribute("Extra specs of the flavor.", MAP),
    }

    async def create(self, thing: Thing) -> str | None:
        values = thing.properties
        compute = thing.client("compute")
        body = {
            "name": thing.named,
            "id": values["flavorid"] or thing.id,  # of our choosing, so that a second run finds it
            "ram": values["ram"],
            "vcpus": values["vcpus"],
            "disk": values["disk"],
            "swap": values["swap"],
            "OS-FLV-EXT-DATA:ephemeral": values["ephemeral"],
            "rxtx_factor": values["rxtx_factor"],
            "os-flavor-access:is_public": values["is_public"],
        }
        made = await compute.create_flavor(extra_specs=values["extra_specs"], **body)
        if not values["is_public"]:
            for one in values["tenants"]:
                await compute.add_flavor_access(made["id"], str(await id_of(thing, "project", one)))
        return str(made["id"])

    async def find_made(self, thing: Thing) -> str | None:
        wanted = thing.properties["flavorid"] or thing.id
        found = await thing.client("compute").find_flavor(wanted)
        if found is None or found["id"] != wanted:
            return None
        return await thing.find_unclaimed([found])

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        if changed.get("extra_specs"):
            await thing.client("compute").set_flavor_extra_specs(thing.physical_id, changed["extra_specs"])

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("compute").delete_flavor(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        shown = await thing.client("compute").get_flavor(thing.physical_id)
        return {**shown, "is_public": shown.get("os-flavor-access:is_public")}
