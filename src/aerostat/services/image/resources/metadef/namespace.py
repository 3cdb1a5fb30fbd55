"""Namespaces: definitions that belong together, seen by all or by one project.

https://docs.openstack.org/api-ref/image/v2/metadefs-index.html#metadata-definition-namespaces
Wire: no envelope around one namespace; what it holds may come with it when it is made, and is shown with it.
"""

from typing import Any
from urllib.parse import urlencode

from sqlalchemy import or_, select

from aerostat.kernel.clock import now
from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request, Response
from aerostat.kernel.http.paging import read_page
from aerostat.kernel.policy import Rule, admin, project_reader
from aerostat.kernel.resource import Conditions, Resource, route

from ... import model
from .errors import NamespaceExists, NamespaceProtected
from .finding import NAMESPACE, NAMESPACES, admins, check, find_namespace, readers, target_of
from .object import insert_objects, list_objects
from .property import insert_properties, list_properties
from .resource_type import insert_associations, list_associations, list_associations_of
from .schema import NAMESPACE as SCHEMA
from .schema import read_body
from .tag import insert_tags, list_tags

_HELD = {
    "resource_type_associations": "add_metadef_resource_type_association",
    "objects": "add_metadef_object",
    "properties": "add_metadef_property",
    "tags": "add_metadef_tag",
}
_SORTABLE = {
    name: name
    for name in ("namespace", "display_name", "visibility", "protected", "owner", "created_at", "updated_at")
}


