"""Revocation events: which tokens are no longer good, for services that check tokens themselves.

https://docs.openstack.org/api-ref/identity/v3-ext/#os-revoke-api
"""

from typing import Any

from sqlalchemy import and_, select

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import iso_micro_z

from .. import model
from ..rules import rules
from .shape import query_moment

_WHAT = ("audit_id", "user_id", "project_id", "domain_id")


class Revocation(Resource):
    extra_rules = rules({"list_revoke_events": "rule:service_or_admin"})

    @route("GET", "/v3/OS-REVOKE/events", policy="identity:list_revoke_events")
    async def list_events(self, req: Request) -> dict[str, Any]:
        """Those since `since`, or all that are kept."""
        column = model.REVOCATIONS.c.revoked_at
        since = req.argument("since")
        wanted = and_(True, *([] if since is None else [column >= query_moment("since", since)]))
        rows = await req.db.fetch(select(model.REVOCATIONS).where(wanted).order_by(column))
        events = [
            {
                **{name: row[name] for name in _WHAT if row[name] is not None},
                "issued_before": iso_micro_z(row.issued_before),
            }
            for row in rows
        ]
        return {"events": events, "links": {"self": req.url, "previous": None, "next": None}}
