"""Who holds what, and who could get it. https://docs.openstack.org/api-ref/placement/#allocations"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from aerostat.kernel import ids
from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest, NotFound
from aerostat.kernel.http import Request, Response
from aerostat.kernel.resource import Resource, route

from .. import model
from ..candidates import allocation_candidates
from ..claims import give_back, replace_allocations, touch
from .wire import at_least, check_arguments, check_classes, dated, get_provider, read_resources

_AMOUNTS = {
    "type": "object",
    "minProperties": 1,
    "patternProperties": {"^[0-9A-Z_]+$": {"type": "integer", "minimum": 1}},
    "additionalProperties": False,
}
_OWNER = {"type": "string", "minLength": 1, "maxLength": 255}
_BY_PROVIDER = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "properties": {"resources": _AMOUNTS, "generation": {"type": "integer"}},
        "required": ["resources"],
        "additionalProperties": False,
    },
}
_AS_LIST = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "resource_provider": {
                "type": "object",
                "properties": {"uuid": {"type": "string"}},
                "required": ["uuid"],
                "additionalProperties": False,
            },
            "resources": _AMOUNTS,
        },
        "required": ["resource_provider", "resources"],
        "additionalProperties": False,
    },
}


def _body(allocations: Mapping[str, Any], *, owned: bool) -> dict[str, Any]:
    properties = {"allocations": allocations}
    if owned:
        properties |= {"project_id": _OWNER, "user_id": _OWNER}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_OLDEST = _body(_AS_LIST, owned=False)
_OWNED_LIST = _body(_AS_LIST, owned=True)
_PRESENT = _body({**_BY_PROVIDER, "minProperties": 1}, owned=True)
_MANY = {"type": "object", "minProperties": 1, "additionalProperties": _body(_BY_PROVIDER, owned=True)}


class Allocation(Resource):
    @route("GET", "/allocations/{consumer}", policy="placement:allocations:list")
    async def show_allocations(self, req: Request, consumer: str) -> Response:
        held: dict[str, Any] = {}
        for row in await req.db.all(model.ALLOCATIONS, {"consumer_id": consumer}):
            held.setdefault(row.provider_id, {})[row.resource_class] = row.used
        providers = await req.db.all(model.PROVIDERS, {"id": list(held)}) if held else []
        generations = {row.id: row.generation for row in providers}
        view: dict[str, Any] = {
            "allocations": {id: {"resources": own, "generation": generations[id]} for id, own in held.items()}
        }
        owner = await req.db.find(model.CONSUMERS, id=consumer)
        if held and owner is not None and at_least(req, 12):
            view |= {"project_id": owner.project_id, "user_id": owner.user_id}
        return dated(req, view)

    @route("PUT", "/allocations/{consumer}", policy="placement:allocations:update", status=204)
    async def set_allocations(self, req: Request, consumer: str) -> None:
        if not ids.is_uuid(consumer):
            raise BadRequest(f"Malformed consumer_uuid: {consumer}")
        schema = _PRESENT if at_least(req, 12) else _OWNED_LIST if at_least(req, 8) else _OLDEST
        self._schema(schema).check(req.body)
        await self._replace(req, {consumer: req.body})

    @route(
        "POST", "/allocations", since="1.13", policy="placement:allocations:manage", body=_MANY, status=204
    )
    async def manage(self, req: Request) -> None:
        """Several consumers in one step: all of it or none."""
        for consumer in req.body:
            if not ids.is_uuid(consumer):
                raise BadRequest(f"Malformed consumer_uuid: {consumer}")
        await self._replace(req, req.body)

    @route("DELETE", "/allocations/{consumer}", policy="placement:allocations:delete", status=204)
    async def delete_allocations(self, req: Request, consumer: str) -> None:
        async with req.db.transaction() as tx:
            await tx.lock("placement")
            if not await tx.count(model.ALLOCATIONS, consumer_id=consumer):
                raise NotFound(f"No allocations for consumer '{consumer}'")
            await replace_allocations(tx, consumer, {}, project_id=None, user_id=None)

    @route(
        "GET", "/resource_providers/{id}/allocations", policy="placement:resource_providers:allocations:list"
    )
    async def of_provider(self, req: Request, id: str) -> Response:
        provider = await get_provider(req.db, id)
        held: dict[str, Any] = {}
        for row in await req.db.all(model.ALLOCATIONS, {"provider_id": id}):
            held.setdefault(row.consumer_id, {"resources": {}})["resources"][row.resource_class] = row.used
        return dated(req, {"allocations": held, "resource_provider_generation": provider.generation})

    @route("GET", "/allocation_candidates", since="1.10", policy="placement:allocation_candidates:list")
    async def candidates(self, req: Request) -> Response:
        rows, summaries = await allocation_candidates(req)
        asked = {name: None for summary in summaries.values() for name in summary}
        wanted = _amounts(req)
        requests: list[dict[str, Any]] = []
        for row in rows:
            amounts = {name: wanted[name] for name in asked}
            if at_least(req, 12):
                requests.append({"allocations": {row.id: {"resources": amounts}}})
            else:
                requests.append(
                    {"allocations": [{"resource_provider": {"uuid": row.id}, "resources": amounts}]}
                )
        traits = await _traits(req, rows) if at_least(req, 17) else {}
        shown = {
            row.id: {
                "resources": summaries[row.id],
                **({"traits": traits.get(row.id, [])} if at_least(req, 17) else {}),
            }
            for row in rows
        }
        return dated(req, {"allocation_requests": requests, "provider_summaries": shown})

    @route("GET", "/usages", since="1.9")
    async def usages_of_project(self, req: Request) -> Response:
        check_arguments(req, {"project_id": 9, "user_id": 9})
        project = req.argument("project_id")
        if project is None:
            raise BadRequest("Invalid query string parameters: 'project_id' is a required property")
        req.check("placement:usages", {"project_id": project})
        held, consumers = model.ALLOCATIONS, model.CONSUMERS
        statement = (
            select(held.c.resource_class, func.sum(held.c.used).label("used"))
            .join(consumers, consumers.c.id == held.c.consumer_id)
            .where(consumers.c.project_id == project)
            .group_by(held.c.resource_class)
        )
        if user := req.argument("user_id"):
            statement = statement.where(consumers.c.user_id == user)
        return dated(
            req, {"usages": {row.resource_class: int(row.used) for row in await req.db.fetch(statement)}}
        )

    async def _replace(self, req: Request, bodies: Mapping[str, Any]) -> None:
        async with req.db.transaction() as tx:
            await tx.lock("placement")
            # What one gives back another may take, in whatever order they are named.
            for consumer in bodies if len(bodies) > 1 else ():
                await touch(tx, await give_back(tx, consumer))
            for consumer, body in bodies.items():
                wanted = _by_provider(body["allocations"])
                await check_classes(tx, {name: 1 for amounts in wanted.values() for name in amounts})
                await replace_allocations(
                    tx, consumer, wanted, project_id=body.get("project_id"), user_id=body.get("user_id")
                )


def _by_provider(allocations: Any) -> dict[str, dict[str, int]]:
    if isinstance(allocations, dict):
        return {id: dict(one["resources"]) for id, one in allocations.items()}
    return {one["resource_provider"]["uuid"]: dict(one["resources"]) for one in allocations}


def _amounts(req: Request) -> dict[str, int]:
    return read_resources(req.argument("resources") or "")


async def _traits(req: Request, rows: list[Row]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    if rows:
        for row in await req.db.all(
            model.PROVIDER_TRAITS, {"provider_id": [row.id for row in rows]}, order="trait"
        ):
            found.setdefault(row.provider_id, []).append(row.trait)
    return found
