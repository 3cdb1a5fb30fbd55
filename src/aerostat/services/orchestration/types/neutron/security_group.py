"""OS::Neutron::SecurityGroup, with its rules.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Neutron::SecurityGroup
"""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel.client import RoomError

from ...thing import Thing
from ..outside import is_absent, unless_gone, without_none
from ..property import LIST, Attribute, integer, listing, mapping, text
from ..resource_type import ResourceType

_PORT = {"between": (0, 65535)}
_RULE = mapping(
    inner={
        "direction": text(
            "The direction in which the security group rule is applied.",
            default="ingress",
            allowed=("ingress", "egress"),
        ),
        "ethertype": text("Ethertype of the traffic.", default="IPv4", allowed=("IPv4", "IPv6")),
        "port_range_min": integer(
            "The minimum port number in the range that is matched by the rule.", **_PORT
        ),
        "port_range_max": integer(
            "The maximum port number in the range that is matched by the rule.", **_PORT
        ),
        "protocol": text("The protocol that is matched by the security group rule."),
        "remote_mode": text(
            "Whether to specify a remote group or a remote IP prefix.",
            default="remote_ip_prefix",
            allowed=("remote_ip_prefix", "remote_group_id"),
        ),
        "remote_group_id": text("The remote group ID to be associated with this security group rule."),
        "remote_ip_prefix": text(
            "The remote IP prefix (CIDR) to be associated with this security group rule.", custom="net_cidr"
        ),
    }
)
_SENT = (
    "direction",
    "ethertype",
    "port_range_min",
    "port_range_max",
    "protocol",
    "remote_group_id",
    "remote_ip_prefix",
)


class SecurityGroup(ResourceType):
    name = "OS::Neutron::SecurityGroup"
    description = "A resource for managing Neutron security groups."
    room = "network"
    properties = {
        "name": text(
            "A string specifying a symbolic name for the security group, which is not required to be unique.",
            update=True,
        ),
        "description": text("Description of the security group.", update=True),
        "rules": listing("List of security group rules.", _RULE, default=[], update=True),
    }
    attributes = {
        "name": Attribute("Friendly name of the security group."),
        "description": Attribute("Description of the security group."),
        "security_group_rules": Attribute("The rules of the security group.", LIST),
    }

    async def create(self, thing: Thing) -> str | None:
        network = thing.client("network")
        values = thing.properties
        made = await network.create_security_group(name=thing.named, description=values["description"] or "")
        await thing.claim(made["id"])
        thing.data["rules_of"] = made["id"]
        await _bring_rules(thing, made)
        return str(made["id"])

    async def is_created(self, thing: Thing) -> bool:
        if thing.data.get("rules_of") != thing.physical_id:  # a run died between the group and its rules
            await _bring_rules(thing, await self.show(thing))
            thing.data["rules_of"] = thing.physical_id
        return True

    async def find_made(self, thing: Thing) -> str | None:
        found = await thing.client("network").list_security_groups(name=thing.named)
        return await thing.find_unclaimed(found)

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        network = thing.client("network")
        if "name" in changed or "description" in changed:
            description = thing.properties["description"] or ""
            await network.update_security_group(thing.physical_id, name=thing.named, description=description)
        if "rules" in changed:
            await _bring_rules(thing, await self.show(thing))

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("network").delete_security_group(thing.physical_id))

    async def is_deleted(self, thing: Thing) -> bool:
        return await is_absent(thing.client("network").get_security_group(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("network").get_security_group(thing.physical_id))


async def _bring_rules(thing: Thing, group: Mapping[str, Any]) -> None:
    """Let the group have the wanted rules: what is there already is left, what is there besides goes.

    The rules with which every group begins (all may go out) stay unless other egress rules are asked for.
    """
    network = thing.client("network")
    wanted = [_wire(rule, str(group["id"])) for rule in thing.properties["rules"] or ()]
    keeps_defaults = not any(rule["direction"] == "egress" for rule in wanted)
    left = list(wanted)
    for rule in group["security_group_rules"]:
        known = {name: rule.get(name) for name in _SENT if rule.get(name) is not None}
        if known in left:
            left.remove(known)
        elif not (keeps_defaults and _is_default(known)):
            await unless_gone(network.delete_security_group_rule(rule["id"]))
    for rule in left:
        try:
            await network.create_security_group_rule(security_group_id=group["id"], **rule)
        except RoomError as error:
            if error.status != 409:  # the same rule twice, said in two ways
                raise


def _is_default(rule: Mapping[str, Any]) -> bool:
    return rule.get("direction") == "egress" and set(rule) <= {"direction", "ethertype"}


def _wire(rule: Mapping[str, Any], group_id: str) -> dict[str, Any]:
    """A rule as the network room takes it."""
    wire = {name: rule.get(name) for name in _SENT}
    if rule.get("remote_mode") == "remote_group_id":
        wire["remote_group_id"] = rule.get("remote_group_id") or group_id
        wire["remote_ip_prefix"] = None
    if wire["protocol"] is not None:
        wire["protocol"] = wire["protocol"].lower()
    return without_none(wire)  # type: ignore[no-any-return]
