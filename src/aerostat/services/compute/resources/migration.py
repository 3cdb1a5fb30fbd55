"""Migrations: servers that change hosts, and those that change their flavor where they are.

Wire: /os-migrations, https://docs.openstack.org/api-ref/compute/#migrations-os-migrations
"""

from sqlalchemy import or_, select

from aerostat.kernel.errors import BadRequest
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Page, Request
from aerostat.kernel.http.paging import Order, named_links
from aerostat.kernel.resource import Conditions, Resource, Rows, View, Views
from aerostat.kernel.service import iso_micro

from .. import model, moves
from .arguments import PAGING, at_least, check_query, links, read_time
from .terms import ADMIN, rules

_RULE = "os_compute_api:os-migrations:index"
_TABLE = model.MIGRATIONS
_EQUAL = {
    "status": "status",
    "source_compute": "source_host",
    "instance_uuid": "server_id",
    "migration_type": "kind",
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
    extra_rules = rules((_RULE, ADMIN))

    id = Field(int, column="number")
    instance_uuid = Field(column="server_id")
    shown_status = Field(wire="status", column="status")
    source_compute = Field(column="source_host")
    source_node = Field(column="source_host")
    dest_compute = Field(column="dest_host")
    dest_node = Field(column="dest_host")
    address = Field(wire="dest_host", compute=lambda row, req: None)  # upstream: the target's IP address
    old_flavor = Field(
        wire="old_instance_type_id", compute=lambda row, req: None
    )  # numbers of upstream's own
    new_flavor = Field(wire="new_instance_type_id", compute=lambda row, req: None)
    created_at = Field(compute=lambda row, req: iso_micro(row["created_at"]))
    updated_at = Field(compute=lambda row, req: iso_micro(row["updated_at"]) if row["updated_at"] else None)
    migration_type = Field(since="2.23", column="kind")
    uuid = Field(since="2.59", column="id")
    user_id = Field(since="2.80")
    project_id = Field(since="2.80")

    async def list(self, req: Request) -> Page | Rows:
        req.check(_RULE)
        known = {*_EQUAL, "host", "hidden"} | (PAGING if at_least(req, 59) else frozenset())
        check_query(req, known | {"changes-since", "changes-before"})
        if not at_least(req, 59):
            statement = select(_TABLE).where(*self.filters(req)).order_by(_TABLE.c.created_at.desc())
            return await req.db.fetch(statement)
        return await super().list(req)

    def filters(self, req: Request) -> Conditions:
        conditions: Conditions = [
            _TABLE.c[column] == req.argument(name) for name, column in _EQUAL.items() if name in req.query
        ]
        if (host := req.argument("host")) is not None:
            conditions.append(or_(_TABLE.c.source_host == host, _TABLE.c.dest_host == host))
        moments = {}
        for name in ("changes-since", "changes-before"):
            text = req.argument(name)
            if text is not None and at_least(req, 59 if name == "changes-since" else 66):
                moment = moments[name] = read_time(text, name)
                column = _TABLE.c.updated_at
                conditions.append(column >= moment if name == "changes-since" else column <= moment)
        if len(moments) == 2 and moments["changes-since"] > moments["changes-before"]:
            raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
        return conditions

    def list_envelope(self, req: Request, views: Views, page: Page) -> View:
        for row, view in zip(page.rows, views, strict=True):
            if at_least(req, 23) and row.kind == moves.LIVE and row.status in moves.IN_PROGRESS:
                view["links"] = links(req, f"servers/{row.server_id}/migrations", str(row.number))
        return {"migrations": views, **(named_links(req, "migrations", page) if at_least(req, 59) else {})}