class Namespace(Resource):
    extra_rules = (
        Rule(name="metadef_default", text="@"),
        Rule(name="metadef_admin", text="role:admin"),
        Rule(name="get_metadef_namespaces", text=(admin | project_reader).text),
        *readers("get_metadef_namespace"),
        *admins("add_metadef_namespace", "modify_metadef_namespace", "delete_metadef_namespace"),
    )

    @route("GET", NAMESPACES, policy="get_metadef_namespaces")
    async def list_namespaces(self, req: Request) -> dict[str, Any]:
        req.check("list_metadef_resource_types")
        marker = req.argument("marker")
        if marker:
            await find_namespace(req, marker)
        page = await read_page(
            req,
            self.paging,
            model.METADEF_NAMESPACES,
            self._asked_for(req),
            sortable=_SORTABLE,
            marker_column="namespace",
        )
        shown = [row for row in page.rows if req.allows("get_metadef_namespace", target_of(row))]
        held = await list_associations_of(req, shown)
        views = []
        for row in shown:
            types = {"resource_type_associations": held[row.id]} if held[row.id] else {}
            views.append({**self._view(row), **types})
        asked = [(key, value) for key, values in req.query.items() if key != "marker" for value in values]
        listed = {
            "namespaces": views,
            "first": f"/v2{NAMESPACES}?{urlencode(asked)}" if asked else f"/v2{NAMESPACES}",
            "schema": "/v2/schemas/metadefs/namespaces",
        }
        if page.next_marker:
            listed["next"] = f"/v2{NAMESPACES}?{urlencode([*asked, ('marker', page.next_marker)])}"
        return listed

    @route("POST", NAMESPACES)
    async def create_namespace(self, req: Request) -> Response:
        """With all that it holds, or not at all."""
        body = read_body(req, SCHEMA)
        req.check("add_metadef_namespace")
        for held, rule in _HELD.items():
            if body.get(held):
                req.check(rule)
        async with req.db.transaction() as tx:
            try:
                row = await tx.insert(model.METADEF_NAMESPACES, **self._columns(req, body))
            except Duplicate:
                raise NamespaceExists(namespace=body["namespace"]) from None
            await insert_associations(tx, row, body.get("resource_type_associations", ()))
            await insert_objects(tx, row, body.get("objects", ()))
            await insert_properties(tx, row, body.get("properties", {}))
            await insert_tags(tx, row, body.get("tags", ()))
        shown = {**self._view(row), **await self._held(req, row)}
        location = {"Location": req.url + "/" + row.namespace}
        return Response(shown, 201, location, resource_id=row.id)

    @route("GET", NAMESPACE)
    async def show_namespace(self, req: Request, namespace_name: str) -> dict[str, Any]:
        """With `?resource_type=` the properties carry the prefix that such resources give them."""
        row = await find_namespace(req, namespace_name)
        check(req, "get_metadef_namespace", row)
        for rule in (
            "list_metadef_resource_types",
            "get_metadef_objects",
            "get_metadef_properties",
            "get_metadef_tags",
        ):
            check(req, rule, row)
        held = await self._held(req, row)
        kind = req.argument("resource_type")
        if kind:
            _prefix(held, kind)
        return {**self._view(row), **held}

    @route("PUT", NAMESPACE)
    async def replace_namespace(self, req: Request, namespace_name: str) -> Response:
        """What the body leaves out is as if it had been left out at the start; what the namespace holds stays."""
        row = await find_namespace(req, namespace_name)
        body = read_body(req, SCHEMA)
        check(req, "modify_metadef_namespace", row)
        try:
            await req.db.update(model.METADEF_NAMESPACES, {"id": row.id}, **self._columns(req, body))
        except Duplicate:
            raise NamespaceExists(namespace=body["namespace"]) from None
        changed = await find_namespace(req, body["namespace"])
        return Response(self._view(changed), resource_id=row.id)

    @route("DELETE", NAMESPACE, status=204)
    async def delete_namespace(self, req: Request, namespace_name: str) -> None:
        row = await find_namespace(req, namespace_name)
        check(req, "delete_metadef_namespace", row)
        if row.protected:
            raise NamespaceProtected(namespace=row.namespace)
        await req.db.delete(model.METADEF_NAMESPACES, id=row.id)

    def _columns(self, req: Request, body: dict[str, Any]) -> dict[str, Any]:
        return {
            "namespace": body["namespace"],
            "display_name": body.get("display_name"),
            "description": body.get("description"),
            "visibility": body.get("visibility", "private"),
            "protected": body.get("protected", False),
            "owner": body.get("owner") or req.context.project_id or "",
            "updated_at": now(),
        }

    def _asked_for(self, req: Request) -> Conditions:
        table, project = model.METADEF_NAMESPACES, req.context.project_id
        conditions: Conditions = []
        if not req.context.is_admin:
            conditions.append(or_(table.c.owner == project, table.c.visibility == "public"))
        visibility = req.argument("visibility")
        if visibility:
            if visibility not in ("public", "private"):
                raise BadRequest(f"Invalid visibility value: {visibility}")
            conditions.append(table.c.visibility == visibility)
        kinds = req.argument("resource_types")
        if kinds is not None:
            held = model.METADEF_ASSOCIATIONS
            about = select(held.c.namespace_id).where(held.c.name.in_(kinds.split(",")))
            conditions.append(table.c.id.in_(about))
        return conditions

    async def _held(self, req: Request, row: Row) -> dict[str, Any]:
        held = {
            "resource_type_associations": await list_associations(req, row),
            "objects": await list_objects(req, row),
            "properties": await list_properties(req, row),
            "tags": await list_tags(req, row),
        }
        return {name: value for name, value in held.items() if value}

    def _view(self, row: Row) -> dict[str, Any]:
        moment = self.service.time_format
        said = {"display_name": row.display_name, "description": row.description}
        return {
            "namespace": row.namespace,
            **{name: value for name, value in said.items() if value is not None},
            "visibility": row.visibility,
            "protected": row.protected,
            "owner": row.owner,
            "created_at": moment(row.created_at),
            "updated_at": moment(row.updated_at or row.created_at),
            "self": f"/v2/metadefs/namespaces/{row.namespace}",
            "schema": "/v2/schemas/metadefs/namespace",
        }


def _prefix(held: dict[str, Any], kind: str) -> None:
    """Names of properties as a resource of type `kind` has them, in `held`."""
    types = held.get("resource_type_associations", [])
    prefix = next((one.get("prefix") for one in types if one["name"] == kind), None)
    if not prefix:
        return
    if "properties" in held:
        held["properties"] = {prefix + name: value for name, value in held["properties"].items()}
    for one in held.get("objects", []):
        one["properties"] = {prefix + name: value for name, value in one["properties"].items()}
        one["required"] = [prefix + name for name in one["required"]]
