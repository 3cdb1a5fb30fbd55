"""Services: the processes on hosts, to be switched off for new servers and on again.

Wire: /os-services, https://docs.openstack.org/api-ref/compute/#compute-services-os-services
"""

import contextlib
from typing import Any

from aerostat.kernel import clock
from aerostat.kernel.db import Row, RowNotFound
from aerostat.kernel.errors import BadRequest, Conflict, NotFound
from aerostat.kernel.http import Request, Response
from aerostat.kernel.ids import is_uuid
from aerostat.kernel.resource import Resource, route
from aerostat.kernel.service import iso_micro

from .. import model
from ..hosts import ORPHANS
from ..room import room_of
from ..states import NO_STATE, RESTING, SERVER
from .arguments import at_least, check_query
from .schemas import BOOLEAN, HOST, closed, read_boolean
from .terms import ADMIN, rules

_RULE = "os_compute_api:os-services:"
_BINARY = "nova-compute"
_REASON = {"type": "string", "minLength": 1, "maxLength": 255}
_OLD = closed({"host": HOST, "binary": {"type": "string"}}, "host", "binary")
_OLD_REASON = closed(
    {"host": HOST, "binary": {"type": "string"}, "disabled_reason": _REASON},
    "host",
    "binary",
    "disabled_reason",
)
_OLD_FORCED = closed(
    {"host": HOST, "binary": {"type": "string"}, "forced_down": BOOLEAN}, "host", "binary", "forced_down"
)
_NEW = {
    **closed(
        {"status": {"enum": ["enabled", "disabled"]}, "disabled_reason": _REASON, "forced_down": BOOLEAN}
    ),
}


