"""Limits: what the caller's project may have, and what it has.

Wire: /limits, https://docs.openstack.org/api-ref/compute/#limits-limits
"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from ..quotas import QUOTAS
from .arguments import at_least, check_query
from .terms import ADMIN, READER, rules

_RULE = "os_compute_api:limits"

# Wire name → quota, since the beginning; and the last minor version that shows it.
_LIMITS = {
    "maxServerMeta": "metadata_items",
    "maxTotalInstances": "instances",
    "maxTotalCores": "cores",
    "maxTotalRAMSize": "ram",
    "maxTotalKeypairs": "key_pairs",
    "maxServerGroups": "server_groups",
    "maxServerGroupMembers": "server_group_members",
}
_UNTIL_56 = {"maxPersonality": "injected_files", "maxPersonalitySize": "injected_file_content_bytes"}
_USED = {
    "totalInstancesUsed": "instances",
    "totalCoresUsed": "cores",
    "totalRAMUsed": "ram",
    "totalServerGroupsUsed": "server_groups",
}
# What the network room limits now; shown to old clients without a limit.
_OF_NETWORK = {
    "maxSecurityGroups": -1,
    "maxSecurityGroupRules": -1,
    "maxTotalFloatingIps": -1,
    "totalFloatingIpsUsed": 0,
    "totalSecurityGroupsUsed": 0,
}


class Limits(Resource):
    extra_rules = rules((_RULE, READER), (_RULE + ":other_project", ADMIN))

    @route("GET", "/limits", policy=_RULE)
    async def show_limits(self, req: Request) -> dict[str, Any]:
        check_query(req, {"tenant_id", "reserved"})
        project = req.argument("tenant_id") or req.context.project_id or ""
        if project != req.context.project_id:
            req.check(_RULE + ":other_project", {"project_id": project})
        async with req.db.snapshot() as tx:
            limits = await QUOTAS.limits(tx, project)
            used = await QUOTAS.usage(tx, project)
        absolute = {name: limits[quota] for name, quota in _LIMITS.items()}
        if not at_least(req, 39):
            absolute["maxImageMeta"] = limits["metadata_items"]
        if not at_least(req, 57):
            absolute |= {name: limits[quota] for name, quota in _UNTIL_56.items()}
        if not at_least(req, 36):
            absolute |= _OF_NETWORK
        absolute |= {name: used[quota] for name, quota in _USED.items()}
        return {"limits": {"rate": [], "absolute": absolute}}
