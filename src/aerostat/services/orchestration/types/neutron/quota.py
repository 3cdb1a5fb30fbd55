"""OS::Neutron::Quota.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Neutron::Quota
"""

from ..quota import PROJECT, Quota, limit

_LIMITS = {
    "subnet": "subnets",
    "network": "networks",
    "floatingip": "floating IPs",
    "security_group_rule": "security group rules",
    "security_group": "security groups",
    "router": "routers",
    "port": "ports",
    "subnetpool": "subnet pools",
    "rbac_policy": "rbac policies",
}


class NeutronQuota(Quota):
    name = "OS::Neutron::Quota"
    description = "A resource for managing neutron quotas."
    room = "network"
    properties = {
        "project": PROJECT,
        **{name: limit(f"number of {what}") for name, what in _LIMITS.items()},
    }
