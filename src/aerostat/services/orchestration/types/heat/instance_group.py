"""OS::Heat::InstanceGroup: so many instances of one launch configuration.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::InstanceGroup
"""

from collections.abc import Mapping
from typing import Any

from ...errors import StackValidationFailed
from ...thing import Thing
from ..property import integer, listing, text
from ..scaling.instances import TAGS, InstanceScalingGroup


class InstanceGroup(InstanceScalingGroup):
    name = "OS::Heat::InstanceGroup"
    description = "An instance group that can scale arbitrary instances."
    scales = False
    policy_name = "RollingUpdate"
    properties = {
        "AvailabilityZones": listing("Not Implemented.", required=True),
        "LaunchConfigurationName": text(
            "The reference to a LaunchConfiguration resource.", required=True, update=True
        ),
        "Size": integer("Desired number of instances.", required=True, update=True),
        "LoadBalancerNames": listing("List of LoadBalancer resources."),
        "Tags": TAGS,
    }

    async def check(self, properties: Mapping[str, Any]) -> None:
        check_load_balancers(properties)

    def bounds(self, thing: Thing) -> tuple[int, int]:
        size = max(0, thing.properties["Size"])
        return size, size

    def desired(self, thing: Thing) -> int | None:
        return int(thing.properties["Size"])


def check_load_balancers(properties: Mapping[str, Any]) -> None:
    """Raises `StackValidationFailed`."""
    if properties["LoadBalancerNames"]:
        raise StackValidationFailed("LoadBalancerNames is not supported: there is no load balancer service.")
