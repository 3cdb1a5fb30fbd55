"""OS::Heat::Stack: a stack of its own template, in the same project.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::Stack
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ResourceFailure, StackValidationFailed
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

    async def check(self, properties: Mapping[str, Any]) -> None:
        try:
            parse(properties["template"])
        except TemplateError as error:
            raise StackValidationFailed(f"Failed validating stack template: {error}") from None
        _check_context(properties["context"])

    async def source(self, thing: Thing) -> Source:
        reason = _check_context(thing.properties["context"], thing.house.config.kernel.region)
        if reason:
            raise ResourceFailure(reason, "StackValidationFailed")
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


def _check_context(context: Mapping[str, Any] | None, region: str | None = None) -> str | None:
    """Why another region or cloud cannot be used; None when none is asked for."""
    if not context:
        return None
    asked = context.get("region_name")
    if asked and region and asked != region:
        return f'Cannot establish connection to Heat endpoint at region "{asked}"'
    return None
