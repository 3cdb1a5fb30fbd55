"""OS::Neutron::SecurityGroupRule: one rule of a group that is made elsewhere.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Neutron::SecurityGroupRule
"""

from typing import Any

from ...thing import Thing
from ..outside import given, id_of, unless_gone
from ..property import Attribute, integer, text
from ..resource_type import ResourceType


class SecurityGroupRule(ResourceType):
    name = "OS::Neutron::SecurityGroupRule"
    description = "A resource for managing Neutron security group rules."
    room = "network"
    properties = {
        "security_group": text(
            "Security group name or ID to add rule.", required=True, custom="neutron.security_group"
        ),
        "description": text("Description of the security group rule."),
        "direction": text(
            "The direction in which the security group rule is applied.",
            default="ingress",
            allowed=("ingress", "egress"),
        ),
        "ethertype": text("Ethertype of the traffic.", default="IPv4", allowed=("IPv4", "IPv6")),
        "port_range_min": integer(
            "The minimum port number in the range that is matched by the rule.", between=(0, 65535)
        ),
        "port_range_max": integer(
            "The maximum port number in the range that is matched by the rule.", between=(0, 65535)
        ),
        "protocol": text("The protocol that is matched by the security group rule."),
        "remote_group": text(
            "The remote group name or ID to be associated with this security group rule.",
            custom="neutron.security_group",
        ),
        "remote_ip_prefix": text(
            "The remote IP prefix (CIDR) to be associated with this security group rule.", custom="net_cidr"
        ),
    }
    attributes = {
        name: Attribute(f"The {name.replace('_', ' ')} of the rule.")
        for name in ("direction", "ethertype", "protocol", "remote_ip_prefix", "security_group_id")
    }

    async def create(self, thing: Thing) -> str | None:
        made = await thing.client("network").create_security_group_rule(**await self._body(thing))
        return str(made["id"])

    async def find_made(self, thing: Thing) -> str | None:
        body = await self._body(thing)
        group_id = body["security_group_id"]
        found = await thing.client("network").list_security_group_rules(security_group_id=group_id)
        same = [one for one in found if all(str(one.get(name)) == str(value) for name, value in body.items())]
        return await thing.find_unclaimed(same)

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("network").delete_security_group_rule(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("network").get_security_group_rule(thing.physical_id))

    async def _body(self, thing: Thing) -> dict[str, Any]:
        values = thing.properties
        body = given(
            values,
            "description",
            "direction",
            "ethertype",
            "port_range_min",
            "port_range_max",
            "protocol",
            "remote_ip_prefix",
        )
        body["security_group_id"] = await id_of(thing, "security_group", values["security_group"])
        if values["remote_group"]:
            body["remote_group_id"] = await id_of(thing, "security_group", values["remote_group"])
        return body
