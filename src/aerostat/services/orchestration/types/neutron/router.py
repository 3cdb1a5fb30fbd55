"""OS::Neutron::Router. https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Neutron::Router"""

from collections.abc import Iterable, Mapping
from typing import Any

from ...plans import Plan
from ...template import ResourceDefinition
from ...thing import Thing
from ..outside import given, id_of, is_absent, subnets_of, unless_gone, without_none
from ..property import BOOLEAN, MAP, Attribute, boolean, listing, mapping, text
from ..resource_type import ResourceType


class Router(ResourceType):
    name = "OS::Neutron::Router"
    description = "A resource that implements Neutron router."
    room = "network"
    properties = {
        "name": text("The name of the router.", update=True),
        "external_gateway_info": mapping(
            "External network gateway configuration for a router.",
            {
                "network": text(
                    "ID or name of the external network for the gateway.",
                    required=True,
                    custom="neutron.network",
                    update=True,
                ),
                "enable_snat": boolean("Enables Source NAT on the router gateway.", update=True),
                "external_fixed_ips": listing(
                    "External fixed IP addresses for the gateway.",
                    mapping(
                        inner={
                            "ip_address": text("External fixed IP address.", custom="ip_addr"),
                            "subnet": text("Subnet of external fixed IP address.", custom="neutron.subnet"),
                        }
                    ),
                ),
                "qos_policy": text("The name or ID of QoS policy to attach to this gateway."),
            },
            update=True,
        ),
        "value_specs": mapping(
            "Extra parameters to include in the creation request.", default={}, update=True
        ),
        "admin_state_up": boolean("The administrative state of the router.", default=True, update=True),
        "l3_agent_ids": listing("ID list of the L3 agent.", text(), update=True),
        "distributed": boolean("Indicates whether or not to create a distributed router."),
        "ha": boolean("Indicates whether or not to create a highly available router."),
        "availability_zone_hints": listing("Availability zone candidates for the router.", text()),
        "tags": listing("The tags to be added to the router.", text(), update=True),
    }
    attributes = {
        "status": Attribute("The status of the router."),
        "external_gateway_info": Attribute("Gateway network for the router.", MAP),
        "name": Attribute("Friendly name of the router."),
        "admin_state_up": Attribute("Administrative state of the router."),
        "tenant_id": Attribute("Tenant owning the router."),
        "availability_zones": Attribute("Availability zones of the router."),
        "distributed": Attribute("Whether it is distributed.", BOOLEAN),
    }

    def requires_besides(self, definition: ResourceDefinition, plan: Plan) -> Iterable[str]:
        return subnets_of(plan, plan.needed_by(definition, "external_gateway_info"))

    async def create(self, thing: Thing) -> str | None:
        values = thing.properties
        body = given(values, "admin_state_up", "distributed", "ha", "availability_zone_hints")
        if values["external_gateway_info"]:
            body["external_gateway_info"] = await _gateway(thing, values["external_gateway_info"])
        return str((await thing.client("network").create_router(name=thing.named, **body))["id"])

    async def find_made(self, thing: Thing) -> str | None:
        return await thing.find_unclaimed(await thing.client("network").list_routers(name=thing.named))

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        body: dict[str, Any] = {
            name: value for name, value in changed.items() if name in ("name", "admin_state_up")
        }
        body |= changed.get("value_specs") or {}
        if "name" in body and body["name"] is None:
            body["name"] = thing.physical_name
        if "external_gateway_info" in changed:
            info = changed["external_gateway_info"]
            body["external_gateway_info"] = await _gateway(thing, info) if info else {}
        if body:
            await thing.client("network").update_router(thing.physical_id, **body)

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("network").delete_router(thing.physical_id))

    async def is_deleted(self, thing: Thing) -> bool:
        return await is_absent(thing.client("network").get_router(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("network").get_router(thing.physical_id))


async def _gateway(thing: Thing, info: Mapping[str, Any]) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "network_id": await id_of(thing, "network", info["network"]),
        "enable_snat": info.get("enable_snat"),
    }
    if info.get("external_fixed_ips"):
        wire["external_fixed_ips"] = [
            {
                "ip_address": one.get("ip_address"),
                "subnet_id": await id_of(thing, "subnet", one.get("subnet")),
            }
            for one in info["external_fixed_ips"]
        ]
    return without_none(wire)  # type: ignore[no-any-return]
