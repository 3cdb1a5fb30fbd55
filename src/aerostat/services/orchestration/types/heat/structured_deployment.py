"""OS::Heat::StructuredDeployment: a deployment of a map, with inputs put in their places before it is sent.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::StructuredDeployment
"""

from collections.abc import Mapping
from typing import Any

from ...thing import Thing
from ..deploying import SERVER, SHARED, Deployment, replace_inputs
from ..property import text

STRUCTURED = {
    "input_key": text("Name of key to use for substituting inputs during deployment.", default="get_input"),
    "input_values_validate": text(
        "Perform a check on the input values passed to verify that each required input has a corresponding value."
        " When the property is set to STRICT and no value is passed, an exception is raised.",
        default="LAX",
        allowed=("LAX", "STRICT"),
    ),
}
"""What a structured deployment has beside the properties of every one."""


class StructuredDeployment(Deployment):
    name = "OS::Heat::StructuredDeployment"
    description = (
        "A resource which has same logic with OS::Heat::SoftwareDeployment, for a map of configuration."
    )
    properties = {**SHARED, "server": SERVER, **STRUCTURED}

    def derived(self, thing: Thing, config: Any, inputs: Mapping[str, Any]) -> Any:
        values = thing.properties
        strict = values["input_values_validate"] == "STRICT"
        return replace_inputs(config or {}, inputs, values["input_key"], strict=strict)
