"""OS::Heat::SoftwareDeployment: a software configuration on a server.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::SoftwareDeployment
"""

from ..deploying import SERVER, SHARED, Deployment


class SoftwareDeployment(Deployment):
    name = "OS::Heat::SoftwareDeployment"
    description = "This resource associates a server with some configuration."
    properties = {**SHARED, "server": SERVER}
