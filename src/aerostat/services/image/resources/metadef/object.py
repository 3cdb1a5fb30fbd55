"""Objects: groups of properties that are chosen together.

https://docs.openstack.org/api-ref/image/v2/metadefs-index.html#metadata-definition-objects
"""

from collections.abc import Iterable, Mapping
from typing import Any

from aerostat.kernel.clock import now
from aerostat.kernel.db import Duplicate, Row, Transaction
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from ... import model
from .errors import NamespaceProtected, ObjectExists, ObjectNotFound, ObjectProtected
from .finding import NAMESPACE, admins, check, find_namespace, readers, target_of
from .schema import OBJECT, read_body

_PATH = NAMESPACE + "/objects"
_ONE = _PATH + "/{object_name}"


class Object(Resource):
    extra_rules = (
        *readers("get_metadef_object", "get_metadef_objects"),
        *admins("add_metadef_object", "modify_metadef_object", "delete_metadef_object"),
    )

    @route("GET", _PATH)
    async def list_objects(self, req: Request, namespace_name: str) -> dict[str, Any]:
        """All of them: upstream checks `limit` and `sort_dir` and then has no pages."""
        namespace = await find_namespace(req, namespace_name)
        limit = req.argument("limit")
        if limit is not None and (not limit.isdecimal() or int(limit) == 0):
            raise BadRequest("limit param must be positive")
        if req.argument("sort_dir", "desc") not in ("asc", "desc"):
            raise BadRequest(f"Invalid sort direction: {req.argument('sort_dir')}")
        check(req, "get_metadef_objects", namespace)
        may = req.allows("get_metadef_object", target_of(namespace))
        return {
            "objects": await list_objects(req, namespace) if may else [],
            "schema": "v2/schemas/metadefs/objects",
        }

    @route("POST", _PATH, status=201)
    async def create_object(self, req: Request, namespace_name: str) -> dict[str, Any]:
        namespace = await find_namespace(req, namespace_name)
        body = read_body(req, OBJECT)
        check(req, "add_metadef_object", namespace)
        async with req.db.transaction() as tx:
            (row,) = await insert_objects(tx, namespace, [body])
        return _view(req, namespace, row)

    @route("DELETE", _PATH, status=204)
    async def delete_objects(self, req: Request, namespace_name: str) -> None:
        namespace = await find_namespace(req, namespace_name)
        check(req, "delete_metadef_namespace", namespace)
        if namespace.protected:
            raise NamespaceProtected(namespace=namespace.namespace)
        await req.db.delete(model.METADEF_OBJECTS, namespace_id=namespace.id)

    @route("GET", _ONE)
    async def show_object(self, req: Request, namespace_name: str, object_name: str) -> dict[str, Any]:
        namespace = await find_namespace(req, namespace_name)
        check(req, "get_metadef_object", namespace)
        return _view(req, namespace, await self._find(req, namespace, object_name))

    @route("PUT", _ONE)
    async def replace_object(self, req: Request, namespace_name: str, object_name: str) -> Response:
        namespace = await find_namespace(req, namespace_name)
        body = read_body(req, OBJECT)
        check(req, "modify_metadef_object", namespace)
        row = await self._find(req, namespace, object_name)
        try:
            await req.db.update(model.METADEF_OBJECTS, {"id": row.id}, **_columns(body))
        except Duplicate:
            raise ObjectExists(name=body["name"], namespace=namespace_name) from None
        changed = await self._find(req, namespace, body["name"])
        return Response(_view(req, namespace, changed), resource_id=row.id)

    @route("DELETE", _ONE, status=204)
    async def delete_object(self, req: Request, namespace_name: str, object_name: str) -> None:
        namespace = await find_namespace(req, namespace_name)
        check(req, "delete_metadef_object", namespace)
        row = await self._find(req, namespace, object_name)
        if namespace.protected:
            raise ObjectProtected(name=object_name)
        await req.db.delete(model.METADEF_OBJECTS, id=row.id)

    async def _find(self, req: Request, namespace: Row, name: str) -> Row:
        row = await req.db.find(model.METADEF_OBJECTS, namespace_id=namespace.id, name=name)
        if row is None:
            raise ObjectNotFound(name=name, namespace=namespace.namespace)
        return row


async def list_objects(req: Request, namespace: Row) -> list[dict[str, Any]]:
    rows = await req.db.all(model.METADEF_OBJECTS, {"namespace_id": namespace.id}, order="name")
    return [_view(req, namespace, row) for row in rows]


async def insert_objects(tx: Transaction, namespace: Row, given: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Raises `ObjectExists`."""
    rows = []
    for one in given:
        try:
            row = await tx.insert(model.METADEF_OBJECTS, namespace_id=namespace.id, **_columns(one))
        except Duplicate:
            raise ObjectExists(name=one["name"], namespace=namespace.namespace) from None
        rows.append(row)
    return rows


def _columns(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": body["name"],
        "description": body.get("description"),
        "required": body.get("required", []),
        "properties": body.get("properties", {}),
        "updated_at": now(),
    }


def _view(req: Request, namespace: Row, row: Row) -> dict[str, Any]:
    moment = req.service.time_format
    described = {} if row.description is None else {"description": row.description}
    return {
        "name": row.name,
        **described,
        "required": row.required,
        "properties": row.properties,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at or row.created_at),
        "self": f"/v2/metadefs/namespaces/{namespace.namespace}/objects/{row.name}",
        "schema": "/v2/schemas/metadefs/object",
    }
