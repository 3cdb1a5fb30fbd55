"""What a provider has. https://docs.openstack.org/api-ref/placement/#resource-provider-inventories"""

from typing import Any

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import model
from ..claims import room_left, usages
from ..errors import GenerationConflict, InventoryInUse, InventoryNotFound
from .wire import check_classes, dated, get_provider, next_generation

_COUNT = {"type": "integer", "minimum": 1, "maximum": 2147483647}
_INVENTORY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "resource_provider_generation": {"type": "integer"},
        "total": _COUNT,
        "reserved": {"type": "integer", "minimum": 0, "maximum": 2147483647},
        "min_unit": _COUNT,
        "max_unit": _COUNT,
        "step_size": _COUNT,
        "allocation_ratio": {"type": "number", "exclusiveMinimum": 0, "maximum": 3.40282e38},
    },
    "required": ["total"],
    "additionalProperties": False,
}
_ALL = {
    "type": "object",
    "properties": {
        "resource_provider_generation": {"type": "integer"},
        "inventories": {"type": "object", "additionalProperties": _INVENTORY},
    },
    "required": ["resource_provider_generation", "inventories"],
    "additionalProperties": False,
}
_ONE = {**_INVENTORY, "required": ["resource_provider_generation", "total"]}
_DEFAULTS = {"reserved": 0, "min_unit": 1, "max_unit": 2147483647, "step_size": 1, "allocation_ratio": 1.0}
_KEYS = ("total", "reserved", "min_unit", "max_unit", "step_size", "allocation_ratio")
_POLICY = "placement:resource_providers:inventories"
_PATH = "/resource_providers/{id}/inventories"


