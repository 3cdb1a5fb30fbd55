"""Capacity, and taking it: the sums every change of allocations has to keep.

Every inventory carries what is used of it and what is free. They change in the transaction that changes allocations,
and nowhere else.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import bindparam, func, select, update

from aerostat.kernel.db import Row, Store, Transaction
from aerostat.kernel.errors import BadRequest

from . import model
from .errors import ConsumerGenerationConflict, InventoryNotFound, NoCapacity

Amounts = Mapping[str, int]
MOST_CAPACITY = 2**62  # a ratio may be as large as a float; the sum must fit a column
UNSEEN: Any = object()  # the client of an older version, which knows no consumer generations

_inventories, _providers = model.INVENTORIES, model.PROVIDERS
_AMOUNT = bindparam("amount", type_=_inventories.c.used.type)
_TAKE = (
    update(_inventories)
    .where(
        _inventories.c.provider_id == bindparam("of_provider"),
        _inventories.c.resource_class == bindparam("of_class"),
    )
    .values(used=_inventories.c.used + _AMOUNT, free=_inventories.c.free - _AMOUNT)
)
_TOUCH = (
    update(_providers)
    .where(_providers.c.id == bindparam("of_provider"))
    .values(generation=_providers.c.generation + 1)
)


def capacity(inventory: Mapping[str, Any]) -> int:
    """How much may be allocated of an inventory in all."""
    return int((inventory["total"] - inventory["reserved"]) * inventory["allocation_ratio"])


def room_left(inventory: Mapping[str, Any], used: int) -> int:
    """What is free of an inventory; less than nothing where it shrank under its allocations."""
    return min(capacity(inventory), MOST_CAPACITY) - used


def fits(inventory: Mapping[str, Any], used: int, amount: int) -> bool:
    """Whether `amount` more may be taken at once."""
    return (
        inventory["min_unit"] <= amount <= inventory["max_unit"]
        and amount % inventory["step_size"] == 0
        and used + amount <= capacity(inventory)
    )


async def usages(db: Store | Transaction, provider_ids: Iterable[str]) -> dict[tuple[str, str], int]:
    """What is allocated, by provider and resource class."""
    table = model.ALLOCATIONS
    statement = (
        select(table.c.provider_id, table.c.resource_class, func.sum(table.c.used).label("used"))
        .where(table.c.provider_id.in_(list(provider_ids)))
        .group_by(table.c.provider_id, table.c.resource_class)
    )
    return {(row.provider_id, row.resource_class): int(row.used) for row in await db.fetch(statement)}


async def replace_allocations(
    tx: Transaction,
    consumer_id: str,
    wanted: Mapping[str, Amounts],
    *,
    project_id: str | None,
    user_id: str | None,
    generation: Any = UNSEEN,
) -> None:
    """Let the consumer hold exactly `wanted` (provider → class → amount). An empty `wanted` forgets the consumer.

    Raises `NoCapacity`, `InventoryNotFound`, `ConsumerGenerationConflict`, `BadRequest`. The caller's transaction must
    hold the lock "placement": sums of several rows are compared.
    """
    consumer = await tx.find(model.CONSUMERS, id=consumer_id)
    if generation is not UNSEEN:
        known = consumer.generation if consumer is not None else None
        if generation != known:
            raise ConsumerGenerationConflict(expected=known, given=generation)
    before = await give_back(tx, consumer_id)
    await touch(tx, before | set(wanted))
    if not wanted:
        await tx.delete(model.CONSUMERS, id=consumer_id)
        return
    await _check_fit(tx, wanted)
    if consumer is None:
        await tx.insert(model.CONSUMERS, id=consumer_id, project_id=project_id, user_id=user_id)
    else:
        await tx.update(
            model.CONSUMERS,
            {"id": consumer_id},
            project_id=project_id,
            user_id=user_id,
            generation=consumer.generation + 1,
        )
    for provider_id, amounts in wanted.items():
        for name, amount in amounts.items():
            await tx.insert(
                model.ALLOCATIONS,
                consumer_id=consumer_id,
                provider_id=provider_id,
                resource_class=name,
                used=amount,
            )
            await _take(tx, provider_id, name, amount)


async def give_back(tx: Transaction, consumer_id: str) -> set[str]:
    """The consumer holds nothing for the moment, so that others may take it; answers of which providers it held."""
    before = await tx.all(model.ALLOCATIONS, {"consumer_id": consumer_id})
    for held in before:
        await _take(tx, held.provider_id, held.resource_class, -held.used)
    await tx.delete(model.ALLOCATIONS, consumer_id=consumer_id)
    return {held.provider_id for held in before}


async def touch(tx: Transaction, provider_ids: set[str]) -> None:
    """Their allocations are others now."""
    for provider_id in sorted(provider_ids):
        await tx.execute(_TOUCH, {"of_provider": provider_id})


async def _take(tx: Transaction, provider_id: str, name: str, amount: int) -> None:
    """Count `amount` more of the inventory as used; less, where it is negative."""
    await tx.execute(_TAKE, {"of_provider": provider_id, "of_class": name, "amount": amount})


async def _check_fit(tx: Transaction, wanted: Mapping[str, Amounts]) -> None:
    rows = await tx.all(model.INVENTORIES, {"provider_id": list(wanted)})
    inventories: dict[tuple[str, str], Row] = {(row.provider_id, row.resource_class): row for row in rows}
    known = {row.id for row in await tx.all(model.PROVIDERS, {"id": list(wanted)})}
    for provider_id, amounts in wanted.items():
        if provider_id not in known:
            raise BadRequest(f"Allocation for resource provider '{provider_id}' that does not exist.")
        for name, amount in amounts.items():
            inventory = inventories.get((provider_id, name))
            if inventory is None:
                error = InventoryNotFound(name=name, id=provider_id)
                raise NoCapacity(f"Unable to allocate inventory: {error.text}")
            if not fits(inventory, inventory.used, amount):
                raise NoCapacity(name=name, id=provider_id)
