"""Traits and resource classes: the vocabulary. https://docs.openstack.org/api-ref/placement/#traits"""

from typing import Any

from aerostat.kernel.db import Duplicate
from aerostat.kernel.errors import BadRequest, Conflict, NotFound
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import model
from ..errors import UnknownTraits
from ..names import STANDARD_CLASSES, STANDARD_TRAITS
from .wire import check_custom, dated, get_provider, next_generation, unknown_traits

_SET = {
    "type": "object",
    "properties": {
        "resource_provider_generation": {"type": "integer"},
        "traits": {
            "type": "array",
            "items": {"type": "string", "pattern": "^[A-Z0-9_]{1,255}$"},
            "uniqueItems": True,
        },
    },
    "required": ["traits", "resource_provider_generation"],
    "additionalProperties": False,
}
_CLASS = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 255}},
    "required": ["name"],
    "additionalProperties": False,
}
_PATH = "/resource_providers/{id}/traits"


class Trait(Resource):
    @route("GET", "/traits", since="1.6", policy="placement:traits:list")
    async def list_traits(self, req: Request) -> Response:
        names = {*STANDARD_TRAITS, *(row.name for row in await req.db.all(model.TRAITS))}
        if (wanted := req.argument("name")) is not None:
            if wanted.startswith("in:"):
                names &= set(wanted.removeprefix("in:").split(","))
            elif wanted.startswith("startswith:"):
                names = {name for name in names if name.startswith(wanted.removeprefix("startswith:"))}
            else:
                raise BadRequest(
                    "Badly formatted name parameter. Expected name query string parameter in form: "
                    f'?name=[in|startswith]:[name1,name2|prefix]. Got: "{wanted}"'
                )
        if "associated" in req.query:
            used = {row.trait for row in await req.db.all(model.PROVIDER_TRAITS)}
            names = names & used if req.flag("associated") else names - used
        return dated(req, {"traits": sorted(names)})

    @route("GET", "/traits/{name}", since="1.6", policy="placement:traits:show", status=204)
    async def has_trait(self, req: Request, name: str) -> None:
        if await unknown_traits(req.db, {name}):
            raise NotFound(f"No such trait(s): {name}.")

    @route("PUT", "/traits/{name}", since="1.6", policy="placement:traits:update")
    async def create_trait(self, req: Request, name: str) -> Response:
        check_custom(name, "trait")
        location = {"Location": f"{req.base_url}{req.service.prefix}/traits/{name}"}
        try:
            await req.db.insert(model.TRAITS, name=name)
        except Duplicate:
            return Response(None, 204, location)
        return Response(None, 201, location)

    @route("DELETE", "/traits/{name}", since="1.6", policy="placement:traits:delete", status=204)
    async def delete_trait(self, req: Request, name: str) -> None:
        if name in STANDARD_TRAITS:
            raise BadRequest(f"Cannot delete standard trait {name}")
        if await req.db.count(model.PROVIDER_TRAITS, trait=name):
            raise Conflict(f"The trait {name} is in use by a resource provider.")
        if not await req.db.delete(model.TRAITS, name=name):
            raise NotFound(f"No such trait(s): {name}.")

    @route("GET", _PATH, since="1.6", policy="placement:resource_providers:traits:list")
    async def of_provider(self, req: Request, id: str) -> Response:
        provider = await get_provider(req.db, id)
        rows = await req.db.all(model.PROVIDER_TRAITS, {"provider_id": id}, order="trait")
        return dated(req, _view([row.trait for row in rows], provider.generation))

    @route("PUT", _PATH, since="1.6", policy="placement:resource_providers:traits:update", body=_SET)
    async def set_traits(self, req: Request, id: str) -> Response:
        wanted = set(req.body["traits"])
        async with req.db.transaction() as tx:
            provider = await get_provider(tx, id)
            if missing := await unknown_traits(tx, wanted):
                raise UnknownTraits(names=", ".join(sorted(missing)))
            generation = await next_generation(tx, provider, req.body["resource_provider_generation"])
            await tx.delete(model.PROVIDER_TRAITS, provider_id=id)
            for name in wanted:
                await tx.insert(model.PROVIDER_TRAITS, provider_id=id, trait=name)
        return dated(req, _view(sorted(wanted), generation))

    @route("DELETE", _PATH, since="1.6", policy="placement:resource_providers:traits:delete", status=204)
    async def clear_traits(self, req: Request, id: str) -> None:
        async with req.db.transaction() as tx:
            provider = await get_provider(tx, id)
            await tx.delete(model.PROVIDER_TRAITS, provider_id=id)
            await next_generation(tx, provider, None)


