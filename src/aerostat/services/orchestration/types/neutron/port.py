"""OS::Neutron::Port. https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Neutron::Port"""

from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import StackValidationFailed
from ...plans import Plan
from ...template import ResourceDefinition
from ...thing import Thing
from ..outside import given, id_of, is_absent, subnets_of, unless_gone, without_none
from ..property import BOOLEAN, LIST, MAP, Attribute, boolean, listing, mapping, text
from ..resource_type import ResourceType

_SENT = (
    "admin_state_up",
    "device_owner",
    "mac_address",
    "allowed_address_pairs",
    "port_security_enabled",
    "dns_name",
    "propagate_uplink_status",
)


class Port(ResourceType):
    name = "OS::Neutron::Port"
    description = "A resource for managing Neutron ports."
    room = "network"
    properties = {
        "name": text("A symbolic name for this port.", update=True),
        "network": text("Network this port belongs to.", custom="neutron.network"),
        "network_id": text("Deprecated: use network.", custom="neutron.network"),
        "device_id": text("Device ID of this port.", default="", update=True),
        "device_owner": text("Name of the network owning the port.", default="", update=True),
        "admin_state_up": boolean("The administrative state of this port.", default=True, update=True),
        "fixed_ips": listing(
            "Desired IPs for this port.",
            mapping(
                inner={
                    "subnet": text(
                        "Subnet in which to allocate the IP address for this port.", custom="neutron.subnet"
                    ),
                    "subnet_id": text("Deprecated: use subnet.", custom="neutron.subnet"),
                    "ip_address": text("IP address desired in the subnet for this port.", custom="ip_addr"),
                }
            ),
            update=True,
        ),
        "mac_address": text("MAC address to give to this port.", custom="mac_addr", update=True),
        "security_groups": listing("Security group IDs to associate with this port.", text(), update=True),
        "allowed_address_pairs": listing(
            "Additional MAC/IP address pairs allowed to pass through the port.",
            mapping(
                inner={
                    "mac_address": text("MAC address to allow through this port.", custom="mac_addr"),
                    "ip_address": text(
                        "IP address to allow through this port.", required=True, custom="ip_or_cidr"
                    ),
                }
            ),
            update=True,
        ),
        "port_security_enabled": boolean("Flag to enable/disable port security on the port.", update=True),
        "qos_policy": text("The name or ID of QoS policy to attach to this port.", update=True),
        "value_specs": mapping("Extra parameters to include in the request.", default={}, update=True),
        "binding:vnic_type": text(
            "The vnic type to be bound on the neutron port.",
            default="normal",
            update=True,
            allowed=(
                "normal",
                "direct",
                "macvtap",
                "direct-physical",
                "baremetal",
                "virtio-forwarder",
                "smart-nic",
            ),
        ),
        "dns_name": text("DNS name associated with the port.", custom="dns_name", update=True),
        "replacement_policy": text(
            "Policy on how to respond to a stack-update for this resource.",
            default="AUTO",
            allowed=("REPLACE_ALWAYS", "AUTO"),
            update=True,
        ),
        "propagate_uplink_status": boolean(
            "Flag to enable/disable propagate uplink status on the port.", update=True
        ),
        "no_fixed_ips": boolean("Flag to disable all fixed ips on the port.", default=False, update=True),
        "tags": listing("The tags to be added to the port.", text(), update=True),
    }
    attributes = {
        "admin_state_up": Attribute("The administrative state of this port."),
        "device_id": Attribute("Unique identifier for the device."),
        "device_owner": Attribute("Name of the network owning the port."),
        "fixed_ips": Attribute("Fixed IP addresses.", LIST),
        "mac_address": Attribute("MAC address of the port."),
        "name": Attribute("Friendly name of the port."),
        "network_id": Attribute("Unique identifier for the network owning the port."),
        "security_groups": Attribute("A list of security groups for the port.", LIST),
        "status": Attribute("The status of the port."),
        "tenant_id": Attribute("Tenant owning the port."),
        "allowed_address_pairs": Attribute(
            "Additional MAC/IP address pairs allowed to pass through a port.", LIST
        ),
        "subnets": Attribute("A list of all subnet attributes for the port.", LIST),
        "port_security_enabled": Attribute("Port security enabled of the port.", BOOLEAN),
        "qos_policy_id": Attribute("The QoS policy ID attached to this port."),
        "dns_assignment": Attribute("The DNS assigned to this port.", MAP),
        "network": Attribute("The attributes of the network owning the port.", MAP),
        "propagate_uplink_status": Attribute("Enable/Disable propagate uplink status for the port.", BOOLEAN),
    }

    def requires_besides(self, definition: ResourceDefinition, plan: Plan) -> Iterable[str]:
        return subnets_of(plan, plan.needed_by(definition, "network", "network_id"))

    async def check(self, properties: Mapping[str, Any]) -> None:
        if not properties["network"] and not properties["network_id"]:
            raise StackValidationFailed("Property error: Property network not assigned")

    async def create(self, thing: Thing) -> str | None:
        values = thing.properties
        body = without_none(given(values, *_SENT))
        if not body.get("device_owner"):
            body.pop("device_owner", None)
        if "mac_address" in body:
            body["mac_address"] = _mac(body["mac_address"])
        if values["device_id"]:
            body["device_id"] = values["device_id"]
        if values["binding:vnic_type"] != "normal":
            body["binding:vnic_type"] = values["binding:vnic_type"]
        if values["no_fixed_ips"]:
            body["fixed_ips"] = []
        elif values["fixed_ips"] is not None:
            body["fixed_ips"] = await _fixed_ips(thing, values["fixed_ips"])
        if values["security_groups"] is not None:
            body["security_groups"] = await group_ids(thing, values["security_groups"])
        network_id = await id_of(thing, "network", values["network"] or values["network_id"])
        network = thing.client("network")
        return str((await network.create_port(name=thing.named, network_id=network_id, **body))["id"])

    async def find_made(self, thing: Thing) -> str | None:
        return await thing.find_unclaimed(await thing.client("network").list_ports(name=thing.named))

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        body = {
            name: value
            for name, value in changed.items()
            if name not in ("value_specs", "tags", "replacement_policy", "no_fixed_ips", "qos_policy")
        }
        body |= changed.get("value_specs") or {}
        if body.get("mac_address"):
            body["mac_address"] = _mac(body["mac_address"])
        if "name" in body and body["name"] is None:
            body["name"] = thing.physical_name
        if "fixed_ips" in body:
            body["fixed_ips"] = await _fixed_ips(thing, body["fixed_ips"] or [])
        if "security_groups" in body:
            body["security_groups"] = await group_ids(thing, body["security_groups"] or ["default"])
        if "allowed_address_pairs" in body:
            body["allowed_address_pairs"] = without_none(body["allowed_address_pairs"] or [])
        if body:
            await thing.client("network").update_port(thing.physical_id, **body)

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("network").delete_port(thing.physical_id))

    async def is_deleted(self, thing: Thing) -> bool:
        return await is_absent(thing.client("network").get_port(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        network = thing.client("network")
        shown = await network.get_port(thing.physical_id)
        ids = [one["subnet_id"] for one in shown.get("fixed_ips", [])]
        subnets = await network.list_subnets(id=ids) if ids else []
        return {**shown, "subnets": subnets, "network": await network.get_network(shown["network_id"])}


def _mac(text: str) -> str:
    """With colons: templates may write it with dashes, or nothing at all, between its parts."""
    digits = text.replace("-", "").replace(":", "").lower()
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))


async def _fixed_ips(thing: Thing, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for one in wanted:
        subnet_id = await id_of(thing, "subnet", one.get("subnet") or one.get("subnet_id"))
        found.append(without_none({"subnet_id": subnet_id, "ip_address": one.get("ip_address")}))
    return found


async def group_ids(thing: Thing, groups: list[str]) -> list[str]:
    """Security groups by name or id."""
    return [str(await id_of(thing, "security_group", one)) for one in groups if one]
