"""OS::Heat::CloudConfig: cloud-init's own format, from a map.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::CloudConfig
"""

from collections.abc import Sequence
from typing import Any

import yaml

from ...thing import Thing
from ..property import mapping
from ..resource_type import ResourceType
from .software_config import CONFIG, delete_config, find_config, read_config, store_config


class CloudConfig(ResourceType):
    name = "OS::Heat::CloudConfig"
    description = "A configuration resource for representing cloud-init cloud-config."
    properties = {
        "cloud_config": mapping(
            "Map representing the cloud-config data structure which will be formatted as YAML."
        )
    }
    attributes = {"config": CONFIG}

    async def create(self, thing: Thing) -> str | None:
        content = yaml.safe_dump(
            thing.properties["cloud_config"] or {}, sort_keys=False, default_flow_style=False
        )
        return await store_config(thing, f"#cloud-config\n{content}", "Heat::Ungrouped", {})

    async def delete(self, thing: Thing) -> None:
        await delete_config(thing)

    async def find_made(self, thing: Thing) -> str | None:
        return await find_config(thing)

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        return await read_config(thing, name, path)
