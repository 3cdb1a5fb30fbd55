"""OS::Heat::StructuredConfig: a software configuration that is a map.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::StructuredConfig
"""

from collections.abc import Sequence
from typing import Any

from ...thing import Thing
from ..property import mapping, text
from ..resource_type import ResourceType
from .software_config import CONFIG, INPUTS, OUTPUTS, delete_config, find_config, read_config, store_config


class StructuredConfig(ResourceType):
    name = "OS::Heat::StructuredConfig"
    description = "A resource which has same logic with OS::Heat::SoftwareConfig, with a map for its config."
    properties = {
        "group": text(
            "Namespace to group this software config by when delivered to a server.",
            default="Heat::Ungrouped",
        ),
        "config": mapping(
            "Map representing the configuration data structure which will be serialized to JSON."
        ),
        "options": mapping("Map containing options specific to the configuration management tool."),
        "inputs": INPUTS,
        "outputs": OUTPUTS,
    }
    attributes = {"config": CONFIG}

    async def create(self, thing: Thing) -> str | None:
        values = thing.properties
        return await store_config(thing, values["config"] or {}, values["group"], values)

    async def delete(self, thing: Thing) -> None:
        await delete_config(thing)

    async def find_made(self, thing: Thing) -> str | None:
        return await find_config(thing)

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        return await read_config(thing, name, path)
