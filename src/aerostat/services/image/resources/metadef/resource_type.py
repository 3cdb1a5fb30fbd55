"""Resource types, and which namespaces are about which of them.

https://docs.openstack.org/api-ref/image/v2/metadefs-index.html#metadata-definition-resource-types
"""

from collections.abc import Iterable, Mapping
from typing import Any

from aerostat.kernel.clock import now
from aerostat.kernel.db import Duplicate, Row, Transaction
from aerostat.kernel.errors import NotFound
from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from ... import model
from .errors import AssociationExists, AssociationProtected
from .finding import NAMESPACE, admins, check, find_namespace, readers, target_of
from .schema import ASSOCIATION, read_body

KNOWN = (
    "OS::Glance::Image",
    "OS::Cinder::Volume",
    "OS::Nova::Flavor",
    "OS::Nova::Aggregate",
    "OS::Nova::Server",
)
_PATH = NAMESPACE + "/resource_types"


class ResourceType(Resource):
    extra_rules = (
        *readers("list_metadef_resource_types", "get_metadef_resource_type"),
        *admins("add_metadef_resource_type_association", "remove_metadef_resource_type_association"),
    )

    @route("GET", "/metadefs/resource_types", policy="list_metadef_resource_types")
    async def list_types(self, req: Request) -> dict[str, Any]:
        moment = self.service.time_format
        named = await req.db.all(model.METADEF_RESOURCE_TYPES, order="name")
        made = [
            {
                "name": row.name,
                "created_at": moment(row.created_at),
                "updated_at": moment(row.updated_at or row.created_at),
            }
            for row in named
        ]
        return {"resource_types": [*({"name": name} for name in KNOWN), *made]}

    @route("GET", _PATH)
    async def list_associations(self, req: Request, namespace_name: str) -> dict[str, Any]:
        namespace = await find_namespace(req, namespace_name)
        check(req, "list_metadef_resource_types", namespace)
        if not req.allows("get_metadef_resource_type", target_of(namespace)):
            return {"resource_type_associations": []}
        return {"resource_type_associations": await list_associations(req, namespace)}

    @route("POST", _PATH, status=201)
    async def associate(self, req: Request, namespace_name: str) -> dict[str, Any]:
        namespace = await find_namespace(req, namespace_name)
        body = read_body(req, ASSOCIATION)
        check(req, "add_metadef_resource_type_association", namespace)
        async with req.db.transaction() as tx:
            (row,) = await insert_associations(tx, namespace, [body])
        return _view(req, row)

    @route("DELETE", _PATH + "/{resource_type}", status=204)
    async def dissociate(self, req: Request, namespace_name: str, resource_type: str) -> None:
        namespace = await find_namespace(req, namespace_name)
        check(req, "remove_metadef_resource_type_association", namespace)
        where = {"namespace_id": namespace.id, "name": resource_type}
        if not await req.db.count(model.METADEF_ASSOCIATIONS, **where):
            raise NotFound(f"Failed to find resource type {resource_type} to delete")
        if namespace.protected:
            raise AssociationProtected(name=resource_type)
        await req.db.delete(model.METADEF_ASSOCIATIONS, **where)


async def list_associations(req: Request, namespace: Row) -> list[dict[str, Any]]:
    rows = await req.db.all(model.METADEF_ASSOCIATIONS, {"namespace_id": namespace.id}, order="name")
    return [_view(req, row) for row in rows]


async def list_associations_of(req: Request, namespaces: Iterable[Row]) -> dict[str, list[dict[str, Any]]]:
    """By namespace's id, for all of them at once."""
    found: dict[str, list[dict[str, Any]]] = {row.id: [] for row in namespaces}
    if found:
        where = {"namespace_id": list(found)}
        for row in await req.db.all(model.METADEF_ASSOCIATIONS, where, order="name"):
            found[row.namespace_id].append(_view(req, row))
    return found


async def insert_associations(
    tx: Transaction, namespace: Row, given: Iterable[Mapping[str, Any]]
) -> list[Row]:
    """Types that nobody named before are resource types from now on. Raises `AssociationExists`."""
    rows = []
    for one in given:
        name = one["name"]
        if name not in KNOWN and await tx.find(model.METADEF_RESOURCE_TYPES, name=name) is None:
            await tx.insert(model.METADEF_RESOURCE_TYPES, name=name, updated_at=now())
        try:
            row = await tx.insert(
                model.METADEF_ASSOCIATIONS,
                namespace_id=namespace.id,
                name=name,
                prefix=one.get("prefix"),
                properties_target=one.get("properties_target"),
                updated_at=now(),
            )
        except Duplicate:
            raise AssociationExists(name=name, namespace=namespace.namespace) from None
        rows.append(row)
    return rows


def _view(req: Request, row: Row) -> dict[str, Any]:
    moment = req.service.time_format
    shown = {"name": row.name, "prefix": row.prefix, "properties_target": row.properties_target}
    return {
        **{key: value for key, value in shown.items() if value is not None},
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at or row.created_at),
    }
