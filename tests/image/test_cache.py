"""The cache: what lies elsewhere is read once; what an administrator may do with it."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aerostat.services.image import model
from aerostat.services.image.caching import cache_of
from aerostat.services.image.copies import remove_due
from aerostat.services.image.stores import stores_of
from aerostat.services.image.sweepers.cached_images import sweep

from .conftest import SMALL, Api, opened


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[Api]:
    """A room whose store is not of this machine."""
    async with opened(tmp_path, f"{SMALL}cache_mib = 1\n") as api:
        stores_of(api.house).driver("file").is_local = False
        yield api


async def cached(api: Api) -> dict[str, int]:
    return {one["image_id"]: one["hits"] for one in (await api("root").get("cache"))["cached_images"]}


async def test_the_second_reading_is_from_here(far: Api) -> None:
    image = await far.filled(b"0123456789")
    assert await far.content(image["id"]) == b"0123456789"
    assert await cached(far) == {image["id"]: 0}
    (far.folder / image["id"][:2] / image["id"]).unlink()
    assert await far.content(image["id"]) == b"0123456789"
    part = await far.request("GET", f"images/{image['id']}/file", headers={"range": "bytes=2-3"})
    assert part.content == b"23"
    assert await cached(far) == {image["id"]: 1}


async def test_a_part_that_is_read_lets_the_whole_be_fetched(far: Api) -> None:
    image = await far.filled(b"0123456789")
    await far.request("GET", f"images/{image['id']}/file", headers={"range": "bytes=2-3"})
    assert (await far("root").get("cache"))["queued_images"] == [image["id"]]
    assert await sweep(far.house) == 1
    assert await cached(far) == {image["id"]: 0}


async def test_a_lost_file_of_the_cache_is_read_from_the_store(far: Api) -> None:
    image = await far.filled(b"data")
    await far.content(image["id"])
    (far.folder / "cache" / image["id"][:2] / image["id"]).unlink()
    assert await far.content(image["id"]) == b"data"


async def test_who_stops_reading_caches_nothing(far: Api) -> None:
    image = await far.filled(bytes(1 << 20))
    row = await far.house.store.get(model.IMAGES, id=image["id"])
    chunks = cache_of(far.house).filling(row, stores_of(far.house).driver("file").read(image["id"]))
    await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]
    assert await cached(far) == {}
    assert list((far.folder / "cache").rglob(f"{image['id']}*")) == []


async def test_what_is_too_much_goes_least_recent_first(far: Api) -> None:
    ids = []
    for _ in range(3):
        image = await far.filled(bytes(400 << 10))
        ids.append(image["id"])
        await far.content(image["id"])
    assert set(await cached(far)) == set(ids[1:])
    answer = await far("root").request("POST", "cache/prune")
    assert answer.json() == {"total_files_pruned": 0, "total_bytes_pruned": 0}


async def test_a_deleted_image_is_not_cached(far: Api) -> None:
    image = await far.filled(b"data")
    await far.content(image["id"])
    await far.request("DELETE", f"images/{image['id']}")
    assert await cached(far) == {}
    await remove_due(far.house)  # what is elsewhere goes behind the back of whoever deleted it
    assert far.kept() == []


async def test_what_is_nobodys_is_cleaned(far: Api) -> None:
    image = await far.filled(b"data")
    await far.content(image["id"])
    stray = far.folder / "cache" / "ab" / "abc"
    stray.parent.mkdir()
    stray.write_bytes(b"x")
    assert (await far("root").request("POST", "cache/clean")).status_code == 200
    assert not stray.exists()
    assert await cached(far) == {image["id"]: 0}


async def test_administrators_queue_and_clear(api: Api) -> None:
    root = api("root")
    for method, path in (
        ("GET", "cache"),
        ("DELETE", "cache"),
        ("POST", "cache/clean"),
        ("POST", "cache/prune"),
    ):
        assert (await api.request(method, path)).status_code == 403
    image, queued = await api.filled(b"data"), await api.make()
    assert (await api.request("PUT", f"cache/{image['id']}")).status_code == 403
    for id, status in (("nobody", 404), (queued["id"], 400), (image["id"], 202)):
        assert (await root.request("PUT", f"cache/{id}")).status_code == status
    assert (await root.get("cache"))["queued_images"] == [image["id"]]
    await sweep(api.house)
    (shown,) = (await root.get("cache"))["cached_images"]
    assert (shown["image_id"], shown["size"], shown["checksum"]) == (image["id"], 4, image["checksum"])
    assert abs(shown["last_accessed"] - time.time()) < 3600 * 24
    assert await root.get(f"cache/nodes/{image['id']}") == [cache_of(api.house).node]
    for target, status in (("odd", 400), ("queue", 204), ("cache", 204)):
        headers = {"x-image-cache-clear-target": target}
        assert (await root.request("DELETE", "cache", headers=headers)).status_code == status
    assert await cached(api) == {}
    for id, status in ((image["id"], 204), ("nobody", 404)):
        assert (await root.request("DELETE", f"cache/{id}")).status_code == status


async def test_without_a_cache(tmp_path: Path) -> None:
    async with opened(tmp_path, f"{SMALL}cache_mib = 0\n") as api:
        stores_of(api.house).driver("file").is_local = False
        image = await api.filled(b"data")
        assert await api.content(image["id"]) == b"data"
        assert (await api("root").request("GET", "cache")).status_code == 404