class ComputeService(Resource):
    extra_rules = rules((_RULE + "list", ADMIN), (_RULE + "update", ADMIN), (_RULE + "delete", ADMIN))

    @route("GET", "/os-services", policy=_RULE + "list")
    async def index(self, req: Request) -> dict[str, Any]:
        check_query(req, {"host", "binary"})
        host, binary = req.argument("host"), req.argument("binary")
        hosts = await req.db.all(model.HOSTS, {"name": host} if host else None, order="name")
        zones = await room_of(req.house).zones()
        shown = [_view(req, one, zones) for one in hosts if binary in (None, _BINARY)]
        return {"services": shown}

    @route("PUT", "/os-services/enable", policy=_RULE + "update", until="2.52", body=_OLD)
    async def enable(self, req: Request) -> dict[str, Any]:
        host = await self._named(req)
        await req.db.update(model.HOSTS, {"id": host.id}, disabled=False, disabled_reason=None)
        return {"service": {"host": host.name, "binary": _BINARY, "status": "enabled"}}

    @route("PUT", "/os-services/disable", policy=_RULE + "update", until="2.52", body=_OLD)
    async def disable(self, req: Request) -> dict[str, Any]:
        host = await self._named(req)
        await req.db.update(model.HOSTS, {"id": host.id}, disabled=True, disabled_reason=None)
        return {"service": {"host": host.name, "binary": _BINARY, "status": "disabled"}}

    @route("PUT", "/os-services/disable-log-reason", policy=_RULE + "update", until="2.52", body=_OLD_REASON)
    async def disable_with_reason(self, req: Request) -> dict[str, Any]:
        host = await self._named(req)
        reason = req.body["disabled_reason"]
        await req.db.update(model.HOSTS, {"id": host.id}, disabled=True, disabled_reason=reason)
        return {
            "service": {"host": host.name, "binary": _BINARY, "status": "disabled", "disabled_reason": reason}
        }

    @route(
        "PUT",
        "/os-services/force-down",
        policy=_RULE + "update",
        since="2.11",
        until="2.52",
        body=_OLD_FORCED,
    )
    async def force_down(self, req: Request) -> dict[str, Any]:
        host = await self._named(req)
        forced = read_boolean(req.body["forced_down"])
        await req.db.update(model.HOSTS, {"id": host.id}, forced_down=forced)
        req.house.nudge(ORPHANS)
        return {"service": {"host": host.name, "binary": _BINARY, "forced_down": forced}}

    @route("PUT", "/os-services/{service_id}", policy=_RULE + "update", since="2.53", body=_NEW)
    async def change(self, req: Request, service_id: str) -> dict[str, Any]:
        host = await self._by_id(req, service_id)
        body, changes = req.body, {}
        if not body:
            raise BadRequest(
                "No updates were requested. Fields 'status' or 'forced_down' should be specified."
            )
        if "disabled_reason" in body and body.get("status") != "disabled":
            raise BadRequest("Specifying disabled_reason requires that status is disabled.")
        if "status" in body:
            changes = {
                "disabled": body["status"] == "disabled",
                "disabled_reason": body.get("disabled_reason"),
            }
        if "forced_down" in body:
            changes["forced_down"] = read_boolean(body["forced_down"])
            req.house.nudge(ORPHANS)
        await req.db.update(model.HOSTS, {"id": host.id}, **changes)
        changed = await req.db.get(model.HOSTS, id=host.id)
        return {"service": _view(req, changed, await room_of(req.house).zones())}

    @route("DELETE", "/os-services/{service_id}", policy=_RULE + "delete")
    async def remove(self, req: Request, service_id: str) -> Response:
        """Forget a host. One that still runs comes back with its next report.

        `X-Aerostat-Force`, a header of ours, is for a machine that is lost: its servers lose their host and say so.
        """
        host = await self._by_id(req, service_id)
        rows = await req.db.all(model.SERVERS, {"host": host.name})
        servers = [row for row in rows if row.state != "deleted"]
        forced = req.headers.get("x-aerostat-force", "").lower() == "true"
        if servers and not forced:
            raise Conflict(
                "Unable to delete compute service that is hosting instances. Migrate or delete the instances first."
            )
        placing = room_of(req.house).placing(req.request_id)
        for server in servers:
            await placing.release(server.id)
        await placing.remove_host(host.id)
        fault = {"message": f"Host {host.name} was taken out of the cloud.", "code": "HostRemoved"}
        async with req.db.transaction() as tx:
            for server in servers:
                if server.state in RESTING:
                    # Where a flow has begun meanwhile, it fails by itself.
                    with contextlib.suppress(RowNotFound):
                        await SERVER.move(
                            tx,
                            model.SERVERS,
                            server.id,
                            "fail",
                            where={"state": server.state},
                            fault={**fault, "at": clock.now().isoformat()},
                            power_state=NO_STATE,
                        )
            await tx.delete(model.HOSTS, id=host.id)
        return Response(None, 204)

    async def _named(self, req: Request) -> Row:
        host = await req.db.find(model.HOSTS, name=req.body["host"])
        if host is None or req.body["binary"] != _BINARY:
            raise NotFound(f"Could not find binary {req.body['binary']} on host {req.body['host']}.")
        return host

    async def _by_id(self, req: Request, service_id: str) -> Row:
        host = None
        if at_least(req, 53):
            if not is_uuid(service_id):
                raise BadRequest(f"Invalid uuid {service_id}")
            host = await req.db.find(model.HOSTS, service_id=service_id)
        elif service_id.isdigit() and int(service_id) < 2**31:
            host = await req.db.find(model.HOSTS, number=int(service_id))
        else:
            raise BadRequest(f"invalid literal for a service id: {service_id}")
        if host is None:
            raise NotFound(f"Service {service_id} not found.")
        return host


def _view(req: Request, host: Row, zones: dict[str, str]) -> dict[str, Any]:
    view = {
        "id": host.service_id if at_least(req, 53) else host.number,
        "binary": _BINARY,
        "host": host.name,
        "zone": zones[host.name],
        "status": "disabled" if host.disabled else "enabled",
        "state": "up" if room_of(req.house).is_up(host) else "down",
        "updated_at": iso_micro(host.seen_at),
        "disabled_reason": host.disabled_reason,
    }
    if at_least(req, 11):
        view["forced_down"] = host.forced_down
    return view
