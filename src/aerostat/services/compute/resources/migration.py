"""Migrations: the resizes of servers. Each is from a host to itself, since servers do not move here yet.

Wire: /os-migrations, https://docs.openstack.org/api-ref/compute/#migrations-os-migrations
"""

from typing import Any

from sqlalchemy import select

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, NotFound
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Page, Request
from aerostat.kernel.http.paging import Order, named_links
from aerostat.kernel.resource import Conditions, Resource, Rows, View, Views, route
from aerostat.kernel.service import iso_micro

from .. import model
from .arguments import PAGING, at_least, check_query, read_time
from .server.lookup import find_for
from .terms import ADMIN, rules

_RULE = "os_compute_api:os-migrations:index"
_OF_SERVER = "os_compute_api:servers:migrations:"
_TABLE = model.MIGRATIONS
_EQUAL = {
    "status": "status",
    "host": "host",
    "source_compute": "host",
    "instance_uuid": "server_id",
    "user_id": "user_id",
    "project_id": "project_id",
}


class Migration(Resource):
    path = "/os-migrations/{id}"
    plural = "migrations"
    table = _TABLE
    project_column = None
    verbs = ("list",)
    order = (Order("created_at", True), Order("id", True))
    extra_rules = rules((_RULE, ADMIN), (_OF_SERVER + "index", ADMIN), (_OF_SERVER + "show", ADMIN))

    id = Field(int, column="number")
    instance_uuid = Field(column="server_id")
    shown_status = Field(wire="status", column="status")
    source_compute = Field(column="host")
    source_node = Field(column="host")
    dest_compute = Field(column="host")
    dest_node = Field(column="host")
    dest_host = Field(compute=lambda row, req: None)
    old_flavor = Field(
        wire="old_instance_type_id", compute=lambda row, req: None
    )  # numbers of upstream's own
    new_flavor = Field(wire="new_instance_type_id", compute=lambda row, req: None)
    created_at = Field(compute=lambda row, req: iso_micro(row["created_at"]))
    updated_at = Field(compute=lambda row, req: iso_micro(row["updated_at"]) if row["updated_at"] else None)
    migration_type = Field(since="2.23", compute=lambda row, req: "resize")
    uuid = Field(since="2.59", column="id")
    user_id = Field(since="2.80")
    project_id = Field(since="2.80")

    async def list(self, req: Request) -> Page | Rows:
        req.check(_RULE)
        known = {*_EQUAL, "migration_type", "hidden"} | (PAGING if at_least(req, 59) else frozenset())
        check_query(req, known | {"changes-since", "changes-before"})
        if not at_least(req, 59):
            statement = select(_TABLE).where(*self.filters(req)).order_by(_TABLE.c.created_at.desc())
            return await req.db.fetch(statement)
        return await super().list(req)

    def filters(self, req: Request) -> Conditions:
        conditions: Conditions = [
            _TABLE.c[column] == req.argument(name) for name, column in _EQUAL.items() if name in req.query
        ]
        kind = req.argument("migration_type")
        if kind is not None and kind != "resize":
            conditions.append(_TABLE.c.id.is_(None))
        for name in ("changes-since", "changes-before"):
            text = req.argument(name)
            if text is not None and at_least(req, 59 if name == "changes-since" else 66):
                moment = read_time(text, name)
                column = _TABLE.c.updated_at
                conditions.append(column >= moment if name == "changes-since" else column <= moment)
        return conditions

    def list_envelope(self, req: Request, views: Views, page: Page) -> View:
        return {"migrations": views, **(named_links(req, "migrations", page) if at_least(req, 59) else {})}

    @route("GET", "/servers/{server_id}/migrations", since="2.23")
    async def of_server(self, req: Request, server_id: str) -> dict[str, Any]:
        """Live migrations that go on at this moment: there are none."""
        await find_for(req, server_id, _OF_SERVER + "index")
        return {"migrations": []}

    @route("GET", "/servers/{server_id}/migrations/{migration_id}", since="2.23")
    async def show_of_server(self, req: Request, server_id: str, migration_id: str) -> Row:
        await find_for(req, server_id, _OF_SERVER + "show")
        if not migration_id.isdigit():
            raise BadRequest(f"Invalid migration id {migration_id}")
        raise NotFound(f"In-progress live migration {migration_id} is not found for server {server_id}.")
