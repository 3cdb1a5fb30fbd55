"""OS::Heat::AccessPolicy: resources that a user of a stack may describe.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::AccessPolicy

Guests get their rights with their own resource here, so that it holds a list and no more.
"""

from ...errors import ResourceFailure
from ...thing import Thing
from ..property import listing
from ..resource_type import ResourceType


class AccessPolicy(ResourceType):
    name = "OS::Heat::AccessPolicy"
    description = "Resource for defining which resources can be accessed by users."
    outside = False
    properties = {
        "AllowedResources": listing(
            "Resources that users are allowed to access by the DescribeStackResource API.", required=True
        )
    }

    async def create(self, thing: Thing) -> str | None:
        for name in thing.properties["AllowedResources"]:
            if name not in thing.plan.blueprint.resources:
                raise ResourceFailure(f"AccessPolicy resource {name} not in stack", "StackValidationFailed")
        return thing.physical_name
