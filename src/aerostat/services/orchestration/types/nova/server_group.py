"""OS::Nova::ServerGroup: servers that shall stand together, or apart.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Nova::ServerGroup
"""

from typing import Any

from ...thing import Thing
from ..outside import unless_gone
from ..property import integer, listing, mapping, text
from ..resource_type import ResourceType


class ServerGroup(ResourceType):
    name = "OS::Nova::ServerGroup"
    description = "A resource for managing a Nova server group."
    room = "compute"
    properties = {
        "name": text("Server Group name."),
        "policies": listing("A list of exactly one policy to apply.", text(), default=["anti-affinity"]),
        "rules": mapping(
            "Rules for a policy.",
            {"max_server_per_host": integer("Maximum servers in a group on a given host.")},
        ),
    }

    async def create(self, thing: Thing) -> str | None:
        body: dict[str, Any] = {
            "name": thing.named,
            "policy": (thing.properties["policies"] or ["anti-affinity"])[0],
        }
        rules = {key: value for key, value in (thing.properties["rules"] or {}).items() if value is not None}
        if rules:
            body["rules"] = rules
        return str((await thing.client("compute").create_server_group(**body))["id"])

    async def find_made(self, thing: Thing) -> str | None:
        found = await thing.client("compute").list_server_groups()
        return await thing.find_unclaimed([one for one in found if one["name"] == thing.named])

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("compute").delete_server_group(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("compute").get_server_group(thing.physical_id))