class Inventory(Resource):
    @route("GET", _PATH, policy=f"{_POLICY}:list")
    async def list_inventories(self, req: Request, id: str) -> Response:
        provider = await get_provider(req.db, id)
        rows = await req.db.all(model.INVENTORIES, {"provider_id": id})
        return dated(req, _views(rows, provider.generation))

    @route("PUT", _PATH, policy=f"{_POLICY}:update", body=_ALL)
    async def set_inventories(self, req: Request, id: str) -> Response:
        wanted = {name: {**_DEFAULTS, **one} for name, one in req.body["inventories"].items()}
        async with req.db.transaction() as tx:
            await tx.lock("placement")
            provider = await get_provider(tx, id)
            generation = await next_generation(tx, provider, req.body["resource_provider_generation"])
            await check_classes(tx, wanted)
            present = {row.resource_class for row in await tx.all(model.INVENTORIES, {"provider_id": id})}
            await _check_unused(tx, id, present - set(wanted))
            await tx.delete(model.INVENTORIES, provider_id=id)
            used = await usages(tx, [id])
            for name, one in wanted.items():
                await _insert(tx, id, name, one, used.get((id, name), 0))
            rows = await tx.all(model.INVENTORIES, {"provider_id": id})
        return dated(req, _views(rows, generation))

    @route("DELETE", _PATH, since="1.5", policy=f"{_POLICY}:delete", status=204)
    async def delete_inventories(self, req: Request, id: str) -> None:
        async with req.db.transaction() as tx:
            await tx.lock("placement")
            provider = await get_provider(tx, id)
            present = {row.resource_class for row in await tx.all(model.INVENTORIES, {"provider_id": id})}
            await _check_unused(tx, id, present)
            await tx.delete(model.INVENTORIES, provider_id=id)
            await next_generation(tx, provider, None)

    @route("GET", _PATH + "/{name}", policy=f"{_POLICY}:show")
    async def show_inventory(self, req: Request, id: str, name: str) -> Response:
        provider = await get_provider(req.db, id)
        row = await req.db.find(model.INVENTORIES, provider_id=id, resource_class=name)
        if row is None:
            raise InventoryNotFound(name=name, id=id)
        return dated(req, {**_view(row), "resource_provider_generation": provider.generation})

    @route("PUT", _PATH + "/{name}", policy=f"{_POLICY}:update", body=_ONE)
    async def set_inventory(self, req: Request, id: str, name: str) -> Response:
        wanted = {**_DEFAULTS, **req.body}
        seen = wanted.pop("resource_provider_generation")
        async with req.db.transaction() as tx:
            await tx.lock("placement")
            provider = await get_provider(tx, id)
            generation = await next_generation(tx, provider, seen)
            if not await tx.delete(model.INVENTORIES, provider_id=id, resource_class=name):
                raise BadRequest(f"No inventory record with resource class: {name}")
            used = await usages(tx, [id])
            row = await _insert(tx, id, name, wanted, used.get((id, name), 0))
        return dated(req, {**_view(row), "resource_provider_generation": generation})

    @route("POST", _PATH, policy=f"{_POLICY}:create")
    async def add_inventory(self, req: Request, id: str) -> Response:
        body = req.body if isinstance(req.body, dict) else {}
        name, rest = (
            body.get("resource_class"),
            {key: value for key, value in body.items() if key != "resource_class"},
        )
        if not isinstance(name, str):
            raise BadRequest("JSON does not validate: 'resource_class' is a required property")
        self._schema(_ONE).check(rest)
        wanted = {**_DEFAULTS, **rest}
        seen = wanted.pop("resource_provider_generation")
        async with req.db.transaction() as tx:
            await tx.lock("placement")
            provider = await get_provider(tx, id)
            await check_classes(tx, {name: 1})
            if await tx.find(model.INVENTORIES, provider_id=id, resource_class=name) is not None:
                raise GenerationConflict(f"Update conflict: inventory of class {name} exists already.")
            generation = await next_generation(tx, provider, seen)
            row = await _insert(tx, id, name, wanted)
        where = f"{req.base_url}{req.service.prefix}/resource_providers/{id}/inventories/{name}"
        answer = dated(req, {**_view(row), "resource_provider_generation": generation}, 201)
        answer.headers["Location"] = where
        return answer

    @route("DELETE", _PATH + "/{name}", policy=f"{_POLICY}:delete", status=204)
    async def delete_inventory(self, req: Request, id: str, name: str) -> None:
        async with req.db.transaction() as tx:
            await tx.lock("placement")
            provider = await get_provider(tx, id)
            await _check_unused(tx, id, {name})
            if not await tx.delete(model.INVENTORIES, provider_id=id, resource_class=name):
                raise InventoryNotFound(name=name, id=id)
            await next_generation(tx, provider, None)

    @route("GET", "/resource_providers/{id}/usages", policy="placement:resource_providers:usages")
    async def usages_of(self, req: Request, id: str) -> Response:
        provider = await get_provider(req.db, id)
        rows = await req.db.all(model.INVENTORIES, {"provider_id": id})
        amounts = {row.resource_class: row.used for row in rows}
        return dated(req, {"resource_provider_generation": provider.generation, "usages": amounts})


async def _insert(tx: Transaction, id: str, name: str, one: dict[str, Any], used: int = 0) -> Row:
    if one["reserved"] > one["total"]:
        raise BadRequest(
            f"Unable to update inventory for resource provider {id}: Invalid inventory for '{name}': "
            "The reserved value is greater than total."
        )
    return await tx.insert(
        model.INVENTORIES, provider_id=id, resource_class=name, used=used, free=room_left(one, used), **one
    )


async def _check_unused(tx: Transaction, id: str, names: set[str]) -> None:
    used = {name for (_, name), amount in (await usages(tx, [id])).items() if amount and name in names}
    if used:
        raise InventoryInUse(classes=", ".join(sorted(used)), id=id)


def _view(row: Row) -> dict[str, Any]:
    return {key: row[key] for key in _KEYS}


def _views(rows: list[Row], generation: int) -> dict[str, Any]:
    return {
        "resource_provider_generation": generation,
        "inventories": {row.resource_class: _view(row) for row in rows},
    }
