"""What was done to a server, by whom, and how it went: reads of the operation record.

Wire: /servers/{id}/os-instance-actions,
https://docs.openstack.org/api-ref/compute/#servers-actions-servers-os-instance-actions
"""

from datetime import datetime, timedelta
from typing import Any

from aerostat.kernel import operation
from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, NotFound
from aerostat.kernel.http import Page, Request
from aerostat.kernel.http.paging import COMPUTE, named_links, read_limit
from aerostat.kernel.http.versions import Version
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import iso_micro

from .. import model
from .arguments import PAGING, at_least, check_query, read_time
from .server.lookup import find_for
from .server.view import host_id
from .terms import ADMIN, READER, rules

_RULE = "os_compute_api:os-instance-actions:"
_PREFIX = "server."
_NAMES = {"reboot_hard": "reboot"}  # ours → upstream's, where one action is two flows


class InstanceAction(Resource):
    extra_rules = rules(
        (_RULE + "list", READER),
        (_RULE + "show", READER),
        (_RULE + "events", ADMIN),
        (_RULE + "events:details", ADMIN),
    )

    @route("GET", "/servers/{server_id}/os-instance-actions")
    async def index(self, req: Request, server_id: str) -> dict[str, Any]:
        if at_least(req, 58):
            check_query(req, PAGING | {"changes-since", "changes-before"})
        server = await find_for(req, server_id, _RULE + "list", deleted=at_least(req, 21))
        found = _in_time(req, [*(await _actions(req, server)).values()][::-1])
        following = None
        if at_least(req, 58):
            found, following = _page(req, found)
        shown: dict[str, Any] = {"instanceActions": [_view(req, server, rows) for rows in found]}
        if following is not None:
            shown["links"] = named_links(req, "x", Page([], following))["x_links"]
        return shown

    @route("GET", "/servers/{server_id}/os-instance-actions/{request_id}")
    async def show_one(self, req: Request, server_id: str, request_id: str) -> dict[str, Any]:
        server = await find_for(req, server_id, _RULE + "show", deleted=at_least(req, 21))
        rows = (await _actions(req, server)).get(request_id)
        if rows is None:
            raise NotFound(f"Action for request_id {request_id} on instance {server_id} not found")
        view = _view(req, server, rows)
        if at_least(req, 51) or req.allows(_RULE + "events", server):
            view["events"] = [_event(req, server, row) for row in rows if row.step is not None]
        return {"instanceAction": view}


async def _actions(req: Request, server: Row) -> dict[str, list[Row]]:
    """Rows of the record by request, oldest first."""
    found: dict[str, list[Row]] = {}
    for row in await operation.list_for(req.db, subject_id=server.id):
        if row.subject_kind == model.SERVERS.name and row.action.startswith(_PREFIX):
            found.setdefault(row.request_id, []).append(row)
    return found


def _in_time(req: Request, actions: list[list[Row]]) -> list[list[Row]]:
    since = before = None
    if at_least(req, 58) and (text := req.argument("changes-since")):
        since = read_time(text, "changes-since")
    if at_least(req, 66) and (text := req.argument("changes-before")):
        before = read_time(text, "changes-before")
    if since and before and since > before:
        raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    return [
        rows
        for rows in actions
        if (since is None or rows[-1].at >= since) and (before is None or rows[-1].at <= before)
    ]


def _page(req: Request, actions: list[list[Row]]) -> tuple[list[list[Row]], str | None]:
    """The asked actions, and the marker of those that follow."""
    marker, limit = req.argument("marker"), read_limit(req, COMPUTE)
    if marker is not None:
        places = [place for place, rows in enumerate(actions) if rows[0].request_id == marker]
        if not places:
            raise BadRequest(f"Marker {marker} could not be found.")
        actions = actions[places[0] + 1 :]
    more = limit is not None and len(actions) > limit
    page = actions[:limit]
    return page, page[-1][0].request_id if more and page else None


def _view(req: Request, server: Row, rows: list[Row]) -> dict[str, Any]:
    failed = any(row.verdict == "failed" for row in rows)
    view = {
        "action": _NAMES.get(action := rows[0].action.removeprefix(_PREFIX), action),
        "instance_uuid": server.id,
        "request_id": rows[0].request_id,
        "user_id": rows[0].actor or "",
        "project_id": rows[0].project_id or "",
        "start_time": iso_micro(rows[0].at),
        "message": "Error" if failed else None,
    }
    if at_least(req, 58):
        view["updated_at"] = iso_micro(rows[-1].at)
    return view


def _event(req: Request, server: Row, row: Row) -> dict[str, Any]:
    """One step. Its words are for everybody, what lies behind them for administrators."""
    started: datetime = row.at - timedelta(milliseconds=row.took_ms or 0)
    failed = row.verdict in ("failed", "refused", "retry")
    detail = (row.data or {}).get("detail") if isinstance(row.data, dict) else None
    admin = req.allows(_RULE + "events", server)
    event = {
        "event": f"compute_{row.step}",
        "start_time": iso_micro(started),
        "finish_time": iso_micro(row.at),
        "result": "Error" if failed else "Success",
        "traceback": (detail or row.reason) if failed and admin else None,
    }
    if req.version >= Version(2, 62):
        event["hostId"] = host_id(server, req)
        if admin:
            event["host"] = server.host or ""
    if at_least(req, 84):
        event["details"] = row.reason if failed and req.allows(_RULE + "events:details", server) else None
    return event
