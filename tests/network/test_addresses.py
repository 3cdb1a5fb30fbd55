"""How a free address is found: never one that is taken, one as long as there is one, and without reading them all."""

import ipaddress
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aerostat.kernel.db import Row, Store, create_schema, open_store
from aerostat.services.network.addresses import find_free
from aerostat.services.network.model import ADDRESSES, TABLES


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await open_store(f"sqlite:///{tmp_path}/store.db?synchronous=off")
    await create_schema(opened, [TABLES])
    yield opened
    await opened.close()


def make_subnet(*pools: tuple[str, str], gateway_ip: str | None = None) -> Row:
    return Row(
        id="subnet",
        gateway_ip=gateway_ip,
        allocation_pools=[{"start": start, "end": end} for start, end in pools],
    )


async def take(store: Store, *addresses: str) -> None:
    async with store.transaction() as tx:
        for address in addresses:
            await tx.insert(ADDRESSES, subnet_id="subnet", ip_address=address, port_id="p", network_id="n")


async def find(store: Store, subnet: Row) -> str | None:
    async with store.transaction() as tx:
        return await find_free(tx, subnet)


@pytest.mark.parametrize("seed", range(30))
async def test_a_free_address_is_found_whatever_is_taken(store: Store, seed: int) -> None:
    """The address is in a pool and free; there is none only when all are taken; among few it is the lowest."""
    dice = random.Random(seed)
    start = ipaddress.ip_address("10.0.0.0") + dice.randrange(300)
    length = dice.choice([1, 2, 15, 16, 17, 40, 300, 1000])
    pool = [str(start + place) for place in range(length)]
    holes = dice.choice([0, 1, 2, length // 2, length])
    free = set(dice.sample(pool, holes))
    subnet = make_subnet((pool[0], pool[-1]))
    await take(store, *(address for address in pool if address not in free))
    found = await find(store, subnet)
    assert (found is None) == (not free)
    assert found is None or found in free
    low = [address for address in pool[:16] if address in free]
    assert not low or found == low[0]


async def test_a_subnet_fills_up_from_its_beginning_to_its_last_address(store: Store) -> None:
    """Without holes every address is the lowest, across pools, and the gateway's is nobody's."""
    subnet = make_subnet(("10.0.0.1", "10.0.0.70"), ("10.0.1.5", "10.0.1.6"), gateway_ip="10.0.0.1")
    found = []
    while (address := await find(store, subnet)) is not None:
        await take(store, address)
        found.append(address)
    assert found == [*(f"10.0.0.{last}" for last in range(2, 71)), "10.0.1.5", "10.0.1.6"]


@pytest.mark.parametrize(
    "pool", [("10.64.0.2", "10.64.63.254"), ("2001:db8::2", "2001:db8::ffff:ffff:ffff:ffff")]
)
async def test_a_crowded_subnet_costs_no_more_than_a_few_looks(store: Store, pool: tuple[str, str]) -> None:
    start = ipaddress.ip_address(pool[0])
    await take(store, *(str(start + place) for place in range(3000)))
    rows = 0

    class Counting:
        def __init__(self, tx: Any) -> None:
            self.tx = tx

        async def all(self, *asked: Any) -> list[Row]:
            nonlocal rows
            found: list[Row] = await self.tx.all(*asked)
            rows += len(found)
            return found

    async with store.transaction() as tx:
        counting: Any = Counting(tx)
        assert await find_free(counting, make_subnet(pool)) == str(start + 3000)
    assert rows < 100
