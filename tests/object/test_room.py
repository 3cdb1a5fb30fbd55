"""A store that runs while its rings are changed."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from aerostat.services.object import room as rooms
from aerostat.services.object.places import Places
from aerostat.services.object.ring import Builder

from .kit import opened
from .nodes import until

RINGS = ("account", "container", "object")


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "LOOK_AT_RINGS_S", 0.01)


def add_device(places: Places, ring: str, name: str) -> None:
    builder = Builder.load(places.builder_file(ring))
    builder.add(node="local", name=name, weight=100.0)
    builder.rebalance()
    builder.save(places.builder_file(ring))
    builder.ring().save(places.ring_file(ring))


async def test_rings_that_change_are_followed(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        await store.put("/v1/a/c/o", b"bytes")
        room = store.room
        room.start(has_devices=False)
        device = room.local["local/d1"]
        for ring in RINGS:
            add_device(room.places, ring, "d2")
        await until(lambda: len(room.cluster.objects(0).layout.ring.devices) == 2)
        assert room.local["local/d1"] is device
        for number in range(8):
            await store.put(f"/v1/a/c/{number}", b"more")
        assert (room.local["local/d2"].root / "objects").exists()


async def test_a_ring_that_does_not_fit_its_policy_leaves_the_older_one_in_use(tmp_path: Path) -> None:
    coded = {"index": 0, "name": "coded", "kind": "erasure", "ec_data": 2, "ec_parity": 1}
    async with opened(tmp_path, devices=4, policies=[coded]) as store:
        room, before = store.room, store.room.cluster
        room.start(has_devices=False)
        with capture_logs() as lines:
            builder = Builder.load(room.places.builder_file("object"))
            builder.set_replicas(4)
            builder.rebalance()
            builder.ring().save(room.places.ring_file("object"))
            await until(lambda: any("must have 3 replicas" in line.get("error", "") for line in lines))
        assert room.cluster is before
        for ring in ("account", "object"):
            add_device(room.places, ring, "d5")
        await until(lambda: room.cluster is not before)


async def test_a_ring_that_cannot_be_read_leaves_the_older_one_in_use(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.put("/v1/a/c")
        room, file = store.room, store.room.places.ring_file("object")
        whole, before = file.read_bytes(), room.cluster
        room.start(has_devices=False)
        with capture_logs() as lines:
            file.write_bytes(whole[:-1])
            await until(lambda: any("rings cannot be used" in line["event"] for line in lines))
        assert room.cluster is before
        await store.put("/v1/a/c/o", b"bytes")
        file.write_bytes(whole)
        await until(lambda: room.cluster is not before)
        assert (await store("GET", "/v1/a/c/o")).body == b"bytes"
