"""One configuration on many servers: a nested stack with a deployment for each.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::SoftwareDeploymentGroup
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..template import select as follow
from ..thing import Thing
from .deploying import check_signal_transport
from .nested.child import of_member
from .nested.group import NamedGroup
from .property import MAP, Attribute, mapping

SERVERS = mapping(
    "A map of names and server IDs to apply configuration to. The name is arbitrary and is used as the Heat resource"
    " name for the corresponding deployment.",
    required=True,
    update=True,
)
_OF_EACH = {
    "deploy_stdouts": "deploy_stdout",
    "deploy_stderrs": "deploy_stderr",
    "deploy_status_codes": "deploy_status_code",
}


class DeploymentGroup(NamedGroup):
    """Types say which type of deployment the members are."""

    member_type: ClassVar[str] = ""
    attributes = {
        "deploy_stdouts": Attribute(
            "A map of Nova names and captured stdouts from the configuration execution to each server.", MAP
        ),
        "deploy_stderrs": Attribute(
            "A map of Nova names and captured stderrs from the configuration execution to each server.", MAP
        ),
        "deploy_status_codes": Attribute(
            "A map of Nova names and returned status code from the configuration execution.", MAP
        ),
    }

    async def check(self, properties: Mapping[str, Any]) -> None:
        check_signal_transport(properties["signal_transport"])

    def names(self, thing: Thing) -> list[str]:
        return list(thing.properties["servers"])

    def definition(self, values: Mapping[str, Any], name: str) -> dict[str, Any]:
        given = {key: value for key, value in values.items() if key != "servers" and value is not None}
        return {
            "type": self.member_type,
            "properties": {**given, "server": (values["servers"] or {}).get(name)},
        }

    def is_renewed(self, thing: Thing) -> bool:
        return any(thing.previous.get(key) != value for key, value in thing.properties.items())

    def knows_attribute(self, name: str) -> bool:
        return True

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        """The same attribute of each deployment, by its name."""
        child = await self.open_child(thing)
        if name.startswith("resource."):
            return await of_member(child, name.removeprefix("resource."), path)
        names = [one for one in self.names(thing) if one in child.things]
        if name == "refs":
            return follow([child.live.reference_id(one) for one in names], path)
        wanted = _OF_EACH.get(name, name)
        return follow({one: await of_member(child, one, [wanted]) for one in names}, path)
