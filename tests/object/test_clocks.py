"""Clocks that differ: who writes later wins, be it by a clock that is behind, as long as he can know what is there."""

import pytest

from aerostat.services.object import timestamp
from aerostat.services.object.stores.object_file import Revision
from aerostat.services.object.stores.objects import Superseded

from .faults import Devices, facts, read, write
from .kit import opened

HOUR = 3600 * timestamp.TICKS
LARGE = b"large" * 100_000


LATE = {
    "put": lambda store: store.put("a", "c", "o", b"late", facts(b"late", 8)),
    "write": lambda store: write(store, b"late", 8),
    "delete": lambda store: store.delete("a", "c", "o", 8),
    "post": lambda store: store.post("a", "c", "o", Revision(timestamp=8)),
}


@pytest.fixture
async def four(tmp_path):
    devices = Devices(tmp_path, 4)
    yield devices
    await devices.close()


@pytest.fixture
async def store(tmp_path):
    async with opened(tmp_path, devices=4, replicas=3, info_ttl_s=0.0) as store:
        await store.put("/v1/a/c")
        yield store


@pytest.fixture
def ahead(monkeypatch):
    """The clock of who asks is put ahead by so many ticks."""
    real = timestamp.now
    return lambda ticks: monkeypatch.setattr(timestamp, "now", lambda: real() + ticks)


@pytest.mark.parametrize("of", LATE)
async def test_a_quorum_that_misses_the_newer_is_none_when_one_has_it(four, of):
    store = four.cluster.objects(0)
    holders = four.of("a", "c", "o")
    await store.put("a", "c", "o", b"old", facts(b"old", 1))
    for holder in holders[1:3]:
        holder.away = True
    await store.put("a", "c", "o", b"new", facts(b"new", 10))
    four.mend()
    with pytest.raises(Superseded) as refused:
        await LATE[of](store)
    assert refused.value.timestamp == 10
    assert await read(store, newest=True) == b"new"


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "large"])
async def test_the_last_write_stays_though_the_one_before_came_by_a_clock_that_is_ahead(store, ahead, data):
    ahead(HOUR)
    await store.put("/v1/a/c/o", b"first")
    ahead(0)
    await store.put("/v1/a/c/o", data)
    assert (await store("GET", "/v1/a/c/o")).body == data
    assert (await store("POST", "/v1/a/c/o", headers={"x-object-meta-a": "b"})).status == 202
    assert (await store("HEAD", "/v1/a/c/o")).headers["x-object-meta-a"] == "b"
    assert (await store("GET", "/v1/a/c", query="format=json")).json[0]["bytes"] == len(data)
    assert (await store("DELETE", "/v1/a/c/o")).status == 204
    assert (await store("GET", "/v1/a/c/o")).status == 404
    await store.put("/v1/a/c/o", data)
    assert (await store("GET", "/v1/a/c/o")).body == data
    assert (await store("GET", "/v1/a/c")).lines == ["o"]


async def test_a_large_object_is_later_than_what_only_one_holder_has(store, ahead):
    room = store.room
    ahead(HOUR)
    place = room.cluster.objects(0).layout.place(room.hasher.hash("a", "c", "o"))
    first = facts(b"first", timestamp.now())
    *_, last = room.cluster.objects(0).layout.holders(place.part)
    await last.device.put(0, place, b"first", first)
    ahead(0)
    await store.put("/v1/a/c/o", LARGE)
    assert (await store("GET", "/v1/a/c/o", headers={"x-newest": "true"})).body == LARGE


async def test_containers_change_though_a_clock_is_behind(store, ahead):
    ahead(HOUR)
    assert (await store("PUT", "/v1/a/d", headers={"x-container-meta-a": "1"})).status == 201
    ahead(0)
    assert (await store("POST", "/v1/a/d", headers={"x-container-meta-a": "2"})).status == 204
    assert (await store("HEAD", "/v1/a/d")).headers["x-container-meta-a"] == "2"
    assert (await store("DELETE", "/v1/a/d")).status == 204
    assert (await store("HEAD", "/v1/a/d")).status == 404
    assert (await store("PUT", "/v1/a/d")).status == 201
    assert (await store("HEAD", "/v1/a/d")).status == 204
    await store.put("/v1/a/d/o", b"x")
    assert (await store("GET", "/v1/a/d")).lines == ["o"]


async def test_accounts_change_though_a_clock_is_behind(store, ahead):
    ahead(HOUR)
    assert (await store("POST", "/v1/a", headers={"x-account-meta-a": "1"})).status == 204
    ahead(0)
    assert (await store("POST", "/v1/a", headers={"x-account-meta-a": "2"})).status == 204
    assert (await store("HEAD", "/v1/a")).headers["x-account-meta-a"] == "2"


async def test_a_container_on_one_device_is_made_again_though_the_clock_was_set_back(tmp_path, ahead):
    async with opened(tmp_path) as store:
        ahead(HOUR)
        await store.put("/v1/a/c")
        assert (await store("DELETE", "/v1/a/c")).status == 204
        ahead(0)
        assert (await store("PUT", "/v1/a/c")).status == 201
        assert (await store("HEAD", "/v1/a/c")).status == 204
