"""Which providers could give what is asked.

One statement does it: an index over what is free leads to those with room, the one with most of the first class asked
in front, so that a limit costs by what it lets through and not by how many providers there are.
"""

import functools
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Integer, Select, String, bindparam, select

from aerostat.kernel.db import Row
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.http import Request

from . import model
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
    statement, asked = select(model.PROVIDERS), {}
    if "resources" in req.query:
        wanted = read_resources(req.argument("resources") or "")
        await check_classes(req.db, wanted)
        statement, asked = _with_room(len(wanted)), _asked(wanted)
    statement = statement.where(*await _conditions(req)).order_by(model.PROVIDERS.c.name)
    return await req.db.fetch(statement, asked)


async def allocation_candidates(req: Request) -> tuple[list[Row], dict[str, dict[str, dict[str, int]]]]:
    """The providers that can give all of `resources`, and for each what it has and what is used of it.

    Those with most of the first class asked come first. The order is the index's own, among equals too: most hosts of
    an even cloud are equals, and sorting them would cost by their number.
    """
    check_arguments(req, _OF_CANDIDATES)
    if "resources" not in req.query:
        raise BadRequest("Invalid query string parameters: 'resources' is a required property")
    wanted = read_resources(req.argument("resources") or "")
    await check_classes(req.db, wanted)
    statement = with_most_room(len(wanted))
    if conditions := await _conditions(req):
        statement = statement.where(*conditions)
    if (limit := req.argument("limit")) is not None and at_least(req, 16):
        if (count := read_count(limit)) is None:
            raise BadRequest(f"Invalid query string parameters: limit is a positive number, not {limit}")
        statement = statement.limit(count)
    rows = await req.db.fetch(statement, _asked(wanted))
    summaries = {
        row.id: {
            name: {"capacity": row[f"used_{number}"] + row[f"free_{number}"], "used": row[f"used_{number}"]}
            for number, name in enumerate(wanted)
        }
        for row in rows
    }
    return rows, summaries


async def _conditions(req: Request) -> list[Any]:
    """What the query says of providers, besides the room they have."""
    providers, members, traits = model.PROVIDERS.c, model.PROVIDER_AGGREGATES.c, model.PROVIDER_TRAITS.c
    conditions: list[Any] = []
    if name := req.argument("name"):
        conditions.append(providers.name == name)
    if uuid := req.argument("uuid"):
        conditions.append(providers.id == uuid)
    if (tree := req.argument("in_tree")) and at_least(req, 14):
        own = model.PROVIDERS.alias().c
        conditions.append(providers.root_id.in_(select(own.root_id).where(own.id == tree)))
    for allowed in read_member_of(req):
        own_members = select(members.provider_id).where(members.aggregate_id.in_(sorted(allowed)))
        conditions.append(providers.id.in_(own_members))
    wanted, forbidden = read_traits(req)
    if missing := await unknown_traits(req.db, wanted | forbidden):
        raise UnknownTraits(names=", ".join(sorted(missing)))
    for trait in sorted(wanted):
        conditions.append(providers.id.in_(select(traits.provider_id).where(traits.trait == trait)))
    if forbidden:
        with_them = select(traits.provider_id).where(traits.trait.in_(sorted(forbidden)))
        conditions.append(providers.id.not_in(with_them))
    return conditions


# Statements for so many classes, each built once: building one takes longer than running it.


@functools.cache
def _with_room(count: int) -> Select[Any]:
    """The providers that can give all of `count` classes."""
    statement = select(model.PROVIDERS)
    for number, inventory in enumerate(_inventories(count)):
        own, amount = inventory.c, bindparam(f"amount_{number}", type_=Integer)
        statement = statement.join(inventory, own.provider_id == model.PROVIDERS.c.id).where(
            own.resource_class == bindparam(f"class_{number}", type_=String),
            own.free >= amount,
            own.min_unit <= amount,
            own.max_unit >= amount,
            amount % own.step_size == 0,
        )
    return statement


@functools.cache
def with_most_room(count: int) -> Select[Any]:
    """The same, those with most of the first class in front; with what is used and free of each."""
    inventories = _inventories(count)
    statement = _with_room(count)
    for number, inventory in enumerate(inventories):
        own = inventory.c
        statement = statement.add_columns(own.used.label(f"used_{number}"), own.free.label(f"free_{number}"))
    most = inventories[0].c
    return statement.order_by(most.free.desc(), most.provider_id.desc())


@functools.cache
def _inventories(count: int) -> list[Any]:
    return [model.INVENTORIES.alias(f"inventory_{number}") for number in range(count)]


def _asked(wanted: Mapping[str, int]) -> dict[str, str | int]:
    """The parameters of these statements."""
    asked: dict[str, str | int] = {}
    for number, (name, amount) in enumerate(wanted.items()):
        asked |= {f"class_{number}": name, f"amount_{number}": amount}
    return asked
