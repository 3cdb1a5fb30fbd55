"""Addresses of a server, by network.

Wire: /servers/{id}/ips, https://docs.openstack.org/api-ref/compute/#servers-ips-servers-ips
"""

from typing import Any

from aerostat.kernel.errors import NotFound
from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from .server import Server
from .server.lookup import find_for
from .terms import READER, rules

_RULE = "os_compute_api:ips:"


class ServerAddresses(Resource):
    extra_rules = rules((_RULE + "index", READER), (_RULE + "show", READER))

    @route("GET", "/servers/{server_id}/ips")
    async def index(self, req: Request, server_id: str) -> dict[str, Any]:
        return {"addresses": await self._addresses(req, server_id, "index")}

    @route("GET", "/servers/{server_id}/ips/{label}")
    async def of_network(self, req: Request, server_id: str, label: str) -> dict[str, Any]:
        found = await self._addresses(req, server_id, "show")
        if label not in found:
            raise NotFound("Instance is not a member of specified network")
        return {label: found[label]}

    async def _addresses(self, req: Request, server_id: str, verb: str) -> dict[str, list[dict[str, Any]]]:
        server = await find_for(req, server_id, _RULE + verb)
        await self.service.resource(Server).refresh_interfaces(req, [server])
        found: dict[str, list[dict[str, Any]]] = {}
        for one in server.interfaces:
            entries = found.setdefault(one["network"], [])
            entries += [{"version": ip["version"], "addr": ip["address"]} for ip in one["ips"]]
        return found
