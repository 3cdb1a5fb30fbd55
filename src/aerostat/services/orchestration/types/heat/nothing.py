"""OS::Heat::None: takes any properties and makes nothing; the registry switches types off with it.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::None
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...thing import Thing
from ..property import Property, anything
from ..resource_type import ResourceType


class _Whatever(dict[str, Property]):
    """Has every property, and shows none."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Property:
        return anything(update=True)


class Nothing(ResourceType):
    name = "OS::Heat::None"
    description = "Enables easily disabling certain resources via the resource_registry."
    outside = False
    properties = _Whatever()

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        """There is nothing to change."""

    def knows_attribute(self, name: str) -> bool:
        return True

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        return None
