"""OS::Heat::SoftwareConfig: a piece of configuration that is stored, never changed, and given to servers.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::SoftwareConfig
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aerostat.kernel.db import Duplicate

from ... import model
from ...template import select
from ...thing import Thing
from ..property import Attribute, anything, boolean, listing, mapping, text
from ..resource_type import ResourceType

_IO = {
    "name": text("Name of the input or output.", required=True),
    "description": text("Description."),
    "type": text(
        "Type of the value.",
        default="String",
        allowed=("String", "Number", "CommaDelimitedList", "Json", "Boolean"),
    ),
}
INPUTS = listing(
    "Schema representing the inputs that this software config is expecting.",
    mapping(
        inner={
            **_IO,
            "default": anything("Default value."),
            "replace_on_change": boolean("Replace on change.", default=False),
        }
    ),
)
OUTPUTS = listing(
    "Schema representing the outputs that this software config will produce.",
    mapping(
        inner={
            **_IO,
            "error_output": boolean(
                "Denotes that the deployment is in error if this output has a value.", default=False
            ),
        }
    ),
)
CONFIG = Attribute("The config value of the software config.")


class SoftwareConfig(ResourceType):
    name = "OS::Heat::SoftwareConfig"
    description = "A resource for describing and storing software configuration."
    properties = {
        "group": text(
            "Namespace to group this software config by when delivered to a server.",
            default="Heat::Ungrouped",
        ),
        "config": text(
            "Configuration script or manifest which specifies what actual configuration is performed."
        ),
        "options": mapping("Map containing options specific to the configuration management tool."),
        "inputs": INPUTS,
        "outputs": OUTPUTS,
    }
    attributes = {"config": CONFIG}

    async def create(self, thing: Thing) -> str | None:
        values = thing.properties
        return await store_config(thing, values["config"] or "", values["group"], values)

    async def delete(self, thing: Thing) -> None:
        await delete_config(thing)

    async def find_made(self, thing: Thing) -> str | None:
        return await find_config(thing)

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        return await read_config(thing, name, path)


async def store_config(thing: Thing, config: Any, group: str, values: Mapping[str, Any]) -> str:
    """Store it under the id of the resource's row, so that it cannot be stored twice."""
    try:
        async with thing.db.transaction() as tx:
            await tx.insert(
                model.SOFTWARE_CONFIGS,
                id=thing.id,
                project_id=thing.stack.project_id,
                name=thing.physical_name,
                group=group,
                config=config,
                inputs=values.get("inputs") or [],
                outputs=values.get("outputs") or [],
                options=values.get("options") or {},
            )
    except Duplicate:
        pass  # an earlier run stored it
    return thing.id


async def delete_config(thing: Thing) -> None:
    await thing.db.delete(model.SOFTWARE_CONFIGS, id=thing.physical_id)


async def find_config(thing: Thing) -> str | None:
    return thing.id if await thing.db.count(model.SOFTWARE_CONFIGS, id=thing.id) else None


async def read_config(thing: Thing, name: str, path: Sequence[str | int]) -> Any:
    if name != "config":
        return None
    row = await thing.db.find(model.SOFTWARE_CONFIGS, id=thing.physical_id)
    return select(row.config, path) if row is not None else None
