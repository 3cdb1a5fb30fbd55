"""OS::Heat::ResourceChain: resources of several types with the same properties, one after the other.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::ResourceChain
"""

from collections.abc import Sequence
from typing import Any

from ...plans import Source
from ...template import select as follow
from ...thing import Thing
from ..nested.child import ChildStack, of_member, template_of_members
from ..property import LIST, MAP, Attribute, boolean, listing, mapping, text


class ResourceChain(ChildStack):
    name = "OS::Heat::ResourceChain"
    description = "Creates one or more resources with the same configuration."
    properties = {
        "resources": listing("The list of resource types to create.", text(), required=True, update=True),
        "concurrent": boolean("If the resources in the chain can be created concurrently.", default=False),
        "resource_properties": mapping("Properties to pass to each resource being created in the chain."),
    }
    attributes = {
        "refs": Attribute("A list of resource IDs for the resources in the chain.", LIST),
        "attributes": Attribute("A map of resource names to the specified attribute of each.", MAP),
    }

    async def source(self, thing: Thing) -> Source:
        resources: dict[str, Any] = {}
        before: str | None = None
        for name, type in _members(thing):
            resources[name] = {"type": type, "properties": thing.properties["resource_properties"] or {}}
            if before is not None and not thing.properties["concurrent"]:
                resources[name]["depends_on"] = before
            before = name
        template = template_of_members(resources)
        return Source(template, thing.plan.environment.for_nested(thing.name), thing.plan.files)

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        child = await self.open_child(thing)
        names = [one for one, _ in _members(thing) if one in child.things]
        if name.startswith("resource."):
            return await of_member(child, name.removeprefix("resource."), path)
        if name == "refs":
            return follow([child.live.reference_id(one) for one in names], path)
        if name == "attributes":
            return {one: await of_member(child, one, path) for one in names} if path else None
        return [await of_member(child, one, [name, *path]) for one in names]

    def knows_attribute(self, name: str) -> bool:
        return True


def _members(thing: Thing) -> list[tuple[str, str]]:
    return [(str(place), type) for place, type in enumerate(thing.properties["resources"])]
