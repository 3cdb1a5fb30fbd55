"""OS::Neutron::FloatingIP and OS::Neutron::FloatingIPAssociation.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Neutron::FloatingIP
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import ResourceFailure
from ...plans import Plan
from ...template import ResourceDefinition
from ...thing import Thing
from ..outside import given, id_of, unless_gone
from ..property import Attribute, listing, mapping, text
from ..resource_type import ResourceType


def _ways_out(plan: Plan) -> list[str]:
    """A floating address needs a router between the two networks; whatever connects one comes first."""
    kinds = ("OS::Neutron::RouterInterface", "OS::Neutron::RouterGateway")
    return [one.name for kind in kinds for one in plan.resources_of(kind)]


class FloatingIP(ResourceType):
    name = "OS::Neutron::FloatingIP"
    description = "A resource for managing Neutron floating ip."
    room = "network"
    properties = {
        "floating_network": text("Network to allocate floating IP from.", custom="neutron.network"),
        "floating_network_id": text("Deprecated: use floating_network.", custom="neutron.network"),
        "floating_subnet": text("Subnet to allocate floating IP from.", custom="neutron.subnet"),
        "floating_ip_address": text("IP address of the floating IP.", custom="ip_addr"),
        "port_id": text(
            "ID of an existing port with at least one IP address to associate with this floating IP.",
            custom="neutron.port",
            update=True,
        ),
        "fixed_ip_address": text(
            "IP address to use if the port has multiple addresses.", custom="ip_addr", update=True
        ),
        "value_specs": mapping("Extra parameters to include in the creation request.", default={}),
        "dns_name": text("DNS name associated with floating ip.", custom="rel_dns_name", update=True),
        "dns_domain": text("DNS domain associated with floating ip.", custom="dns_domain", update=True),
        "tags": listing("The tags to be added to the floating ip.", text(), update=True),
    }
    attributes = {
        "router_id": Attribute("ID of the router used as gateway, set when associated with a port."),
        "tenant_id": Attribute("The tenant owning this floating IP."),
        "floating_network_id": Attribute("ID of the network in which this IP is allocated."),
        "fixed_ip_address": Attribute("IP address of the associated port, if specified."),
        "floating_ip_address": Attribute("The allocated address of this IP."),
        "port_id": Attribute("ID of the port associated with this IP."),
        "dns_domain": Attribute("DNS domain associated with floating ip."),
        "dns_name": Attribute("DNS name associated with floating ip."),
    }

    def requires_besides(self, definition: ResourceDefinition, plan: Plan) -> Iterable[str]:
        return _ways_out(plan)

    async def create(self, thing: Thing) -> str | None:
        values = thing.properties
        body = given(values, "floating_ip_address", "fixed_ip_address", "dns_name", "dns_domain")
        wanted = values["floating_network"] or values["floating_network_id"]
        if wanted is None:
            raise ResourceFailure("Property floating_network not assigned", "StackValidationFailed")
        body["floating_network_id"] = await id_of(thing, "network", wanted)
        if values["floating_subnet"]:
            body["subnet_id"] = await id_of(thing, "subnet", values["floating_subnet"])
        if values["port_id"]:
            body["port_id"] = await id_of(thing, "port", values["port_id"])
        # A floating address has no name: the description says whose it is, should this run die.
        body.setdefault("description", thing.physical_name)
        return str((await thing.client("network").create_floating_ip(**body))["id"])

    async def find_made(self, thing: Thing) -> str | None:
        found = await thing.client("network").list_floating_ips()
        return await thing.find_unclaimed(
            [one for one in found if one.get("description") == thing.physical_name]
        )

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        body: dict[str, Any] = {}
        if "port_id" in changed or "fixed_ip_address" in changed:
            body["port_id"] = await id_of(thing, "port", thing.properties["port_id"])
            if body["port_id"] and thing.properties["fixed_ip_address"]:
                body["fixed_ip_address"] = thing.properties["fixed_ip_address"]
        if body:
            await thing.client("network").update_floating_ip(thing.physical_id, **body)

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("network").delete_floating_ip(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("network").get_floating_ip(thing.physical_id))


class FloatingIPAssociation(ResourceType):
    name = "OS::Neutron::FloatingIPAssociation"
    description = "A resource for associating floating ips and ports."
    room = "network"
    properties = {
        "floatingip_id": text("ID of the floating IP to associate.", required=True, update=True),
        "port_id": text(
            "ID of an existing port with at least one IP address to associate with this floating IP.",
            custom="neutron.port",
            update=True,
        ),
        "fixed_ip_address": text(
            "IP address to use if the port has multiple addresses.", custom="ip_addr", update=True
        ),
    }

    def requires_besides(self, definition: ResourceDefinition, plan: Plan) -> Iterable[str]:
        return _ways_out(plan)

    async def create(self, thing: Thing) -> str | None:
        values = thing.properties
        body = {"port_id": await id_of(thing, "port", values["port_id"])}
        if values["fixed_ip_address"]:
            body["fixed_ip_address"] = values["fixed_ip_address"]
        await thing.client("network").update_floating_ip(values["floatingip_id"], **body)
        return f"{values['floatingip_id']}:{body['port_id']}"

    async def find_made(self, thing: Thing) -> str | None:
        return await self.create(thing)  # associating again is the same

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        if "floatingip_id" in changed:
            await self.delete(thing)
        thing.row.physical_id = await self.create(thing)

    async def delete(self, thing: Thing) -> None:
        """Part them, unless the address has gone to another port meanwhile."""
        floating_id, _, port_id = str(thing.physical_id).partition(":")
        network = thing.client("network")

        async def part() -> None:
            shown = await network.get_floating_ip(floating_id)
            if shown.get("port_id") == port_id:
                await network.update_floating_ip(floating_id, port_id=None)

        await unless_gone(part())
