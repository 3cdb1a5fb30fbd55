"""OS::Heat::Stack: a stack of its own template, in the same project.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::Stack
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aerostat.kernel.house import House

from ...errors import StackValidationFailed
from ...plans import Source
from ...template import Environment, TemplateError, parse
from ...template import select as follow
from ...thing import Thing
from ..nested.child import ChildStack
from ..property import MAP, Attribute, integer, mapping, text


class RemoteStack(ChildStack):
    name = "OS::Heat::Stack"
    is_nested = False
    description = "A Resource representing a stack."
    properties = {
        "context": mapping(
            "Context for this stack.",
            {
                "region_name": text("Region name in which this stack will be created."),
                "credential_secret_id": text("Credentials of another cloud."),
                "ca_cert": text("Certificates of another cloud."),
                "insecure": text("Whether its certificate goes unchecked."),
            },
        ),
        "template": text(
            "Template that specifies the stack to be created as a resource.", required=True, update=True
        ),
        "timeout": integer("Number of minutes to wait for this stack creation.", update=True),
        "parameters": mapping("Set of parameters passed to this stack.", default={}, update=True),
    }
    attributes = {
        "stack_name": Attribute("Name of the stack."),
        "outputs": Attribute("A dict of key-value pairs output from the stack.", MAP),
    }

    async def check_here(self, house: House, properties: Mapping[str, Any]) -> None:
        region = house.config.kernel.region
        asked = (properties["context"] or {}).get("region_name")
        if asked and asked != region:
            raise StackValidationFailed(
                f'Cannot establish connection to Heat endpoint at region "{asked}" due to "publicURL endpoint for'
                f' orchestration service in {asked} region not found"'
            )
        try:
            parse(properties["template"])
        except TemplateError as error:
            raise StackValidationFailed(
                f'Failed validating stack template using Heat endpoint at region "{region}" due to "ERROR: {error}"'
            ) from None

    async def create(self, thing: Thing) -> str | None:
        await self.check_here(thing.house, thing.properties)
        return await super().create(thing)

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        await self.check_here(thing.house, thing.properties)
        await super().update(thing, changed)

    async def source(self, thing: Thing) -> Source:
        environment = Environment(parameters=dict(thing.properties["parameters"] or {}))
        return Source(parse(thing.properties["template"]), environment, thing.plan.files)

    def timeout_mins(self, thing: Thing) -> int | None:
        return thing.properties["timeout"] or super().timeout_mins(thing)

    def reference(self, thing: Thing) -> Any:
        return thing.physical_id

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        if name == "stack_name":
            return follow(thing.physical_name, path)
        return await super().attribute(thing, name, path)
