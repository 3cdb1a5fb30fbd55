"""Static large objects: their end, with all that lies below."""

import asyncio

import pytest

from aerostat.services.object import expiry
from aerostat.services.object.daemons.expirer import Expirer
from aerostat.services.object.daemons.settings import DaemonConfig
from aerostat.services.object.daemons.station import Station
from aerostat.services.object.proxy.core import Core

from .kit import opened
from .slo_kit import DELETE, listed, made, put, read, with_segments


@pytest.fixture
async def store(tmp_path):
    async with with_segments(tmp_path) as store:
        yield store


async def test_a_manifest_is_deleted_alone(store):
    await made(store, "a")
    assert (await store("DELETE", "/v1/a/c/m")).status == 204
    assert (await read(store, "/v1/a/c/a")).status == 200


async def test_a_manifest_is_deleted_with_all_that_is_below(store):
    await made(store, "a", "b", path="/v1/a/c/sub")
    await put(store, [{"path": "/c/sub"}, {"data": "aGV5"}, {"path": "/c/c"}, {"path": "/c/sub"}])
    await store("DELETE", "/v1/a/c/b")
    answer = await store("DELETE", "/v1/a/c/m", query=DELETE, headers={"accept": "application/json"})
    assert answer.status == 200
    assert answer.json == {
        "Response Status": "200 OK",
        "Response Body": "",
        "Number Deleted": 4,
        "Number Not Found": 1,
        "Errors": [],
    }
    assert await listed(store) == {}


async def test_what_cannot_be_deleted_is_told(store):
    def asked(path, **headers):
        return store("DELETE", path, query=DELETE, headers={"accept": "application/json", **headers})

    told = (await asked("/v1/a/c/none")).json
    assert (told["Response Status"], told["Number Not Found"]) == ("200 OK", 1)
    told = (await asked("/v1/a/c/a")).json
    assert told["Response Status"] == "400 Bad Request"
    assert told["Errors"] == [["/c/a", "Not an SLO manifest"]]
    assert (await read(store, "/v1/a/c/a")).status == 200
    assert (await asked("/v1/a/c/a", accept="image/png")).status == 406
    answer = await store("DELETE", "/v1/a/c/none", query=DELETE)
    assert answer.lines[0] == "Number Deleted: 0"


async def test_manifests_that_name_each_other_are_deleted(store):
    await made(store, "a", path="/v1/a/c/one")
    await made(store, "one", path="/v1/a/c/two")
    await made(store, "two", path="/v1/a/c/one")
    answer = await store("DELETE", "/v1/a/c/one", query=DELETE, headers={"accept": "application/json"})
    assert answer.json["Number Deleted"] == 2
    assert set(await listed(store)) == {"a", "b", "c"}


async def test_deletion_can_be_left_to_the_expirer(store):
    await store.put("/v1/a/d")
    await store.put("/v1/a/d/x", b"x")
    await made(store, "a", "b", "c")
    await put(store, [{"path": "/c/a"}, {"path": "/d/x"}], "/v1/a/c/both")
    await made(store, "m", path="/v1/a/c/above")
    for name, said in (("both", "All segments must be in one container"), ("above", "No segments may be")):
        answer = await store("DELETE", f"/v1/a/c/{name}", query=DELETE + "&async=on")
        assert (answer.status, answer.text[: len(said)]) == (400, said)
    assert (await store("DELETE", "/v1/a/c/none", query=DELETE + "&async=on")).status == 404
    answer = await store("DELETE", "/v1/a/c/m", query=DELETE + "&async=on")
    assert answer.status == 204
    assert set(await listed(store)) == {"a", "b", "c", "both", "above"}
    await store.put("/v1/a/c/b", b"written after that")
    station = Station(
        lambda: store.room.cluster,
        store.room.local,
        DaemonConfig(expire_per_s=0),
        reclaim_age_s=60,
        core=Core(store.room),
    )
    await Expirer(station).pass_once()
    assert set(await listed(store)) == {"b", "both", "above"}
    (slot,) = [row["name"] for row in (await store("GET", f"/v1/{expiry.ACCOUNT}", query="format=json")).json]
    assert await listed(store, f"/v1/{expiry.ACCOUNT}/{slot}") == {}


async def test_a_tree_whose_deletion_ends_halfway_can_be_deleted_again(tmp_path):
    paths = [f"/v1/a/c/{name}" for name in ("a", "b", "sub", "m")]
    for wait_ms in range(12):
        async with opened(tmp_path / str(wait_ms)) as store:
            await store.put("/v1/a/c")
            for letter in "ab":
                await store.put(f"/v1/a/c/{letter}", letter.encode())
            await made(store, "a", path="/v1/a/c/sub")
            await made(store, "sub", "b")
            task = asyncio.create_task(store("DELETE", paths[-1], query=DELETE))
            await asyncio.wait([task], timeout=wait_ms / 1000)
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(0.01)
            there = [(await store("HEAD", path)).status == 200 for path in paths]
            assert there[-1] or not any(there), "the manifest is gone, and something of it is left"
            await store("DELETE", paths[-1], query=DELETE)
            assert [(await store("HEAD", path)).status for path in paths] == [404] * 4
