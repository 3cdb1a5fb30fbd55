"""Which providers could give what is asked."""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request

from . import model
from .claims import capacity, fits, usages
from .errors import UnknownTraits
from .resources.wire import (
    at_least,
    check_arguments,
    check_classes,
    read_count,
    read_member_of,
    read_resources,
    read_traits,
    unknown_traits,
)

# Query argument → the minor version that brought it.
_OF_PROVIDERS = {"name": 0, "uuid": 0, "member_of": 3, "resources": 4, "in_tree": 14, "required": 18}
_OF_CANDIDATES = {"resources": 10, "limit": 16, "required": 17, "member_of": 21}


async def list_providers(req: Request) -> list[Row]:
    """Providers as the list of them is asked."""
    check_arguments(req, _OF_PROVIDERS)
    return await matching_providers(req)


async def matching_providers(req: Request) -> list[Row]:
    """Providers that match the query's name, uuid, in_tree, member_of, required and resources."""
    where: dict[str, Any] = {}
    if name := req.argument("name"):
        where["name"] = name
    if uuid := req.argument("uuid"):
        where["id"] = uuid
    if (tree := req.argument("in_tree")) and at_least(req, 14):
        top = await req.db.find(model.PROVIDERS, id=tree)
        if top is None:
            return []
        where["root_id"] = top.root_id
    rows = await req.db.all(model.PROVIDERS, where, order="name")
    for allowed in read_member_of(req):
        members = {
            row.provider_id for row in await req.db.all(model.PROVIDER_AGGREGATES, {"aggregate_id": allowed})
        }
        rows = [row for row in rows if row.id in members]
    rows = await _with_traits(req, rows)
    if "resources" in req.query:
        wanted = read_resources(req.argument("resources") or "")
        await check_classes(req.db, wanted)
        rows, _ = await _with_room(req, rows, wanted)
    return rows


async def allocation_candidates(req: Request) -> tuple[list[Row], dict[str, dict[str, dict[str, int]]]]:
    """The providers that can give all of `resources`, and for each what it has and what is used of it."""
    check_arguments(req, _OF_CANDIDATES)
    if "resources" not in req.query:
        raise BadRequest("Invalid query string parameters: 'resources' is a required property")
    rows = await matching_providers(req)
    if (limit := req.argument("limit")) is not None and at_least(req, 16):
        if (count := read_count(limit)) is None:
            raise BadRequest(f"Invalid query string parameters: limit is a positive number, not {limit}")
        rows = rows[:count]
    wanted = read_resources(req.argument("resources") or "")
    return await _with_room(req, rows, wanted)


async def _with_traits(req: Request, rows: list[Row]) -> list[Row]:
    wanted, forbidden = read_traits(req)
    if not wanted and not forbidden:
        return rows
    if missing := await unknown_traits(req.db, wanted | forbidden):
        raise UnknownTraits(names=", ".join(sorted(missing)))
    found: dict[str, set[str]] = {}
    for row in await req.db.all(model.PROVIDER_TRAITS, {"trait": wanted | forbidden}):
        found.setdefault(row.provider_id, set()).add(row.trait)
    return [
        row for row in rows if wanted <= found.get(row.id, set()) and not forbidden & found.get(row.id, set())
    ]


async def _with_room(
    req: Request, rows: list[Row], wanted: Mapping[str, int]
) -> tuple[list[Row], dict[str, dict[str, dict[str, int]]]]:
    if not rows:
        return [], {}
    provider_ids = [row.id for row in rows]
    inventories: dict[str, dict[str, Row]] = {}
    for row in await req.db.all(
        model.INVENTORIES, {"provider_id": provider_ids, "resource_class": list(wanted)}
    ):
        inventories.setdefault(row.provider_id, {})[row.resource_class] = row
    used = await usages(req.db, provider_ids)
    fitting, summaries = [], {}
    for row in rows:
        own = inventories.get(row.id, {})
        if all(
            name in own and fits(own[name], used.get((row.id, name), 0), amount)
            for name, amount in wanted.items()
        ):
            fitting.append(row)
            summaries[row.id] = {
                name: {"capacity": capacity(own[name]), "used": used.get((row.id, name), 0)}
                for name in wanted
            }
    return fitting, summaries
