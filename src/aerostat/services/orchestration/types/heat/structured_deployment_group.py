"""OS::Heat::StructuredDeploymentGroup: a map of configuration on many servers.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::StructuredDeploymentGroup
"""

from ..deploying import SHARED
from ..deployment_group import SERVERS, DeploymentGroup
from .structured_deployment import STRUCTURED


class StructuredDeploymentGroup(DeploymentGroup):
    name = "OS::Heat::StructuredDeploymentGroup"
    description = "This resource associates a group of servers with some configuration."
    member_type = "OS::Heat::StructuredDeployment"
    properties = {"servers": SERVERS, **SHARED, **STRUCTURED}


class StructuredDeployments(DeploymentGroup):
    """The name of before, still met in old templates."""

    name = "OS::Heat::StructuredDeployments"
    description = StructuredDeploymentGroup.description
    member_type = "OS::Heat::StructuredDeployment"
    properties = StructuredDeploymentGroup.properties
    support = {
        "status": "HIDDEN",
        "message": "Please use OS::Heat::StructuredDeploymentGroup instead.",
        "version": "7.0.0",
    }
