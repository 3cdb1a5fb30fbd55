"""Quotas: counted from rows, checked two at once."""

import asyncio

import pytest

from aerostat.kernel.db import Store, Transaction, create_schema, open_store
from aerostat.kernel.errors import OverQuota
from aerostat.kernel.quota import EVERYONE, UNLIMITED, Quota, Quotas, UnifiedLimits

from .toy_flows import lamps, metadata


class TooManyLamps(OverQuota):
    status = 413
    message = "%(resource)s: %(asked)s asked, %(used)s of %(limit)s used"


async def count_lamps(tx: Transaction, project_id: str) -> int:
    return await tx.count(lamps, socket=project_id)


async def count_nothing(tx: Transaction, project_id: str) -> int:
    return 0


QUOTAS = Quotas(
    "town", Quota("lamps", 3, count_lamps), Quota("switches", 5, count_nothing), error=TooManyLamps
)


@pytest.fixture(autouse=True)
async def tables(store: Store) -> None:
    await create_schema(store, [metadata])


async def add_lamp(store: Store, count: int = 1) -> None:
    async with store.transaction() as tx:
        await QUOTAS.check(tx, "p1", {"lamps": count, "switches": count})
        for _ in range(count):
            await tx.insert(lamps, name="x", state="lit", socket="p1")


async def test_the_last_place_is_given_and_no_more(store: Store) -> None:
    await add_lamp(store, 2)
    with pytest.raises(TooManyLamps, match="lamps: 2 asked, 2 of 3 used") as caught:
        await add_lamp(store, 2)
    assert caught.value.values == {"resource": "lamps", "asked": 2, "used": 2, "limit": 3}
    await add_lamp(store)
    with pytest.raises(TooManyLamps):
        await add_lamp(store)


async def test_two_at_once_cannot_both_take_the_last_place(store: Store, store_url: str) -> None:
    second = await open_store(store_url)
    results = await asyncio.gather(*(add_lamp(db) for db in (store, second) * 5), return_exceptions=True)
    await second.close()
    assert sum(isinstance(result, TooManyLamps) for result in results) == 7
    assert await store.count(lamps, socket="p1") == 3


async def test_limits_come_from_the_project_then_from_everyone_then_from_the_code(store: Store) -> None:
    async with store.transaction() as tx:
        await QUOTAS.set_limits(tx, EVERYONE, {"lamps": 7})
        await QUOTAS.set_limits(tx, "p1", {"lamps": 1, "switches": UNLIMITED})
        await QUOTAS.set_limits(tx, "p1", {"lamps": 2})
    assert await QUOTAS.limits(store) == {"lamps": 7, "switches": 5}
    assert await QUOTAS.limits(store, "p1") == {"lamps": 2, "switches": -1}
    assert await QUOTAS.limits(store, "p2") == {"lamps": 7, "switches": 5}
    async with store.transaction() as tx:
        await QUOTAS.check(tx, "p1", {"switches": 1000})
        await QUOTAS.reset(tx, "p1")
        assert await QUOTAS.limits(tx, "p1") == {"lamps": 7, "switches": 5}


async def test_use_is_counted_and_giving_back_is_never_refused(store: Store) -> None:
    await add_lamp(store, 3)
    async with store.transaction() as tx:
        assert await QUOTAS.usage(tx, "p1") == {"lamps": 3, "switches": 0}
        await QUOTAS.set_limits(tx, "p1", {"lamps": 1})
        await QUOTAS.check(tx, "p1", {"lamps": -1})
        await QUOTAS.check(tx, "p1", {"lamps": 0})


async def test_an_unknown_name_is_a_mistake_of_ours(store: Store) -> None:
    async with store.transaction() as tx:
        with pytest.raises(KeyError):
            await QUOTAS.check(tx, "p1", {"candles": 1})
        with pytest.raises(KeyError):
            await QUOTAS.set_limits(tx, "p1", {"candles": 1})


async def test_unified_limits_go_before_the_rooms_own_and_may_be_shared(store: Store) -> None:
    async def asked(unified: UnifiedLimits) -> None:
        async with store.transaction() as tx:
            await QUOTAS.check(tx, "p1", {"lamps": 1}, unified)

    await add_lamp(store, 3)
    with pytest.raises(TooManyLamps):
        await asked(UnifiedLimits({"elsewhere": 9}))  # not registered: the room's own limit stands
    await asked(UnifiedLimits({"lamps": 4}))
    await asked(UnifiedLimits({"lamps": 4}, {"lamps": 4}, ("p0", "p1")))
    async with store.transaction() as tx:
        await tx.insert(lamps, name="x", state="lit", socket="p0")
    with pytest.raises(TooManyLamps, match="4 of 4 used"):
        await asked(UnifiedLimits({"lamps": 4}, {"lamps": 4}, ("p0", "p1")))
