"""AWS::CloudFormation::Stack: a nested stack whose template is named by its address.

https://docs.openstack.org/heat/latest/template_guide/cfn.html#AWS::CloudFormation::Stack

Nothing is fetched: the template is among the files that the client sent, under this address.
"""

from collections.abc import Sequence
from typing import Any

from ...errors import EntityNotFound
from ...plans import Source
from ...template import parse, select
from ...thing import Thing
from ..nested.child import ChildStack
from ..property import integer, mapping, text


class CfnStack(ChildStack):
    name = "AWS::CloudFormation::Stack"
    description = "Represents a child stack to allow composition of templates."
    properties = {
        "TemplateURL": text(
            "The URL of a template that specifies the stack to be created as a resource.",
            required=True,
            update=True,
        ),
        "TimeoutInMinutes": integer(
            "The length of time, in minutes, to wait for the nested stack creation.", update=True
        ),
        "Parameters": mapping("The set of parameters passed to this nested stack.", update=True),
    }

    async def source(self, thing: Thing) -> Source:
        url = thing.properties["TemplateURL"]
        if url not in thing.plan.files:
            raise EntityNotFound(entity="Template", name=f"{url}, which is not among the files")
        environment = thing.plan.environment.for_nested(thing.name)
        environment.parameters.update(thing.properties["Parameters"] or {})
        return Source(parse(thing.plan.files[url]), environment, thing.plan.files)

    def timeout_mins(self, thing: Thing) -> int | None:
        return thing.properties["TimeoutInMinutes"] or super().timeout_mins(thing)

    def knows_attribute(self, name: str) -> bool:
        return name == "show" or name.startswith("Outputs.")

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        if not name.startswith("Outputs."):
            return None
        child = await self.open_child(thing)
        return select((await child.output(name.removeprefix("Outputs.")))[0], path)
