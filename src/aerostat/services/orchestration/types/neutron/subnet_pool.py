"""OS::Neutron::SubnetPool: prefixes from which subnets are cut.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Neutron::SubnetPool
"""

from collections.abc import Mapping
from typing import Any

from ...thing import Thing
from ..outside import given, unless_gone
from ..property import LIST, Attribute, boolean, integer, listing, mapping, text
from ..resource_type import ResourceType

_SENT = (
    "prefixes",
    "default_quota",
    "default_prefixlen",
    "min_prefixlen",
    "max_prefixlen",
    "is_default",
    "tenant_id",
    "shared",
)


class SubnetPool(ResourceType):
    name = "OS::Neutron::SubnetPool"
    description = "A resource that implements neutron subnet pool."
    room = "network"
    properties = {
        "name": text("Name of the subnet pool.", update=True),
        "prefixes": listing(
            "List of subnet prefixes to assign.", text(custom="net_cidr"), required=True, update=True
        ),
        "address_scope": text("An address scope ID to assign to the subnet pool.", update=True),
        "default_quota": integer(
            "A per-tenant quota on the prefix space that can be allocated from the subnet pool.",
            between=(0, None),
            update=True,
        ),
        "default_prefixlen": integer("The size of the prefix to allocate.", between=(0, None), update=True),
        "min_prefixlen": integer(
            "Smallest prefix size that can be allocated from the subnet pool.", between=(0, None), update=True
        ),
        "max_prefixlen": integer(
            "Maximum prefix size that can be allocated from the subnet pool.", between=(0, None), update=True
        ),
        "is_default": boolean("Whether this is default IPv4/IPv6 subnet pool.", default=False, update=True),
        "tenant_id": text("The ID of the tenant who owns the subnet pool."),
        "shared": boolean("Whether the subnet pool will be shared across all tenants.", default=False),
        "value_specs": mapping("Extra parameters to include in the request.", default={}, update=True),
        "tags": listing("The tags to be added to the subnetpool.", text(), update=True),
    }
    attributes = {
        name: Attribute(
            f"The {name.replace('_', ' ')} of the subnet pool.", LIST if name == "prefixes" else "string"
        )
        for name in (
            "name",
            "prefixes",
            "address_scope_id",
            "default_quota",
            "default_prefixlen",
            "min_prefixlen",
            "max_prefixlen",
            "is_default",
            "tenant_id",
            "shared",
            "ip_version",
        )
    }

    async def create(self, thing: Thing) -> str | None:
        body = given(thing.properties, *_SENT)
        return str((await thing.client("network").create_subnet_pool(name=thing.named, **body))["id"])

    async def find_made(self, thing: Thing) -> str | None:
        return await thing.find_unclaimed(await thing.client("network").list_subnet_pools(name=thing.named))

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        body = {name: value for name, value in changed.items() if name in (*_SENT, "name")}
        if "name" in body and body["name"] is None:
            body["name"] = thing.physical_name
        if body:
            await thing.client("network").update_subnet_pool(thing.physical_id, **body)

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("network").delete_subnet_pool(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("network").get_subnet_pool(thing.physical_id))
