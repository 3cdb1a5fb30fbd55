"""OS::Heat::ScalingPolicy: an address that scales an OS::Heat::AutoScalingGroup when it is called.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::ScalingPolicy
"""

from ..property import Attribute, integer, number, text
from ..scaling.capacity import CHANGE, EXACT, PERCENT
from ..scaling.policy import Policy


class ScalingPolicy(Policy):
    name = "OS::Heat::ScalingPolicy"
    description = "A resource to manage scaling of `OS::Heat::AutoScalingGroup`."
    properties = {
        "auto_scaling_group_id": text("AutoScaling group ID to apply policy to.", required=True),
        "scaling_adjustment": number("Size of adjustment.", required=True, update=True),
        "adjustment_type": text(
            "Type of adjustment (absolute or percentage).",
            required=True,
            allowed=(CHANGE, EXACT, PERCENT),
            update=True,
        ),
        "cooldown": number("Cooldown period, in seconds.", update=True),
        "min_adjustment_step": integer(
            "Minimum number of resources that are added or removed when the AutoScaling group scales up or down."
            " This can be used only when specifying percent_change_in_capacity for the adjustment_type property.",
            between=(0, None),
            update=True,
        ),
    }
    attributes = {
        "alarm_url": Attribute("A signed url to handle the alarm."),
        "signal_url": Attribute("A url to handle the alarm using native API."),
    }
    words = {
        "group": "auto_scaling_group_id",
        "adjustment": "scaling_adjustment",
        "kind": "adjustment_type",
        "cooldown": "cooldown",
        "step": "min_adjustment_step",
    }
    kinds = {CHANGE: CHANGE, EXACT: EXACT, PERCENT: PERCENT}
    urls = {"alarm_url": True, "signal_url": False}
