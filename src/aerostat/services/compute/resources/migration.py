"""Migrations. Servers do not move between hosts in this cloud yet, so there are none to list.

Wire: /os-migrations, https://docs.openstack.org/api-ref/compute/#migrations-os-migrations
"""

from typing import Any

from aerostat.kernel.errors import NotFound
from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from .server.lookup import find_for
from .terms import ADMIN, rules

_RULE = "os_compute_api:os-migrations:index"
_OF_SERVER = "os_compute_api:servers:migrations:"


class Migration(Resource):
    extra_rules = rules((_RULE, ADMIN), (_OF_SERVER + "index", ADMIN), (_OF_SERVER + "show", ADMIN))

    @route("GET", "/os-migrations", policy=_RULE)
    async def index(self, req: Request) -> dict[str, Any]:
        return {"migrations": []}

    @route("GET", "/servers/{server_id}/migrations", since="2.23")
    async def of_server(self, req: Request, server_id: str) -> dict[str, Any]:
        await find_for(req, server_id, _OF_SERVER + "index")
        return {"migrations": []}

    @route("GET", "/servers/{server_id}/migrations/{migration_id}", since="2.23")
    async def show_of_server(self, req: Request, server_id: str, migration_id: str) -> None:
        await find_for(req, server_id, _OF_SERVER + "show")
        raise NotFound(f"In-progress live migration {migration_id} is not found for server {server_id}.")
