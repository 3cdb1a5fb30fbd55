"""Tags: short words on any resource that has standard attributes.

https://docs.openstack.org/api-ref/network/v2/#standard-attributes-tag-extension
"""

from typing import Any
from urllib.parse import unquote

from aerostat.kernel.db import Row
from aerostat.kernel.errors import NotFound
from aerostat.kernel.http import Request, Response
from aerostat.kernel.policy import Rule, admin, project_member, project_reader
from aerostat.kernel.resource import Resource, route

from .. import values
from ..errors import TagNotFound, refuse_body, refuse_value
from ..resource import NetworkResource

KINDS = ("networks", "subnets", "ports", "routers", "floatingips", "security_groups", "subnetpools")


class Tags(Resource):
    extra_rules = tuple(
        Rule(name=f"{verb}_{kind}_tags", text=(admin | default).text)
        for kind in KINDS
        for verb, default in (
            ("get", project_reader),
            ("create", project_member),
            ("update", project_member),
            ("delete", project_member),
        )
    )

    @route("GET", "/{kind}/{id}/tags")
    async def all(self, req: Request, kind: str, id: str) -> dict[str, Any]:
        _, row = await self._find(req, "get", kind, id)
        return {"tags": row.tags}

    @route("POST", "/{kind}/{id}/tags")
    async def add_several(self, req: Request, kind: str, id: str) -> dict[str, Any]:
        resource, row = await self._find(req, "create", kind, id)
        return {"tags": await self._write(req, resource, row, [*row.tags, *_read_tags(req.body)])}

    @route("PUT", "/{kind}/{id}/tags")
    async def replace(self, req: Request, kind: str, id: str) -> dict[str, Any]:
        resource, row = await self._find(req, "update", kind, id)
        return {"tags": await self._write(req, resource, row, _read_tags(req.body))}

    @route("DELETE", "/{kind}/{id}/tags", status=204)
    async def clear(self, req: Request, kind: str, id: str) -> None:
        resource, row = await self._find(req, "delete", kind, id)
        await self._write(req, resource, row, [])

    @route("GET", "/{kind}/{id}/tags/{tag}", status=204)
    async def has(self, req: Request, kind: str, id: str, tag: str) -> None:
        _, row = await self._find(req, "get", kind, id)
        if unquote(tag) not in row.tags:
            raise TagNotFound(tag=unquote(tag))

    @route("PUT", "/{kind}/{id}/tags/{tag}")
    async def add(self, req: Request, kind: str, id: str, tag: str) -> Response:
        resource, row = await self._find(req, "update", kind, id)
        await self._write(req, resource, row, [*row.tags, *_read_tags({"tags": [unquote(tag)]})])
        return Response(None, 201)

    @route("DELETE", "/{kind}/{id}/tags/{tag}", status=204)
    async def remove(self, req: Request, kind: str, id: str, tag: str) -> None:
        resource, row = await self._find(req, "delete", kind, id)
        if unquote(tag) not in row.tags:
            raise TagNotFound(tag=unquote(tag))
        await self._write(req, resource, row, [one for one in row.tags if one != unquote(tag)])

    async def _find(self, req: Request, verb: str, kind: str, id: str) -> tuple[NetworkResource, Row]:
        plural = kind.replace("-", "_")
        resource = next((one for one in self.service.resources.values() if one.plural == plural), None)
        if not isinstance(resource, NetworkResource) or plural not in KINDS:
            raise NotFound("The resource could not be found.")
        row = await resource.find(req, id)
        req.check(f"{verb}_{plural}_tags", resource.target(row))
        req.resource_id = row.id
        return resource, row

    async def _write(self, req: Request, resource: NetworkResource, row: Row, tags: list[str]) -> list[str]:
        assert resource.table is not None
        ordered = sorted(dict.fromkeys(tags))
        if ordered != row.tags:
            number = row.revision_number + 1
            await req.db.update(resource.table, {"id": row.id}, tags=ordered, revision_number=number)
        return ordered


def _read_tags(body: Any) -> list[str]:
    if not isinstance(body, dict) or set(body) != {"tags"}:
        raise refuse_body("Invalid tags body")
    try:
        return values.tags(body["tags"])
    except ValueError as error:
        raise refuse_value("tags", str(error)) from None
