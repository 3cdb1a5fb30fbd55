"""Extensions: names under which older clients look for what has long been part of the API.

Wire: /extensions, https://docs.openstack.org/api-ref/compute/#extensions-extensions-deprecated
"""

from typing import Any

from aerostat.kernel.errors import NotFound
from aerostat.kernel.http import Request
from aerostat.kernel.policy.terms import anyone
from aerostat.kernel.resource import Resource, route

from .terms import rules

_RULE = "os_compute_api:extensions"
_UPDATED = "2014-12-03T00:00:00Z"

# Alias → name, of what this room answers.
_EXTENSIONS = {
    "os-admin-actions": "AdminActions",
    "os-aggregates": "Aggregates",
    "os-attach-interfaces": "AttachInterfaces",
    "os-availability-zone": "AvailabilityZone",
    "os-config-drive": "ConfigDrive",
    "os-console-output": "ConsoleOutput",
    "os-consoles": "Consoles",
    "os-extended-availability-zone": "ExtendedAvailabilityZone",
    "os-extended-server-attributes": "ExtendedServerAttributes",
    "os-extended-status": "ExtendedStatus",
    "os-flavor-access": "FlavorAccess",
    "os-flavor-extra-specs": "FlavorExtraSpecs",
    "os-flavor-manage": "FlavorManage",
    "os-hosts": "Hosts",
    "os-hypervisors": "Hypervisors",
    "os-instance-actions": "InstanceActions",
    "os-keypairs": "Keypairs",
    "os-lock-server": "LockServer",
    "os-pause-server": "PauseServer",
    "os-quota-sets": "Quotas",
    "os-quota-class-sets": "QuotaClasses",
    "os-create-backup": "CreateBackup",
    "os-rescue": "Rescue",
    "os-shelve": "Shelve",
    "os-floating-ips": "FloatingIps",
    "os-floating-ip-pools": "FloatingIpPools",
    "os-networks": "Networks",
    "os-tenant-networks": "TenantNetworks",
    "os-scheduler-hints": "SchedulerHints",
    "os-security-groups": "SecurityGroups",
    "os-server-groups": "ServerGroups",
    "os-server-usage": "ServerUsage",
    "os-services": "Services",
    "os-simple-tenant-usage": "SimpleTenantUsage",
    "os-suspend-server": "SuspendServer",
    "os-used-limits": "UsedLimits",
    "os-user-data": "UserData",
}


class Extension(Resource):
    extra_rules = rules((_RULE, anyone))

    @route("GET", "/extensions", policy=_RULE)
    async def index(self, req: Request) -> dict[str, Any]:
        return {"extensions": [_view(alias) for alias in _EXTENSIONS]}

    @route("GET", "/extensions/{alias}", policy=_RULE)
    async def show_one(self, req: Request, alias: str) -> dict[str, Any]:
        if alias not in _EXTENSIONS:
            raise NotFound("The resource could not be found.")
        return {"extension": _view(alias)}


def _view(alias: str) -> dict[str, Any]:
    return {
        "alias": alias,
        "name": _EXTENSIONS[alias],
        "description": "",
        "links": [],
        "namespace": "http://docs.openstack.org/compute/ext/fake_xml",
        "updated": _UPDATED,
    }
