"""How a server's memory and processors lie on its host.

Wire: /servers/{id}/topology, https://docs.openstack.org/api-ref/compute/#servers-topology-servers-topology
NUMA is not obeyed here, so a server has no nodes to show, as upstream shows one that asked for none.
"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from .server.lookup import find_for
from .terms import ADMIN, READER, rules

_RULE = "compute:server:topology:"


class ServerTopology(Resource):
    extra_rules = rules((_RULE + "index", READER), (_RULE + "host:index", ADMIN))

    @route("GET", "/servers/{server_id}/topology", since="2.78")
    async def index(self, req: Request, server_id: str) -> dict[str, Any]:
        await find_for(req, server_id, _RULE + "index")
        return {"nodes": [], "pagesize_kb": None}
