"""OS::Heat::SoftwareComponent: several configurations in one, each for some actions of a deployment.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::SoftwareComponent
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import StackValidationFailed
from ...template import select
from ...thing import Thing
from ..property import LIST, Attribute, listing, mapping, text
from ..resource_type import ResourceType
from .software_config import INPUTS, OUTPUTS, delete_config, find_config, read_config, store_config


class SoftwareComponent(ResourceType):
    name = "OS::Heat::SoftwareComponent"
    description = "A resource for describing and storing a software component."
    properties = {
        "configs": listing(
            "The list of configurations for the different lifecycle actions of the represented software component.",
            mapping(
                inner={
                    "actions": listing(
                        "Lifecycle actions to which the configuration applies.",
                        text(),
                        default=["CREATE", "UPDATE"],
                        length=(1, None),
                    ),
                    "config": text(
                        "Configuration script or manifest which specifies what actual configuration is performed."
                    ),
                    "tool": text(
                        "The configuration tool used to actually apply the configuration on a server.",
                        required=True,
                    ),
                }
            ),
            required=True,
            length=(1, None),
        ),
        "inputs": INPUTS,
        "outputs": OUTPUTS,
        "options": mapping("Map containing options specific to the configuration management tool."),
    }
    attributes = {
        "configs": Attribute(
            "The list of configurations for the different lifecycle actions of the represented software component.",
            LIST,
        )
    }

    async def check(self, properties: Mapping[str, Any]) -> None:
        actions = [action for one in properties["configs"] for action in one["actions"]]
        if len(actions) != len(set(actions)):
            raise StackValidationFailed(
                "Defining more than one configuration for the same action in SoftwareComponent is not allowed."
            )

    async def create(self, thing: Thing) -> str | None:
        values = thing.properties
        return await store_config(thing, {"configs": values["configs"]}, "component", values)

    async def delete(self, thing: Thing) -> None:
        await delete_config(thing)

    async def find_made(self, thing: Thing) -> str | None:
        return await find_config(thing)

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        return select(await read_config(thing, "config", ["configs"]), path) if name == "configs" else None
