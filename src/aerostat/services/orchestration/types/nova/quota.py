"""OS::Nova::Quota.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Nova::Quota
"""

from ..quota import PROJECT, Quota, limit

_END = "Setting the value to -1 removes the limit."
_LIMITS = {
    "cores": "number of cores",
    "fixed_ips": "number of fixed IPs",
    "floating_ips": "number of floating IPs",
    "instances": "number of instances",
    "injected_files": "number of injected files",
    "injected_file_content_bytes": "number of injected file content bytes",
    "injected_file_path_bytes": "number of injected file path bytes",
    "key_pairs": "number of key pairs",
    "metadata_items": "number of metadata items",
    "ram": "amount of ram (in megabytes)",
    "security_groups": "number of security groups",
    "security_group_rules": "number of security group rules",
    "server_groups": "number of server groups",
    "server_group_members": "number of server group members",
}


class NovaQuota(Quota):
    name = "OS::Nova::Quota"
    description = "A resource for creating nova quotas."
    room = "compute"
    properties = {"project": PROJECT, **{name: limit(what, _END) for name, what in _LIMITS.items()}}
