"""OS::Heat::SoftwareDeploymentGroup: a software configuration on many servers.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::SoftwareDeploymentGroup
"""

from ..deploying import SHARED
from ..deployment_group import SERVERS, DeploymentGroup


class SoftwareDeploymentGroup(DeploymentGroup):
    name = "OS::Heat::SoftwareDeploymentGroup"
    description = "This resource associates a group of servers with some configuration."
    member_type = "OS::Heat::SoftwareDeployment"
    properties = {"servers": SERVERS, **SHARED}


class SoftwareDeployments(DeploymentGroup):
    """The name of before, still met in old templates."""

    name = "OS::Heat::SoftwareDeployments"
    description = SoftwareDeploymentGroup.description
    member_type = "OS::Heat::SoftwareDeployment"
    properties = SoftwareDeploymentGroup.properties
    support = {
        "status": "HIDDEN",
        "message": "Please use OS::Heat::SoftwareDeploymentGroup instead.",
        "version": "7.0.0",
    }
