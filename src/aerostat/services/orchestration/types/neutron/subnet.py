"""OS::Neutron::Subnet. https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Neutron::Subnet"""

from collections.abc import Mapping
from typing import Any

from ...errors import StackValidationFailed
from ...thing import Thing
from ..outside import given, id_of, is_absent, unless_gone, without_none
from ..property import BOOLEAN, LIST, Attribute, boolean, integer, listing, mapping, text
from ..resource_type import ResourceType

_IPV6 = ("dhcpv6-stateful", "dhcpv6-stateless", "slaac")


class Subnet(ResourceType):
    name = "OS::Neutron::Subnet"
    description = "A resource for managing Neutron subnets."
    room = "network"
    properties = {
        "network": text("The ID of the attached network.", required=True, custom="neutron.network"),
        "subnetpool": text("The name or ID of the subnet pool.", custom="neutron.subnetpool"),
        "prefixlen": integer("Prefix length for subnet allocation from subnet pool.", between=(0, None)),
        "cidr": text("The CIDR.", custom="net_cidr"),
        "value_specs": mapping("Extra parameters to include in the request.", default={}, update=True),
        "name": text("The name of the subnet.", update=True),
        "ip_version": integer("The IP version, which is 4 or 6.", default=4, allowed=(4, 6)),
        "dns_nameservers": listing(
            "A specified set of DNS name servers to be used.", text(), default=[], update=True
        ),
        "gateway_ip": text(
            'The gateway IP address. Set to any of [ null | ~ | "" ] to create/update a subnet without a gateway.',
            update=True,
        ),
        "enable_dhcp": boolean(
            "Set to true if DHCP is enabled and false if DHCP is disabled.", default=True, update=True
        ),
        "allocation_pools": listing(
            "The start and end addresses for the allocation pools.",
            mapping(
                inner={
                    "start": text("Start address for the allocation pool.", required=True, custom="ip_addr"),
                    "end": text("End address for the allocation pool.", required=True, custom="ip_addr"),
                }
            ),
            update=True,
        ),
        "tenant_id": text("The ID of the tenant who owns the network. Only administrative users can set it."),
        "host_routes": listing(
            "A list of host route dictionaries for the subnet.",
            mapping(
                inner={
                    "destination": text(
                        "The destination for static route.", required=True, custom="net_cidr"
                    ),
                    "nexthop": text("The next hop for the destination.", required=True, custom="ip_addr"),
                }
            ),
            update=True,
        ),
        "ipv6_ra_mode": text("IPv6 RA (Router Advertisement) mode.", allowed=_IPV6),
        "ipv6_address_mode": text("IPv6 address mode.", allowed=_IPV6),
        "segment": text("The name/ID of the segment to associate."),
        "tags": listing("The tags to be added to the subnet.", text(), update=True),
    }
    attributes = {
        "name": Attribute("Friendly name of the subnet."),
        "network_id": Attribute("Parent network of the subnet."),
        "tenant_id": Attribute("Tenant owning the subnet."),
        "allocation_pools": Attribute("Ip allocation pools and their ranges.", LIST),
        "gateway_ip": Attribute("Ip of the subnet's gateway."),
        "host_routes": Attribute("Additional routes for this subnet.", LIST),
        "ip_version": Attribute("Ip version for the subnet."),
        "cidr": Attribute("CIDR block notation for this subnet."),
        "dns_nameservers": Attribute("List of dns nameservers.", LIST),
        "enable_dhcp": Attribute("'true' if DHCP is enabled for this subnet; 'false' otherwise.", BOOLEAN),
    }

    async def check(self, properties: Mapping[str, Any]) -> None:
        if not properties["cidr"] and not properties["subnetpool"]:
            raise StackValidationFailed(
                "At least one of the following properties must be specified: cidr, subnetpool."
            )
        if properties["prefixlen"] is not None and properties["cidr"]:
            raise StackValidationFailed(
                "Cannot define the following properties at the same time: prefixlen, cidr."
            )

    async def create(self, thing: Thing) -> str | None:
        values = thing.properties
        body = given(
            values,
            "cidr",
            "ip_version",
            "dns_nameservers",
            "enable_dhcp",
            "allocation_pools",
            "tenant_id",
            "host_routes",
            "ipv6_ra_mode",
            "ipv6_address_mode",
            "prefixlen",
        )
        if "gateway_ip" in thing.row.properties:
            body["gateway_ip"] = values["gateway_ip"] or None
        if values["subnetpool"]:
            body["subnetpool_id"] = await id_of(thing, "subnet_pool", values["subnetpool"])
        network_id = await id_of(thing, "network", values["network"])
        network = thing.client("network")
        made = await network.create_subnet(
            name=thing.named, network_id=network_id, **without_none_but_gateway(body)
        )
        return str(made["id"])

    async def find_made(self, thing: Thing) -> str | None:
        return await thing.find_unclaimed(await thing.client("network").list_subnets(name=thing.named))

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        body = {name: value for name, value in changed.items() if name not in ("value_specs", "tags")}
        body |= changed.get("value_specs") or {}
        if "gateway_ip" in body:
            body["gateway_ip"] = body["gateway_ip"] or None
        if "name" in body and body["name"] is None:
            body["name"] = thing.physical_name
        for name in ("dns_nameservers", "allocation_pools", "host_routes"):
            if name in body and body[name] is None:
                body[name] = []
        if body:
            await thing.client("network").update_subnet(thing.physical_id, **body)

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("network").delete_subnet(thing.physical_id))

    async def is_deleted(self, thing: Thing) -> bool:
        return await is_absent(thing.client("network").get_subnet(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("network").get_subnet(thing.physical_id))


def without_none_but_gateway(body: dict[str, Any]) -> dict[str, Any]:
    """A gateway of null means none at all; for everything else null means that nothing is said."""
    kept = without_none(body)
    if "gateway_ip" in body:
        kept["gateway_ip"] = body["gateway_ip"]
    return kept  # type: ignore[no-any-return]
