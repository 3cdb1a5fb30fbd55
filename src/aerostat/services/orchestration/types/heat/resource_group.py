"""OS::Heat::ResourceGroup: many resources of one definition, told apart by their index.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::ResourceGroup
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aerostat.kernel.house import House

from ...config import OrchestrationConfig
from ...errors import RequestLimitExceeded
from ...reading import OpenStack
from ...template import select as follow
from ...thing import Thing
from ..nested.child import of_member
from ..nested.group import NamedGroup
from ..property import LIST, MAP, Attribute, integer, listing, mapping, text


class ResourceGroup(NamedGroup):
    name = "OS::Heat::ResourceGroup"
    description = "Creates one or more identically configured nested resources."
    properties = {
        "count": integer("The number of resources to create.", default=1, between=(0, None), update=True),
        "index_var": text(
            "A variable replaced with the current index in the group.", default="%index%", length=(3, None)
        ),
        "resource_def": mapping(
            "Resource definition for the resources in the group.",
            {
                "type": text("The type of the resources in the group.", required=True),
                "properties": mapping("Property values for the resources in the group."),
                "metadata": mapping("Supplied metadata for the resources in the group."),
            },
            required=True,
            update=True,
        ),
        "removal_policies": listing(
            "Policies for removal of resources on update.",
            mapping(
                inner={
                    "resource_list": listing("List of resources to be removed.", default=[]),
                }
            ),
            default=[],
            update=True,
        ),
        "removal_policies_mode": text(
            "How to handle changes to removal_policies on update.",
            default="append",
            allowed=("append", "update"),
            update=True,
        ),
    }
    attributes = {
        "refs": Attribute("A list of resource IDs for the resources in the group.", LIST),
        "refs_map": Attribute("A map of resource names to IDs for the resources in the group.", MAP),
        "attributes": Attribute("A map of resource names to the specified attribute of each.", MAP),
        "removed_rsrc_list": Attribute("A list of removed resource names.", LIST),
    }

    def names(self, thing: Thing) -> list[str]:
        return member_names(int(thing.properties["count"]), thing.data.get("removed", []))

    def definition(self, values: Mapping[str, Any], name: str) -> dict[str, Any]:
        return _definition(values["resource_def"], values["index_var"], name)

    def is_renewed(self, thing: Thing) -> bool:
        return thing.previous.get("resource_def") not in (None, thing.properties["resource_def"])

    async def check_here(self, house: House, properties: Mapping[str, Any]) -> None:
        """Before a template of so many members is written down."""
        most = house.config.section(OrchestrationConfig).most_resources
        if 0 <= most < properties["count"]:
            raise RequestLimitExceeded(reason="Maximum resources per stack exceeded.")

    async def create(self, thing: Thing) -> str | None:
        await self.check_here(thing.house, thing.properties)
        return await super().create(thing)

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        await self.check_here(thing.house, thing.properties)
        await self._note_removed(thing)
        await super().update(thing, changed)

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        if name == "removed_rsrc_list":
            return follow(thing.data.get("removed", []), path)
        child = await self.open_child(thing)
        names = [one for one in self.names(thing) if one in child.things]
        if name.startswith("resource."):
            return await of_member(child, name.removeprefix("resource."), path)
        if name == "refs":
            return follow([child.live.reference_id(one) for one in names], path)
        if name == "refs_map":
            return follow({one: child.live.reference_id(one) for one in names}, path)
        if name == "attributes":
            return {one: await _of(child, one, path) for one in names} if path else None
        return [await _of(child, one, [name, *path]) for one in names]

    def knows_attribute(self, name: str) -> bool:
        return True

    async def _note_removed(self, thing: Thing) -> None:
        """Members that the user wants gone are left out from now on; others take their place at the end."""
        child = await self.open_child(thing)
        asked = [
            one for policy in thing.properties["removal_policies"] for one in policy["resource_list"] or ()
        ]
        by_reference = {child.live.reference_id(one): one for one in child.things}
        names = [by_reference.get(one, str(one)) for one in asked]
        known = thing.data.get("removed", []) if thing.properties["removal_policies_mode"] == "append" else []
        thing.data["removed"] = list(dict.fromkeys([*known, *names]))


async def _of(child: OpenStack, member: str, path: Sequence[str | int]) -> Any:
    return await of_member(child, member, path)


def member_names(count: int, removed: Sequence[str]) -> list[str]:
    """`count` indices as names, leaving out those that were removed."""
    names: list[str] = []
    index = 0
    left_out = set(removed)
    while len(names) < count:
        if str(index) not in left_out:
            names.append(str(index))
        index += 1
    return names


def _definition(definition: Mapping[str, Any], variable: str, index: str) -> dict[str, Any]:
    return {
        key: _with_index(value, variable, index) for key, value in definition.items() if value is not None
    }


def _with_index(value: Any, variable: str, index: str) -> Any:
    if isinstance(value, str):
        return value.replace(variable, index)
    if isinstance(value, dict):
        return {key: _with_index(one, variable, index) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_index(one, variable, index) for one in value]
    return value
