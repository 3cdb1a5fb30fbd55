"""Resource providers, in trees, with their aggregates. https://docs.openstack.org/api-ref/placement/#resource-providers"""

from typing import Any

from aerostat.kernel import ids
from aerostat.kernel.db import Duplicate, Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import model
from ..candidates import list_providers
from ..errors import DuplicateProvider, ProviderHasChildren, ProviderInUse
from .wire import at_least, dated, get_provider, next_generation

_UUID = {"type": "string", "pattern": "^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"}
_NAME = {"type": "string", "minLength": 1, "maxLength": 200}
_CREATE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": _NAME,
        "uuid": _UUID,
        "parent_provider_uuid": {"anyOf": [_UUID, {"type": "null"}]},
    },
    "required": ["name"],
    "additionalProperties": False,
}
_UPDATE = {
    **_CREATE,
    "properties": {key: value for key, value in _CREATE["properties"].items() if key != "uuid"},
}
_POLICY = "placement:resource_providers"


class Provider(Resource):
    @route("GET", "/resource_providers", policy=f"{_POLICY}:list")
    async def list_providers(self, req: Request) -> Response:
        rows = await list_providers(req)
        return dated(req, {"resource_providers": [_view(req, row) for row in rows]})

    @route("POST", "/resource_providers", policy=f"{_POLICY}:create", body=_CREATE)
    async def create_provider(self, req: Request) -> Response:
        new = req.body
        id, parent_id = new.get("uuid") or ids.new_id(), new.get("parent_provider_uuid")
        _check_parent_is_known(req)
        async with req.db.transaction() as tx:
            parent = await tx.find(model.PROVIDERS, id=parent_id) if parent_id else None
            if parent_id and parent is None:
                raise BadRequest(
                    f'Unable to create resource provider "{new["name"]}": parent provider does not exist.'
                )
            try:
                row = await tx.insert(
                    model.PROVIDERS,
                    id=id,
                    name=new["name"],
                    parent_id=parent_id,
                    root_id=parent.root_id if parent is not None else id,
                )
            except Duplicate as error:
                raise DuplicateProvider(name=new["name"]) from error
        location = {"Location": f"{req.base_url}{req.service.prefix}/resource_providers/{id}"}
        if at_least(req, 20):
            answer = dated(req, _view(req, row))
            answer.headers.update(location)
            answer.resource_id = id
            return answer
        return Response(None, 201, location, resource_id=id)

    @route("GET", "/resource_providers/{id}", policy=f"{_POLICY}:show")
    async def show_provider(self, req: Request, id: str) -> Response:
        row = await get_provider(req.db, id)
        return dated(req, _view(req, row), changed_at=row.updated_at or row.created_at)

    @route("PUT", "/resource_providers/{id}", policy=f"{_POLICY}:update", body=_UPDATE)
    async def update_provider(self, req: Request, id: str) -> Response:
        changes = req.body
        _check_parent_is_known(req)
        async with req.db.transaction() as tx:
            row = await get_provider(tx, id)
            values: dict[str, Any] = {"name": changes["name"]}
            parent_id = changes.get("parent_provider_uuid", row.parent_id)
            if parent_id != row.parent_id:
                if row.parent_id is not None:
                    raise BadRequest(
                        f"Unable to save resource provider {id}: re-parenting a provider is not allowed."
                    )
                parent = await tx.find(model.PROVIDERS, id=parent_id)
                if parent is None or parent.root_id == row.id:
                    raise BadRequest(
                        f"Unable to save resource provider {id}: the parent does not exist or is below it."
                    )
                values |= {"parent_id": parent_id, "root_id": parent.root_id}
                await tx.update(model.PROVIDERS, {"root_id": row.id}, root_id=parent.root_id)
            try:
                await tx.update(model.PROVIDERS, {"id": id}, **values)
            except Duplicate as error:
                raise DuplicateProvider(name=changes["name"]) from error
            row = await tx.get(model.PROVIDERS, id=id)
        return dated(req, _view(req, row))

    @route("DELETE", "/resource_providers/{id}", policy=f"{_POLICY}:delete", status=204)
    async def delete_provider(self, req: Request, id: str) -> None:
        async with req.db.transaction() as tx:
            await tx.lock("placement")
            await get_provider(tx, id)
            if await tx.count(model.PROVIDERS, parent_id=id):
                raise ProviderHasChildren(id=id)
            if await tx.count(model.ALLOCATIONS, provider_id=id):
                raise ProviderInUse(id=id)
            await tx.delete(model.PROVIDERS, id=id)

    @route("GET", "/resource_providers/{id}/aggregates", since="1.1", policy=f"{_POLICY}:aggregates:list")
    async def aggregates(self, req: Request, id: str) -> Response:
        row = await get_provider(req.db, id)
        found = await req.db.all(model.PROVIDER_AGGREGATES, {"provider_id": id})
        return dated(req, _aggregates(req, [one.aggregate_id for one in found], row.generation))

    @route("PUT", "/resource_providers/{id}/aggregates", since="1.1", policy=f"{_POLICY}:aggregates:update")
    async def set_aggregates(self, req: Request, id: str) -> Response:
        wanted, seen = _read_aggregates(req)
        async with req.db.transaction() as tx:
            row = await get_provider(tx, id)
            generation = await next_generation(tx, row, seen) if at_least(req, 19) else row.generation
            await tx.delete(model.PROVIDER_AGGREGATES, provider_id=id)
            for one in wanted:
                await tx.insert(model.PROVIDER_AGGREGATES, provider_id=id, aggregate_id=one)
        return dated(req, _aggregates(req, wanted, generation))


def _check_parent_is_known(req: Request) -> None:
    if "parent_provider_uuid" in req.body and not at_least(req, 14):
        raise BadRequest(
            "JSON does not validate: Additional properties are not allowed ('parent_provider_uuid' was unexpected)"
        )


def _read_aggregates(req: Request) -> tuple[list[str], int | None]:
    body: Any = req.body
    seen: int | None = None
    if at_least(req, 19):
        if not isinstance(body, dict) or not isinstance(body.get("resource_provider_generation"), int):
            raise BadRequest("JSON does not validate: 'resource_provider_generation' is a required property")
        seen, body = body["resource_provider_generation"], body.get("aggregates")
    if not isinstance(body, list) or not all(ids.is_uuid(one) for one in body) or len(set(body)) != len(body):
        raise BadRequest("JSON does not validate: aggregates is a list of different UUIDs")
    return body, seen


def _aggregates(req: Request, found: list[str], generation: int) -> dict[str, Any]:
    view: dict[str, Any] = {"aggregates": found}
    if at_least(req, 19):
        view["resource_provider_generation"] = generation
    return view


def _view(req: Request, row: Row) -> dict[str, Any]:
    own = f"{req.service.prefix}/resource_providers/{row.id}"
    rels = ["inventories", "usages"]
    if at_least(req, 1):
        rels.append("aggregates")
    if at_least(req, 6):
        rels.append("traits")
    if at_least(req, 11):
        rels.append("allocations")
    view: dict[str, Any] = {
        "uuid": row.id,
        "name": row.name,
        "generation": row.generation,
        "links": [{"rel": "self", "href": own}, *({"rel": rel, "href": f"{own}/{rel}"} for rel in rels)],
    }
    if at_least(req, 14):
        view |= {"parent_provider_uuid": row.parent_id, "root_provider_uuid": row.root_id}
    return view
