"""AWS::AutoScaling::LaunchConfiguration: how the instances of a group are made.

https://docs.openstack.org/heat/latest/template_guide/cfn.html#AWS::AutoScaling::LaunchConfiguration
"""

from collections.abc import Mapping
from typing import Any

from ...errors import StackValidationFailed
from ...thing import Thing
from ..property import listing, text
from ..resource_type import Replace, ResourceType
from .instance import BLOCK_DEVICES, HINTS


class LaunchConfiguration(ResourceType):
    name = "AWS::AutoScaling::LaunchConfiguration"
    description = "How the instances of a scaling group are made."
    outside = False
    properties = {
        "ImageId": text("Glance image ID or name.", custom="glance.image"),
        "InstanceType": text("Nova instance type (flavor).", custom="nova.flavor"),
        "InstanceId": text(
            "The ID of an existing instance you want to use to create the launch configuration. All properties are"
            " derived from the instance with the exception of BlockDeviceMapping.",
            custom="nova.server",
        ),
        "KeyName": text("Optional Nova keypair name.", custom="nova.keypair"),
        "UserData": text("User data to pass to instance."),
        "SecurityGroups": listing("Security group names to assign."),
        "KernelId": text("Not Implemented."),
        "RamDiskId": text("Not Implemented."),
        "BlockDeviceMappings": BLOCK_DEVICES,
        "NovaSchedulerHints": HINTS,
    }

    async def check(self, properties: Mapping[str, Any]) -> None:
        if not properties["InstanceId"] and not (properties["ImageId"] and properties["InstanceType"]):
            raise StackValidationFailed("If without InstanceId, ImageId and InstanceType are required.")

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        """Other metadata makes another configuration."""
        raise Replace
