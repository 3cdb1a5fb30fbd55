"""AWS::AutoScaling::AutoScalingGroup: instances of one launch configuration, as many as policies want.

https://docs.openstack.org/heat/latest/template_guide/cfn.html#AWS::AutoScaling::AutoScalingGroup
"""

from collections.abc import Mapping
from typing import Any

from ...errors import NotSupported, StackValidationFailed
from ...thing import Thing
from ..heat.instance_group import check_load_balancers
from ..property import integer, listing, number, text
from ..scaling.group import check_bounds
from ..scaling.instances import TAGS, InstanceScalingGroup, like_server


class CfnAutoScalingGroup(InstanceScalingGroup):
    name = "AWS::AutoScaling::AutoScalingGroup"
    description = "A group of instances that scales with its policies."
    policy_name = "AutoScalingRollingUpdate"
    properties = {
        "AvailabilityZones": listing("Not Implemented.", required=True),
        "LaunchConfigurationName": text("The reference to a LaunchConfiguration resource.", update=True),
        "InstanceId": text(
            "The ID of an existing instance to use to create the Auto Scaling group.", custom="nova.server"
        ),
        "MaxSize": integer("Maximum number of instances in the group.", required=True, update=True),
        "MinSize": integer("Minimum number of instances in the group.", required=True, update=True),
        "Cooldown": number("Cooldown period, in seconds.", update=True),
        "DesiredCapacity": integer("Desired initial number of instances.", update=True),
        "HealthCheckGracePeriod": integer("Not Implemented."),
        "HealthCheckType": text("Not Implemented.", allowed=("EC2", "ELB")),
        "LoadBalancerNames": listing("List of LoadBalancer resources."),
        "VPCZoneIdentifier": listing(
            "Use only with Neutron, to list the internal subnet to which the instance will be attached; needed only"
            " if multiple exist; list length must be exactly 1.",
            text("UUID of the internal subnet to which the instance will be attached."),
        ),
        "Tags": TAGS,
    }

    async def check(self, properties: Mapping[str, Any]) -> None:
        check_bounds(properties["MinSize"], properties["MaxSize"], properties["DesiredCapacity"])
        check_load_balancers(properties)
        if len(properties["VPCZoneIdentifier"] or [""]) != 1:
            raise NotSupported(feature="Anything other than one VPCZoneIdentifier")
        if bool(properties["InstanceId"]) == bool(properties["LaunchConfigurationName"]):
            raise StackValidationFailed("Either 'InstanceId' or 'LaunchConfigurationName' must be provided.")

    async def launched(self, thing: Thing) -> tuple[dict[str, Any], dict[str, Any]]:
        values = thing.properties
        metadata: dict[str, Any] = {}
        if values["InstanceId"]:
            launched = await like_server(thing, values["InstanceId"])
        else:
            launched, metadata = await super().launched(thing)
        if values["VPCZoneIdentifier"]:
            launched["SubnetId"] = values["VPCZoneIdentifier"][0]
        return launched, metadata

    def tags(self, thing: Thing) -> list[dict[str, str]]:
        own = {"Key": "metering.AutoScalingGroupName", "Value": thing.physical_name}
        return [*super().tags(thing), own]

    def bounds(self, thing: Thing) -> tuple[int, int]:
        return thing.properties["MinSize"], thing.properties["MaxSize"]

    def desired(self, thing: Thing) -> int | None:
        wanted: int | None = thing.properties["DesiredCapacity"]
        return wanted

    def cooldown_s(self, thing: Thing) -> float:
        return float(thing.properties["Cooldown"] or 0)
