"""So many requests a second and no more."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerostat.services.object import timestamp
from aerostat.services.object.middleware import ratelimit
from aerostat.services.object.middleware.ratelimit import OF_ACCOUNT, Rates, Turns

from .kit import Store, opened


def on(**options: Any) -> dict[str, Any]:
    return {"ratelimit": {"max_sleep_time_seconds": 0, "rate_buffer_seconds": 0, **options}}


async def say(store: Store, account: str, value: str) -> None:
    assert await store.room.cluster.accounts.say(account, {OF_ACCOUNT: (value, timestamp.now())})
    store.room.infos.forget(account)


async def statuses(store: Store, count: int, method: str, path: str) -> list[int]:
    return [(await store(method, path)).status for _ in range(count)]


def test_rates_are_lines_between_sizes() -> None:
    rates = Rates(
        {"container_ratelimit_100": 100, "container_ratelimit_200": 50, "other_0": 1}, "container_ratelimit_"
    )
    assert [rates.of(size) for size in (0, 99, 100, 150, 200, 1000)] == [None, None, 100, 75, 50, 50]


@given(
    rate=st.floats(0.5, 100),
    buffer_s=st.floats(0, 10),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=60),
)
def test_no_more_than_the_rate_and_what_was_saved_up(rate: float, buffer_s: float, gaps: list[float]) -> None:
    turns, now_s, gone_s = Turns(5.0, buffer_s), 1000.0, []
    for gap in gaps:
        now_s += gap
        if (wait_s := turns.take("key", rate, now_s)) is not None:
            assert 0 <= wait_s <= 5.0
            gone_s.append(now_s + wait_s)
    assert gone_s == sorted(gone_s)
    for first, start_s in enumerate(gone_s):
        for last in range(first, len(gone_s)):
            assert last - first <= (gone_s[last] - start_s + buffer_s) * rate + 1 + 1e-6


async def test_containers_of_an_account(tmp_path: Path) -> None:
    async with opened(tmp_path, middleware=on(account_ratelimit=1)) as store:
        assert await statuses(store, 3, "PUT", "/v1/A/c") == [201, 498, 498]
        assert (await store("PUT", "/v1/A/c/o", b"")).status == 201
        assert (await store("PUT", "/v1/B/c")).status == 201
        refused = await store("DELETE", "/v1/A/c")
        assert (refused.status, refused.text) == (498, "Slow down")
        assert (await store("GET", "/info")).json["ratelimit"]["account_ratelimit"] == 1


async def test_objects_by_the_size_of_their_container(tmp_path: Path) -> None:
    options = on(container_ratelimit_2=1, container_listing_ratelimit_2=1, status=429)
    async with opened(tmp_path, middleware=options) as store:
        await store.put("/v1/A/c")
        assert await statuses(store, 4, "PUT", "/v1/A/c/o") == [201] * 4
        await store.put("/v1/A/c/p")
        await store("HEAD", "/v1/A/c")
        assert await statuses(store, 3, "PUT", "/v1/A/c/o") == [201, 429, 429]
        assert await statuses(store, 3, "GET", "/v1/A/c") == [200, 429, 429]
        assert await statuses(store, 3, "GET", "/v1/A/c/o") == [200] * 3


async def test_requests_that_come_soon_wait(tmp_path: Path) -> None:
    options = on(account_ratelimit=20, max_sleep_time_seconds=5)
    async with opened(tmp_path, middleware=options) as store:
        began_s = asyncio.get_running_loop().time()
        assert set(await statuses(store, 6, "PUT", "/v1/A/c")) == {201, 202}
        assert asyncio.get_running_loop().time() - began_s >= 0.25


async def test_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratelimit, "BLACKLISTED_WAIT_S", 0.0)
    options = on(account_ratelimit=1, account_whitelist=["W"], account_blacklist=["B"])
    async with opened(tmp_path, middleware=options) as store:
        assert await statuses(store, 3, "PUT", "/v1/W/c") == [201, 202, 202]
        assert await statuses(store, 1, "GET", "/v1/B/c") == [497]
        await store.put("/v1/A/c")
        await say(store, "A", "WHITELIST")
        assert await statuses(store, 3, "PUT", "/v1/A/c") == [202] * 3
        await say(store, "A", "BLACKLIST")
        assert await statuses(store, 1, "GET", "/v1/A/c") == [497]
        await say(store, "A", "1")
        assert await statuses(store, 3, "PUT", "/v1/A/c/o") == [201, 498, 498]
        await say(store, "A", "many")
        assert await statuses(store, 3, "PUT", "/v1/A/c/o") == [201] * 3
