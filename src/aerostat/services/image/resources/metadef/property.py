"""Properties: what one key means, which values it takes.

https://docs.openstack.org/api-ref/image/v2/metadefs-index.html#metadata-definition-properties
"""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel.clock import now
from aerostat.kernel.db import Duplicate, Row, Transaction
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from ... import model
from .errors import (
    AssociationNotFound,
    NamespaceProtected,
    PropertyExists,
    PropertyNotFound,
    PropertyPrefix,
    PropertyProtected,
)
from .finding import NAMESPACE, admins, check, find_namespace, readers
from .schema import PROPERTY, read_body

_PATH = NAMESPACE + "/properties"
_ONE = _PATH + "/{property_name}"


class Property(Resource):
    extra_rules = (
        *readers("get_metadef_property", "get_metadef_properties"),
        *admins("add_metadef_property", "modify_metadef_property", "remove_metadef_property"),
    )

    @route("GET", _PATH)
    async def list_properties(self, req: Request, namespace_name: str) -> dict[str, Any]:
        namespace = await find_namespace(req, namespace_name)
        check(req, "get_metadef_properties", namespace)
        return {"properties": await list_properties(req, namespace)}

    @route("POST", _PATH, status=201)
    async def create_property(self, req: Request, namespace_name: str) -> dict[str, Any]:
        namespace = await find_namespace(req, namespace_name)
        body = read_body(req, PROPERTY)
        check(req, "add_metadef_property", namespace)
        async with req.db.transaction() as tx:
            await insert_properties(tx, namespace, {body["name"]: body})
        return body

    @route("DELETE", _PATH, status=204)
    async def delete_properties(self, req: Request, namespace_name: str) -> None:
        namespace = await find_namespace(req, namespace_name)
        check(req, "delete_metadef_namespace", namespace)
        if namespace.protected:
            raise NamespaceProtected(namespace=namespace.namespace)
        await req.db.delete(model.METADEF_PROPERTIES, namespace_id=namespace.id)

    @route("GET", _ONE)
    async def show_property(self, req: Request, namespace_name: str, property_name: str) -> dict[str, Any]:
        """With `?resource_type=` the name carries the prefix that such resources give it."""
        namespace = await find_namespace(req, namespace_name)
        check(req, "get_metadef_property", namespace)
        kind = req.argument("resource_type")
        name = await self._without_prefix(req, namespace, property_name, kind) if kind else property_name
        row = await self._find(req, namespace, name)
        return {**row.definition, "name": row.name}

    @route("PUT", _ONE)
    async def replace_property(self, req: Request, namespace_name: str, property_name: str) -> Response:
        namespace = await find_namespace(req, namespace_name)
        body = read_body(req, PROPERTY)
        check(req, "modify_metadef_property", namespace)
        row = await self._find(req, namespace, property_name)
        changed = {"name": body["name"], "definition": body, "updated_at": now()}
        try:
            await req.db.update(model.METADEF_PROPERTIES, {"id": row.id}, **changed)
        except Duplicate:
            raise PropertyExists(name=body["name"], namespace=namespace_name) from None
        return Response(body, resource_id=row.id)

    @route("DELETE", _ONE, status=204)
    async def delete_property(self, req: Request, namespace_name: str, property_name: str) -> None:
        namespace = await find_namespace(req, namespace_name)
        check(req, "remove_metadef_property", namespace)
        row = await self._find(req, namespace, property_name)
        if namespace.protected:
            raise PropertyProtected(name=property_name)
        await req.db.delete(model.METADEF_PROPERTIES, id=row.id)

    async def _find(self, req: Request, namespace: Row, name: str) -> Row:
        row = await req.db.find(model.METADEF_PROPERTIES, namespace_id=namespace.id, name=name)
        if row is None:
            raise PropertyNotFound(name=name, namespace=namespace.namespace)
        return row

    async def _without_prefix(self, req: Request, namespace: Row, name: str, kind: str) -> str:
        check(req, "get_metadef_resource_type", namespace)
        found = await req.db.find(model.METADEF_ASSOCIATIONS, namespace_id=namespace.id, name=kind)
        if found is None:
            raise AssociationNotFound(name=kind, namespace=namespace.namespace)
        if not found.prefix or not name.startswith(found.prefix):
            raise PropertyPrefix(name=name, prefix=found.prefix)
        return name.removeprefix(found.prefix)


async def list_properties(req: Request, namespace: Row) -> dict[str, Any]:
    """JSON schemas by name."""
    rows = await req.db.all(model.METADEF_PROPERTIES, {"namespace_id": namespace.id}, order="name")
    return {row.name: row.definition for row in rows}


async def insert_properties(tx: Transaction, namespace: Row, given: Mapping[str, Any]) -> None:
    """Raises `PropertyExists`."""
    for name, definition in given.items():
        try:
            await tx.insert(
                model.METADEF_PROPERTIES,
                namespace_id=namespace.id,
                name=name,
                definition=definition,
                updated_at=now(),
            )
        except Duplicate:
            raise PropertyExists(name=name, namespace=namespace.namespace) from None
