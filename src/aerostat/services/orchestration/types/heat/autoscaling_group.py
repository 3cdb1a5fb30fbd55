"""OS::Heat::AutoScalingGroup: any resource, as many times as policies want it.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::AutoScalingGroup
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import StackValidationFailed
from ...template import TemplateError
from ...template import select as follow
from ...thing import Thing
from ..nested.child import of_member, template_of_members
from ..property import INTEGER, LIST, MAP, Attribute, integer, mapping, number
from ..scaling.group import Rolling, ScalingGroup, check_bounds


class AutoScalingGroup(ScalingGroup):
    name = "OS::Heat::AutoScalingGroup"
    description = "An autoscaling group that can scale arbitrary resources."
    properties = {
        "resource": mapping(
            "Resource definition for the resources in the group, in HOT format, just as if it had been declared"
            " in the template itself.",
            required=True,
            update=True,
        ),
        "max_size": integer(
            "Maximum number of resources in the group.", required=True, between=(0, None), update=True
        ),
        "min_size": integer(
            "Minimum number of resources in the group.", required=True, between=(0, None), update=True
        ),
        "cooldown": integer("Cooldown period, in seconds.", update=True),
        "desired_capacity": integer("Desired initial number of resources.", update=True),
        "rolling_updates": mapping(
            "Policy for rolling updates for this scaling group.",
            {
                "min_in_service": integer(
                    "The minimum number of resources in service while rolling updates are being executed.",
                    default=0,
                    between=(0, None),
                ),
                "max_batch_size": integer(
                    "The maximum number of resources to replace at once.", default=1, between=(1, None)
                ),
                "pause_time": number(
                    "The number of seconds to wait between batches of updates.", default=0, between=(0, None)
                ),
            },
            default={"min_in_service": 0, "max_batch_size": 1, "pause_time": 0},
            update=True,
        ),
    }
    attributes = {
        "outputs": Attribute(
            "A map of resource names to the specified attribute of each individual resource that is part of the"
            " AutoScalingGroup.",
            MAP,
        ),
        "outputs_list": Attribute(
            "A list of the specified attribute of each individual resource that is part of the"
            " AutoScalingGroup.",
            LIST,
        ),
        "current_size": Attribute("The current size of AutoscalingResourceGroup.", INTEGER),
        "refs": Attribute("A list of resource IDs for the resources in the group.", LIST),
        "refs_map": Attribute("A map of resource names to IDs for the resources in the group.", MAP),
    }

    async def check(self, properties: Mapping[str, Any]) -> None:
        check_bounds(properties["min_size"], properties["max_size"], properties["desired_capacity"])
        try:
            template_of_members({"member": properties["resource"]})
        except TemplateError as error:
            raise StackValidationFailed(f"Failed to validate: {error}") from None

    async def member(self, thing: Thing) -> dict[str, Any]:
        return dict(thing.properties["resource"])

    def bounds(self, thing: Thing) -> tuple[int, int]:
        return thing.properties["min_size"], thing.properties["max_size"]

    def desired(self, thing: Thing) -> int | None:
        wanted: int | None = thing.properties["desired_capacity"]
        return wanted

    def rolling(self, thing: Thing) -> Rolling | None:
        policy = thing.properties["rolling_updates"]
        return Rolling(policy["min_in_service"], policy["max_batch_size"], float(policy["pause_time"]))

    def cooldown_s(self, thing: Thing) -> float:
        return float(thing.properties["cooldown"] or 0)

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        if name.startswith("resource."):
            return await self.of_place(thing, name, path)
        child, names = await self.whole_members(thing)
        if name == "current_size":
            return len(names)
        if name == "refs":
            return follow([child.live.reference_id(one) for one in names], path)
        if name == "refs_map":
            return follow({one: child.live.reference_id(one) for one in names}, path)
        if not path:
            return None
        values = {one: await of_member(child, one, path) for one in names}
        return values if name == "outputs" else [*values.values()]
