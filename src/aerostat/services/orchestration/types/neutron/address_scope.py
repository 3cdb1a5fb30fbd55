"""OS::Neutron::AddressScope: addresses that do not overlap and so need no translation.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Neutron::AddressScope
"""

from collections.abc import Mapping
from typing import Any

from ...thing import Thing
from ..outside import given, id_of, unless_gone
from ..property import boolean, integer, text
from ..resource_type import ResourceType


class AddressScope(ResourceType):
    name = "OS::Neutron::AddressScope"
    description = "A resource for Neutron address scope."
    room = "network"
    properties = {
        "name": text("The name for the address scope.", required=True, update=True),
        "shared": boolean(
            "Whether the address scope should be shared to other tenants.", default=False, update=True
        ),
        "tenant_id": text("The owner tenant ID of the address scope.", custom="keystone.project"),
        "ip_version": integer(
            "Address family of the address scope, which is 4 or 6.", default=4, allowed=(4, 6)
        ),
    }

    async def create(self, thing: Thing) -> str | None:
        body = given(thing.properties, "name", "ip_version")
        if thing.properties["shared"]:
            body["shared"] = True
        if thing.properties["tenant_id"]:
            body["tenant_id"] = await id_of(thing, "project", thing.properties["tenant_id"])
        return str((await thing.client("network").create_address_scope(**body))["id"])

    async def find_made(self, thing: Thing) -> str | None:
        return await thing.find_unclaimed(await thing.client("network").list_address_scopes(name=thing.named))

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        await thing.client("network").update_address_scope(thing.physical_id, **changed)

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("network").delete_address_scope(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("network").get_address_scope(thing.physical_id))
