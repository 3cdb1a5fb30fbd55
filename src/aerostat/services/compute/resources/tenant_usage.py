"""Usage: for how long a project had servers of what size.

Wire: /os-simple-tenant-usage,
https://docs.openstack.org/api-ref/compute/#usage-reports-os-simple-tenant-usage
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select

from aerostat.kernel import clock
from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, NotFound
from aerostat.kernel.http import Page, Request
from aerostat.kernel.http.paging import COMPUTE, named_links, read_limit
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import iso_micro

from .. import model
from ..states import shown
from .arguments import PAGING, at_least, check_query, read_time
from .terms import ADMIN, READER, rules

_RULE = "os_compute_api:os-simple-tenant-usage:"
_DEFAULT_PERIOD = timedelta(days=28)


class TenantUsage(Resource):
    extra_rules = rules((_RULE + "list", ADMIN), (_RULE + "show", READER))

    @route("GET", "/os-simple-tenant-usage", policy=_RULE + "list")
    async def index(self, req: Request) -> dict[str, Any]:
        if req.path.endswith("/"):  # somebody's usage was meant, and nobody named
            raise NotFound
        start, end = _period(req)
        rows, page = _page(req, await _servers(req, start, end, None))
        usages = [
            _usage(project_id, members, start, end, detailed=req.argument("detailed") == "1")
            for project_id, members in _by_project(rows).items()
        ]
        return {"tenant_usages": usages, **_links(req, "tenant_usages", page)}

    @route("GET", "/os-simple-tenant-usage/{project_id}")
    async def show_one(self, req: Request, project_id: str) -> dict[str, Any]:
        req.check(_RULE + "show", {"project_id": project_id})
        start, end = _period(req)
        rows, page = _page(req, await _servers(req, start, end, project_id))
        usage = _usage(project_id, rows, start, end, detailed=True) if rows else {}
        return {"tenant_usage": usage, **_links(req, "tenant_usage", page)}


def _period(req: Request) -> tuple[datetime, datetime]:
    check_query(req, {"start", "end", "detailed", *(PAGING if at_least(req, 40) else ())})
    end = read_time(req.argument("end") or "", "end") if req.argument("end") else clock.now()
    start = (
        read_time(req.argument("start") or "", "start") if req.argument("start") else end - _DEFAULT_PERIOD
    )
    if end < start:
        raise BadRequest("Invalid start time. The start time cannot occur after the end time.")
    return start, end


async def _servers(req: Request, start: datetime, end: datetime, project_id: str | None) -> list[Row]:
    """Servers that ran at some time of the period."""
    columns = model.SERVERS.c
    conditions = [
        columns.launched_at.is_not(None),
        columns.launched_at < end,
        or_(columns.terminated_at.is_(None), columns.terminated_at > start),
    ]
    if project_id is not None:
        conditions.append(columns.project_id == project_id)
    return await req.db.fetch(
        select(
            columns.id,
            columns.project_id,
            columns.name,
            columns.flavor,
            columns.state,
            columns.state_before,
            columns.launched_at,
            columns.terminated_at,
        )
        .where(*conditions)
        .order_by(columns.project_id, columns.id)
    )


def _page(req: Request, rows: list[Row]) -> tuple[list[Row], Page]:
    if not at_least(req, 40):
        return rows, Page(rows)
    marker, limit = req.argument("marker"), read_limit(req, COMPUTE)
    if marker is not None:
        places = [place for place, row in enumerate(rows) if row.id == marker]
        if not places:
            raise BadRequest(f"marker [{marker}] not found")
        rows = rows[places[0] + 1 :]
    more = limit is not None and len(rows) > limit
    page = rows[:limit]
    return page, Page(page, page[-1].id if more and page else None)


def _links(req: Request, name: str, page: Page) -> dict[str, Any]:
    return named_links(req, name, page) if page.next_marker else {}


def _by_project(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.project_id, []).append(row)
    return found


def _usage(
    project_id: str, rows: list[Row], start: datetime, end: datetime, *, detailed: bool
) -> dict[str, Any]:
    servers = [_server(row, start, end) for row in rows]
    usage: dict[str, Any] = {
        "tenant_id": project_id,
        "start": iso_micro(start),
        "stop": iso_micro(end),
        "total_hours": sum(one["hours"] for one in servers),
        "total_vcpus_usage": sum(one["hours"] * one["vcpus"] for one in servers),
        "total_memory_mb_usage": sum(one["hours"] * one["memory_mb"] for one in servers),
        "total_local_gb_usage": sum(one["hours"] * one["local_gb"] for one in servers),
    }
    if detailed:
        usage["server_usages"] = servers
    return usage


def _server(row: Row, start: datetime, end: datetime) -> dict[str, Any]:
    last = min(row.terminated_at or end, end)
    seconds = max(0.0, (last - max(row.launched_at, start)).total_seconds())
    uptime_end = row.terminated_at or clock.now()
    return {
        "instance_id": row.id,
        "name": row.name,
        "tenant_id": row.project_id,
        "flavor": row.flavor["name"],
        "vcpus": row.flavor["vcpus"],
        "memory_mb": row.flavor["memory_mib"],
        "local_gb": row.flavor["disk_gib"] + row.flavor["ephemeral_gib"],
        "hours": seconds / 3600,
        "started_at": iso_micro(row.launched_at),
        "ended_at": iso_micro(row.terminated_at) if row.terminated_at else None,
        "state": "terminated" if row.terminated_at else shown(row.state, row.state_before).vm_state,
        "uptime": int(max(0.0, (uptime_end - row.launched_at).total_seconds())),
    }
