"""AWS::AutoScaling::ScalingPolicy: an address that scales a group of instances when it is called.

https://docs.openstack.org/heat/latest/template_guide/cfn.html#AWS::AutoScaling::ScalingPolicy
"""

from typing import Any

from ...thing import Thing
from ..property import Attribute, integer, text
from ..scaling.capacity import CHANGE, EXACT, PERCENT
from ..scaling.policy import Policy


class CfnScalingPolicy(Policy):
    name = "AWS::AutoScaling::ScalingPolicy"
    description = "An address that scales a group of instances when it is called."
    kinds = {"ChangeInCapacity": CHANGE, "ExactCapacity": EXACT, "PercentChangeInCapacity": PERCENT}
    properties = {
        "AutoScalingGroupName": text("AutoScaling group name to apply policy to.", required=True),
        "ScalingAdjustment": integer("Size of adjustment.", required=True, update=True),
        "AdjustmentType": text(
            "Type of adjustment (absolute or percentage).", required=True, allowed=tuple(kinds), update=True
        ),
        "Cooldown": integer("Cooldown period, in seconds.", update=True),
        "MinAdjustmentStep": integer(
            "Minimum number of resources that are added or removed when the AutoScaling group scales up or down."
            " This can be used only when specifying PercentChangeInCapacity for the AdjustmentType property.",
            between=(0, None),
            update=True,
        ),
    }
    attributes = {"AlarmUrl": Attribute("A signed url to handle the alarm. (Heat extension).")}
    words = {
        "group": "AutoScalingGroupName",
        "adjustment": "ScalingAdjustment",
        "kind": "AdjustmentType",
        "cooldown": "Cooldown",
        "step": "MinAdjustmentStep",
    }
    urls = {"AlarmUrl": True}

    def reference(self, thing: Thing) -> Any:
        return self.url(thing, with_token=True)
