"""Hypervisors: the hosts as administrators count on them.

Wire: /os-hypervisors, https://docs.openstack.org/api-ref/compute/#hypervisors-os-hypervisors
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import select

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, NotFound
from aerostat.kernel.http import Page, Request
from aerostat.kernel.http.paging import COMPUTE, named_links, read_limit
from aerostat.kernel.ids import is_uuid
from aerostat.kernel.resource import Resource, route

from .. import model
from ..room import instance_name, room_of
from .arguments import PAGING, at_least, check_query
from .terms import ADMIN, rules

_RULE = "os_compute_api:os-hypervisors:"
_SUMS = ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "free_ram_mb",
         "free_disk_gb", "current_workload", "running_vms", "disk_available_least")  # fmt: skip


class Hypervisor(Resource):
    extra_rules = rules(
        *(
            (_RULE + verb, ADMIN)
            for verb in ("list", "list-detail", "show", "statistics", "uptime", "search", "servers")
        )
    )

    @route("GET", "/os-hypervisors", policy=_RULE + "list")
    async def index(self, req: Request) -> dict[str, Any]:
        return await self._listed(req, detail=False)

    @route("GET", "/os-hypervisors/detail", policy=_RULE + "list-detail")
    async def detail(self, req: Request) -> dict[str, Any]:
        return await self._listed(req, detail=True)

    @route("GET", "/os-hypervisors/statistics", policy=_RULE + "statistics", until="2.87")
    async def statistics(self, req: Request) -> dict[str, Any]:
        hosts = await req.db.all(model.HOSTS)
        views = await _views(req, hosts, detail=True)
        sums: dict[str, int] = {name: sum(view[name] for view in views) for name in _SUMS}
        return {"hypervisor_statistics": {"count": len(views), **sums}}

    @route("GET", "/os-hypervisors/{id}", policy=_RULE + "show")
    async def show_one(self, req: Request, id: str) -> dict[str, Any]:
        host = await find_host(req, id)
        servers = req.flag("with_servers") and at_least(req, 53)
        (view,) = await _views(req, [host], detail=True, servers=servers)
        if at_least(req, 88):
            view["uptime"] = _uptime(host)
        return {"hypervisor": view}

    @route("GET", "/os-hypervisors/{id}/uptime", policy=_RULE + "uptime", until="2.87")
    async def uptime(self, req: Request, id: str) -> dict[str, Any]:
        host = await find_host(req, id)
        return {"hypervisor": {**_brief(req, host), "uptime": _uptime(host)}}

    @route("GET", "/os-hypervisors/{pattern}/search", policy=_RULE + "search", until="2.52")
    async def search(self, req: Request, pattern: str) -> dict[str, Any]:
        hosts = await _matching(req, pattern)
        return {"hypervisors": await _views(req, hosts, detail=False)}

    @route("GET", "/os-hypervisors/{pattern}/servers", policy=_RULE + "servers", until="2.52")
    async def servers(self, req: Request, pattern: str) -> dict[str, Any]:
        hosts = await _matching(req, pattern)
        return {"hypervisors": await _views(req, hosts, detail=False, servers=True)}

    async def _listed(self, req: Request, *, detail: bool) -> dict[str, Any]:
        known = PAGING if at_least(req, 33) else frozenset()
        if at_least(req, 53):
            known |= {"hypervisor_hostname_pattern", "with_servers"}
        check_query(req, known)
        hosts = await req.db.all(model.HOSTS, order="id" if at_least(req, 53) else "number")
        servers = False
        if at_least(req, 53):
            servers = req.flag("with_servers")
            if (pattern := req.argument("hypervisor_hostname_pattern")) is not None:
                if "limit" in req.query or "marker" in req.query:
                    raise BadRequest(
                        "Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported."
                    )
                hosts = await _matching(req, pattern)
        page = _page(req, hosts) if at_least(req, 33) else Page(hosts)
        shown: dict[str, Any] = {"hypervisors": await _views(req, page.rows, detail=detail, servers=servers)}
        return {**shown, **named_links(req, "hypervisors", page)}


async def find_host(req: Request, id: str) -> Row:
    """By uuid from 2.53 on, before by number. Raises `NotFound`."""
    host = None
    if at_least(req, 53):
        if not is_uuid(id):
            raise BadRequest(f"Invalid uuid {id}")
        host = await req.db.find(model.HOSTS, id=id)
    elif id.isdigit() and int(id) < 2**31:
        host = await req.db.find(model.HOSTS, number=int(id))
    if host is None:
        raise NotFound(f"Hypervisor with ID '{id}' could not be found.")
    return host


async def _matching(req: Request, pattern: str) -> list[Row]:
    hosts = [
        host
        for host in await req.db.all(model.HOSTS, order="name")
        if re.search(re.escape(pattern), host.name)
    ]
    if not hosts:
        raise NotFound(f"No hypervisor matching '{pattern}' could be found.")
    return hosts


def _page(req: Request, hosts: list[Row]) -> Page:
    marker, limit = req.argument("marker"), read_limit(req, COMPUTE)
    key = "id" if at_least(req, 53) else "number"
    if marker is not None:
        places = [place for place, host in enumerate(hosts) if str(host[key]) == marker]
        if not places:
            raise BadRequest(f"Marker {marker} could not be found.")
        hosts = hosts[places[0] + 1 :]
    more = limit is not None and len(hosts) > limit
    rows = hosts[:limit]
    return Page(rows, str(rows[-1][key]) if more and rows else None)


async def _views(
    req: Request, hosts: list[Row], *, detail: bool, servers: bool = False
) -> list[dict[str, Any]]:
    names = [host.name for host in hosts]
    rows = []
    if names and (detail or servers):
        columns = model.SERVERS.c
        rows = await req.db.fetch(
            select(columns.id, columns.host, columns.flavor, columns.state).where(
                columns.host.in_(names), columns.state != "deleted"
            )
        )
    views = []
    for host in hosts:
        own = [row for row in rows if row.host == host.name]
        view = _detailed(req, host, own) if detail else _brief(req, host)
        if servers and (own or not at_least(req, 75)):
            view["servers"] = [{"uuid": row.id, "name": instance_name(row.id)} for row in own]
        elif servers:
            view["servers"] = []
        views.append(view)
    return views


def _brief(req: Request, host: Row) -> dict[str, Any]:
    return {
        "id": host.id if at_least(req, 53) else host.number,
        "hypervisor_hostname": host.name,
        "state": "up" if room_of(req.house).is_up(host) else "down",
        "status": "disabled" if host.disabled else "enabled",
    }


def _detailed(req: Request, host: Row, servers: list[Row]) -> dict[str, Any]:
    facts: Mapping[str, Any] = host.facts
    view = {
        **_brief(req, host),
        "host_ip": host.address,
        "hypervisor_type": _KINDS.get(facts["hypervisor_type"], facts["hypervisor_type"]),
        "hypervisor_version": facts["hypervisor_version"],
        "service": {
            "id": host.service_id if at_least(req, 53) else host.number,
            "host": host.name,
            "disabled_reason": host.disabled_reason,
        },
    }
    if at_least(req, 88):
        return view
    used = {name: sum(row.flavor[name] for row in servers) for name in ("vcpus", "memory_mib", "disk_gib")}
    cpu: Any = facts.get("cpu_info") or {}
    reserved = room_of(req.house).config.reserved_host_memory_mib
    return {
        **view,
        "cpu_info": cpu if at_least(req, 28) else msgspec.json.encode(cpu).decode(),
        "current_workload": sum(row.state in ("building", "rebuilding", "resizing") for row in servers),
        "disk_available_least": facts["disk_free_gib"],
        "free_disk_gb": facts["disk_gib"] - used["disk_gib"],
        "free_ram_mb": facts["memory_mib"] - reserved - used["memory_mib"],
        "local_gb": facts["disk_gib"],
        "local_gb_used": used["disk_gib"],
        "memory_mb": facts["memory_mib"],
        "memory_mb_used": reserved + used["memory_mib"],
        "running_vms": len(servers),
        "vcpus": facts["vcpus"],
        "vcpus_used": used["vcpus"],
    }


_KINDS = {"qemu": "QEMU", "kvm": "KVM"}


def _uptime(host: Row) -> str:
    """The host's uptime and load, in the shape of the command of that name."""
    seconds = int(host.facts.get("uptime_s", 0))
    days, rest = divmod(seconds, 86400)
    hours, minutes = divmod(rest // 60, 60)
    load = ", ".join(f"{one:.2f}" for one in host.facts.get("load", (0, 0, 0)))
    at = host.seen_at.strftime("%H:%M:%S")
    return f" {at} up {days} days, {hours:2d}:{minutes:02d},  0 users,  load average: {load}"
