"""The log of usage audits: which hosts reported the usage of the last whole month.

Wire: /os-instance_usage_audit_log,
https://docs.openstack.org/api-ref/compute/#server-usage-audit-log-os-instance-usage-audit-log
Here usage is read from the servers' rows (`tenant_usage.py`), and no host runs an audit: none has, as upstream shows
it where audits are not switched on.
"""

from datetime import datetime, timedelta
from typing import Any

from aerostat.kernel import clock
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from .. import model
from .terms import ADMIN, rules

_RULE = "os_compute_api:os-instance-usage-audit-log:"


class UsageAudit(Resource):
    extra_rules = rules((_RULE + "list", ADMIN), (_RULE + "show", ADMIN))

    @route("GET", "/os-instance_usage_audit_log", policy=_RULE + "list")
    async def index(self, req: Request) -> dict[str, Any]:
        return {"instance_usage_audit_logs": await _log(req, clock.now())}

    @route("GET", "/os-instance_usage_audit_log/{before}", policy=_RULE + "show")
    async def show_one(self, req: Request, before: str) -> dict[str, Any]:
        try:
            moment = datetime.strptime(before, f"%Y-%m-%d %H:%M:%S{'.%f' if '.' in before else ''}")
        except ValueError:
            raise BadRequest(f"Invalid timestamp for date {before}") from None
        return {"instance_usage_audit_log": await _log(req, moment)}


async def _log(req: Request, before: datetime) -> dict[str, Any]:
    """The last calendar month that was over by then."""
    end = before.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begin = (end - timedelta(days=1)).replace(day=1)
    hosts = [host.name for host in await req.db.all(model.HOSTS, order="name")]
    return {
        "period_beginning": str(begin),
        "period_ending": str(end),
        "num_hosts": len(hosts),
        "num_hosts_done": 0,
        "num_hosts_running": 0,
        "num_hosts_not_run": len(hosts),
        "hosts_not_run": hosts,
        "total_instances": 0,
        "total_errors": 0,
        "overall_status": f"0 of {len(hosts)} hosts done. 0 errors."
        if hosts
        else "ALL hosts done. 0 errors.",
        "log": {},
    }
