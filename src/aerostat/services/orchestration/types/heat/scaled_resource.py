"""OS::Heat::ScaledResource: a member of a group of instances; an environment may put another type in its place.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::ScaledResource
"""

from ..aws.instance import Instance


class ScaledResource(Instance):
    name = "OS::Heat::ScaledResource"
    description = "A member of a group of instances."