class ResourceClass(Resource):
    @route("GET", "/resource_classes", since="1.2", policy="placement:resource_classes:list")
    async def list_classes(self, req: Request) -> Response:
        names = [
            *STANDARD_CLASSES,
            *(row.name for row in await req.db.all(model.RESOURCE_CLASSES, order="name")),
        ]
        return dated(req, {"resource_classes": [_class(req, name) for name in names]})

    @route("POST", "/resource_classes", since="1.2", policy="placement:resource_classes:create", body=_CLASS)
    async def create_class(self, req: Request) -> Response:
        name = req.body["name"]
        check_custom(name, "resource class")
        try:
            await req.db.insert(model.RESOURCE_CLASSES, name=name)
        except Duplicate:
            raise Conflict(f"Conflicting resource class already exists: {name}") from None
        return Response(None, 201, {"Location": _url(req, name)})

    @route("GET", "/resource_classes/{name}", since="1.2", policy="placement:resource_classes:show")
    async def show_class(self, req: Request, name: str) -> Response:
        await self._check_known(req, name)
        return dated(req, _class(req, name))

    @route("PUT", "/resource_classes/{name}", since="1.7", policy="placement:resource_classes:update")
    async def ensure_class(self, req: Request, name: str) -> Response:
        check_custom(name, "resource class")
        try:
            await req.db.insert(model.RESOURCE_CLASSES, name=name)
        except Duplicate:
            return Response(None, 204, {"Location": _url(req, name)})
        return Response(None, 201, {"Location": _url(req, name)})

    @route(
        "PUT",
        "/resource_classes/{name}",
        since="1.2",
        until="1.6",
        policy="placement:resource_classes:update",
        body=_CLASS,
    )
    async def rename_class(self, req: Request, name: str) -> Response:
        check_custom(req.body["name"], "resource class")
        await self._check_known(req, name)
        if name in STANDARD_CLASSES:
            raise BadRequest(f"Cannot update standard resource class {name}")
        renamed = req.body["name"]
        try:
            async with req.db.transaction() as tx:
                await tx.update(model.RESOURCE_CLASSES, {"name": name}, name=renamed)
                for table in (model.INVENTORIES, model.ALLOCATIONS):
                    await tx.update(table, {"resource_class": name}, resource_class=renamed)
        except Duplicate:
            raise Conflict(f"Conflicting resource class already exists: {renamed}") from None
        return dated(req, _class(req, renamed))

    @route(
        "DELETE",
        "/resource_classes/{name}",
        since="1.2",
        policy="placement:resource_classes:delete",
        status=204,
    )
    async def delete_class(self, req: Request, name: str) -> None:
        if name in STANDARD_CLASSES:
            raise BadRequest(
                f"Error deleting resource class {name}: cannot delete a standard resource class."
            )
        await self._check_known(req, name)
        if await req.db.count(model.INVENTORIES, resource_class=name):
            raise Conflict(f"Resource class {name} is in use in inventory.")
        await req.db.delete(model.RESOURCE_CLASSES, name=name)

    async def _check_known(self, req: Request, name: str) -> None:
        if name not in STANDARD_CLASSES and await req.db.find(model.RESOURCE_CLASSES, name=name) is None:
            raise NotFound(f"No such resource class: {name}")


def _view(names: list[str], generation: int) -> dict[str, Any]:
    return {"traits": names, "resource_provider_generation": generation}


def _url(req: Request, name: str) -> str:
    return f"{req.base_url}{req.service.prefix}/resource_classes/{name}"


def _class(req: Request, name: str) -> dict[str, Any]:
    own = f"{req.service.prefix}/resource_classes/{name}"
    return {"name": name, "links": [{"rel": "self", "href": own}]}
