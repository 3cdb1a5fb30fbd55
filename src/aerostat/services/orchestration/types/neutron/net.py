"""OS::Neutron::Net. https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Neutron::Net"""

from collections.abc import Mapping
from typing import Any, ClassVar

from ...thing import Thing
from ..outside import given, is_absent, unless_gone
from ..property import BOOLEAN, INTEGER, LIST, Attribute, boolean, integer, listing, mapping, text
from ..resource_type import ResourceType

_COMMON = {
    "name": text(
        "A string specifying a symbolic name for the network, which is not required to be unique.",
        update=True,
    ),
    "admin_state_up": boolean(
        "A boolean value specifying the administrative status of the network.", default=True, update=True
    ),
    "shared": boolean(
        "Whether this network should be shared across all tenants.", default=False, update=True
    ),
    "port_security_enabled": boolean("Flag to enable/disable port security on the network.", update=True),
    "value_specs": mapping("Extra parameters to include in the request.", default={}, update=True),
    "tags": listing("The tags to be added to the network.", text(), update=True),
}
_ATTRIBUTES = {
    "status": Attribute("The status of the network."),
    "name": Attribute("The name of the network."),
    "subnets": Attribute("Subnets of this network.", LIST),
    "admin_state_up": Attribute("The administrative status of the network."),
    "tenant_id": Attribute("The tenant owning this network."),
    "port_security_enabled": Attribute("Port security enabled of the network.", BOOLEAN),
    "mtu": Attribute("The maximum transmission unit size(in bytes) for the network.", INTEGER),
    "qos_policy_id": Attribute("The QoS policy ID attached to this network."),
    "segments": Attribute("The segments of this network.", LIST),
}
_SENT = ("admin_state_up", "shared", "port_security_enabled")


class Net(ResourceType):
    name = "OS::Neutron::Net"
    description = "A resource for managing Neutron net."
    room = "network"
    properties = {
        **_COMMON,
        "tenant_id": text("The ID of the tenant which will own the network. Only administrators can set it."),
        "dhcp_agent_ids": listing("The IDs of the DHCP agent to schedule the network.", update=True),
        "qos_policy": text("The name or ID of QoS policy to attach to this network.", update=True),
        "dns_domain": text("DNS domain associated with this network.", custom="dns_domain", update=True),
        "availability_zone_hints": listing("Availability zone candidates for the network.", text()),
    }
    attributes = _ATTRIBUTES
    sent: ClassVar[tuple[str, ...]] = (*_SENT, "tenant_id", "dns_domain", "availability_zone_hints")

    async def create(self, thing: Thing) -> str | None:
        return await make(thing, self.body(thing.properties))

    def body(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return given(values, *self.sent)

    async def find_made(self, thing: Thing) -> str | None:
        return await find(thing)

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        await change(thing, changed)

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("network").delete_network(thing.physical_id))

    async def is_deleted(self, thing: Thing) -> bool:
        return await is_absent(thing.client("network").get_network(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("network").get_network(thing.physical_id))


class ProviderNet(ResourceType):
    """OS::Neutron::ProviderNet: a network on a physical one; for administrators."""

    name = "OS::Neutron::ProviderNet"
    description = "A resource for managing Neutron provider networks."
    room = "network"
    properties = {
        **_COMMON,
        "network_type": text(
            "Network type of the provider network.",
            required=True,
            update=True,
            allowed=("local", "vlan", "vxlan", "gre", "geneve", "flat"),
        ),
        "physical_network": text(
            "A string specifying the physical network mapping for the network.", update=True
        ),
        "segmentation_id": integer("A string specifying the segmentation id for the network.", update=True),
        "router_external": boolean(
            "Whether the network contains an external router.", default=False, update=True
        ),
        "availability_zone_hints": listing("Availability zone candidates for the network.", text()),
    }
    attributes = {**_ATTRIBUTES, "segmentation_id": Attribute("The segmentation ID of the network.")}

    async def create(self, thing: Thing) -> str | None:
        values = thing.properties
        body = given(values, *_SENT, "availability_zone_hints")
        for name in ("network_type", "physical_network", "segmentation_id"):
            if values[name] is not None:
                body[f"provider:{name}"] = values[name]
        body["router:external"] = values["router_external"]
        return await make(thing, body)

    async def find_made(self, thing: Thing) -> str | None:
        return await find(thing)

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        wire = {"router_external": "router:external"}
        provided = ("network_type", "physical_network", "segmentation_id")
        names = {**wire, **{name: f"provider:{name}" for name in provided}}
        await change(thing, {names.get(name, name): value for name, value in changed.items()})

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("network").delete_network(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        shown = await thing.client("network").get_network(thing.physical_id)
        return {**shown, "segmentation_id": shown.get("provider:segmentation_id")}


async def make(thing: Thing, body: Mapping[str, Any]) -> str:
    network = thing.client("network")
    return str((await network.create_network(name=thing.named, **body))["id"])


async def find(thing: Thing) -> str | None:
    return await thing.find_unclaimed(await thing.client("network").list_networks(name=thing.named))


async def change(thing: Thing, changed: Mapping[str, Any]) -> None:
    body = {
        name: value
        for name, value in changed.items()
        if name not in ("value_specs", "tags", "dhcp_agent_ids", "qos_policy")
    }
    body |= changed.get("value_specs") or {}
    if "name" in body and body["name"] is None:
        body["name"] = thing.physical_name
    if body:
        await thing.client("network").update_network(thing.physical_id, **body)
