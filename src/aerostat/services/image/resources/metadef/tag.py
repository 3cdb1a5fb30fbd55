"""Tags: words that a namespace proposes.

https://docs.openstack.org/api-ref/image/v2/metadefs-index.html#metadata-definition-tags
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from aerostat.kernel.clock import now
from aerostat.kernel.db import Duplicate, Row, Transaction
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request, Response
from aerostat.kernel.http.paging import read_page
from aerostat.kernel.resource import Resource, route

from ... import model
from .errors import NamespaceProtected, TagExists, TagNotFound, TagProtected
from .finding import NAMESPACE, admins, check, find_namespace, readers
from .schema import TAG, TAGS, read_body

_PATH = NAMESPACE + "/tags"
_ONE = _PATH + "/{tag_name}"
_SORTABLE = {"name": "name", "created_at": "created_at", "updated_at": "updated_at"}


class Tag(Resource):
    extra_rules = (
        *readers("get_metadef_tag", "get_metadef_tags"),
        *admins(
            "add_metadef_tag",
            "add_metadef_tags",
            "modify_metadef_tag",
            "delete_metadef_tag",
            "delete_metadef_tags",
        ),
    )

    @route("GET", _PATH)
    async def list_tags(self, req: Request, namespace_name: str) -> dict[str, Any]:
        namespace = await find_namespace(req, namespace_name)
        check(req, "get_metadef_tags", namespace)
        own = [model.METADEF_TAGS.c.namespace_id == namespace.id]
        marker = req.argument("marker")
        if marker:
            await self._find(req, namespace, marker)
        page = await read_page(
            req,
            msgspec.structs.replace(self.paging, default_limit=None),
            model.METADEF_TAGS,
            own,
            sortable=_SORTABLE,
            marker_column="name",
            marker_among=own,
        )
        return {"tags": [{"name": row.name} for row in page.rows]}

    @route("POST", _PATH, status=201)
    async def create_tags(self, req: Request, namespace_name: str) -> dict[str, Any]:
        """In place of those that are there, unless `X-Openstack-Append` says beside them."""
        namespace = await find_namespace(req, namespace_name)
        tags = read_body(req, TAGS)["tags"]
        check(req, "add_metadef_tags", namespace)
        appends = req.headers.get("x-openstack-append", "").strip().lower() in ("1", "true", "t", "yes", "on")
        async with req.db.transaction() as tx:
            if tags and not appends:
                await tx.delete(model.METADEF_TAGS, namespace_id=namespace.id)
            await insert_tags(tx, namespace, tags)
        return {"tags": [{"name": tag["name"]} for tag in tags]}

    @route("DELETE", _PATH, status=204)
    async def delete_tags(self, req: Request, namespace_name: str) -> None:
        namespace = await find_namespace(req, namespace_name)
        check(req, "delete_metadef_namespace", namespace)
        check(req, "delete_metadef_tags", namespace)
        if namespace.protected:
            raise NamespaceProtected(namespace=namespace.namespace)
        await req.db.delete(model.METADEF_TAGS, namespace_id=namespace.id)

    @route("GET", _ONE)
    async def show_tag(self, req: Request, namespace_name: str, tag_name: str) -> dict[str, Any]:
        namespace = await find_namespace(req, namespace_name)
        check(req, "get_metadef_tag", namespace)
        return self._view(await self._find(req, namespace, tag_name))

    @route("POST", _ONE, status=201)
    async def create_tag(self, req: Request, namespace_name: str, tag_name: str) -> dict[str, Any]:
        namespace = await find_namespace(req, namespace_name)
        if len(tag_name) > 80:
            raise BadRequest("Provided object does not match schema 'tag': a name has at most 80 characters.")
        check(req, "add_metadef_tag", namespace)
        async with req.db.transaction() as tx:
            (row,) = await insert_tags(tx, namespace, [{"name": tag_name}])
        return self._view(row)

    @route("PUT", _ONE)
    async def rename_tag(self, req: Request, namespace_name: str, tag_name: str) -> Response:
        namespace = await find_namespace(req, namespace_name)
        body = read_body(req, TAG)
        check(req, "modify_metadef_tag", namespace)
        row = await self._find(req, namespace, tag_name)
        try:
            await req.db.update(model.METADEF_TAGS, {"id": row.id}, name=body["name"], updated_at=now())
        except Duplicate:
            raise TagExists(name=body["name"], namespace=namespace_name) from None
        return Response(self._view(await self._find(req, namespace, body["name"])), resource_id=row.id)

    @route("DELETE", _ONE, status=204)
    async def delete_tag(self, req: Request, namespace_name: str, tag_name: str) -> None:
        namespace = await find_namespace(req, namespace_name)
        check(req, "delete_metadef_tag", namespace)
        row = await self._find(req, namespace, tag_name)
        if namespace.protected:
            raise TagProtected(name=tag_name)
        await req.db.delete(model.METADEF_TAGS, id=row.id)

    async def _find(self, req: Request, namespace: Row, name: str) -> Row:
        row = await req.db.find(model.METADEF_TAGS, namespace_id=namespace.id, name=name)
        if row is None:
            raise TagNotFound(name=name, namespace=namespace.namespace)
        return row

    def _view(self, row: Row) -> dict[str, Any]:
        moment = self.service.time_format
        return {
            "name": row.name,
            "created_at": moment(row.created_at),
            "updated_at": moment(row.updated_at or row.created_at),
        }


async def list_tags(req: Request, namespace: Row) -> list[dict[str, Any]]:
    rows = await req.db.all(model.METADEF_TAGS, {"namespace_id": namespace.id}, order="name")
    return [{"name": row.name} for row in rows]


async def insert_tags(tx: Transaction, namespace: Row, given: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Raises `TagExists`."""
    rows = []
    for one in given:
        try:
            row = await tx.insert(
                model.METADEF_TAGS, namespace_id=namespace.id, name=one["name"], updated_at=now()
            )
        except Duplicate:
            raise TagExists(name=one["name"], namespace=namespace.namespace) from None
        rows.append(row)
    return rows
