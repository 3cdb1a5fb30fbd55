"""OS::Keystone::Endpoint.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Keystone::Endpoint
"""

from ...thing import Thing
from ..identity_thing import IdentityThing
from ..outside import id_of
from ..property import boolean, text


class Endpoint(IdentityThing):
    name = "OS::Keystone::Endpoint"
    description = "Heat Template Resource for Keystone Service Endpoint."
    kind = "endpoint"
    properties = {
        "name": text("Name of keystone endpoint.", update=True),
        "region": text("Name or Id of keystone region.", update=True, custom="keystone.region"),
        "service": text(
            "Name or Id of keystone service.", required=True, update=True, custom="keystone.service"
        ),
        "interface": text(
            "Interface type of keystone service endpoint.",
            required=True,
            allowed=("public", "internal", "admin"),
            update=True,
        ),
        "url": text("URL of keystone service endpoint.", required=True, update=True),
        "enabled": boolean("This endpoint is enabled or disabled.", default=True, update=True),
    }
    sent = {
        "region": "region_id",
        "service": "service_id",
        "interface": "interface",
        "url": "url",
        "enabled": "enabled",
    }
    named_by = {"service": "service"}

    async def find_made(self, thing: Thing) -> str | None:
        """Endpoints have no names; one of the same service and address that nobody knows is ours."""
        values = thing.properties
        query = {
            "service_id": await id_of(thing, "service", values["service"]),
            "interface": values["interface"],
        }
        found = await thing.client("identity").list_of("endpoint", **query)
        return await thing.find_unclaimed([one for one in found if one["url"] == values["url"]])
