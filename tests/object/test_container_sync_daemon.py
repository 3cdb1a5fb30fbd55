"""Changes on their way from one container to the one that follows it, in another cluster."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from aerostat.services.object.cluster.shards import table_in
from aerostat.services.object.daemons import container_sync
from aerostat.services.object.daemons.container_sync import ContainerSync
from aerostat.services.object.daemons.pace import BURST_S
from aerostat.services.object.daemons.progress import Progress
from aerostat.services.object.daemons.settings import DaemonConfig
from aerostat.services.object.daemons.sharder import Sharder
from aerostat.services.object.daemons.station import Station
from aerostat.services.object.realms import Realms, Settings

from .kit import Store, opened

OPTIONS: dict[str, Any] = {
    "realms": {"US": {"key": "realm key", "clusters": {"OTHER": "http://other.test/v1/"}}},
}
ENCRYPTED = {"root_secrets": {"1": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="}}
PEOPLE = {"users": {"a:u": {"key": "k", "groups": [".admin"]}}}


class Wire(httpx.AsyncBaseTransport):
    """To the other cluster; `is_cut`: nobody is there."""

    def __init__(self, there: Store) -> None:
        self._inner = httpx.ASGITransport(app=there.room.app)
        self.is_cut = False
        self.asked: list[tuple[str, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.is_cut:
            raise httpx.ConnectError("nobody is there")
        self.asked.append((request.method, request.url.path))
        return await self._inner.handle_async_request(request)


class Pair:
    """`here` follows nobody; `there` follows it."""

    def __init__(self, here: Store, there: Store, owner: Store) -> None:
        self.here, self.there, self.owner = here, there, owner
        self.wire = Wire(there)

    async def sync(self, **settings: Any) -> None:
        room = self.here.room
        station = Station(lambda: room.cluster, room.local, DaemonConfig(**settings), reclaim_age_s=1e6)
        daemon = ContainerSync(
            station, room.layers["symlink"], Realms.of(msgspec.convert(OPTIONS, Settings)), self.wire
        )
        assert await daemon.pass_once()

    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for key, device in self.here.room.local.items():
            for what, count in Progress(device.root, "container_sync", key).report.last.items():
                found[what] = found.get(what, 0) + count
        return found

    async def both(self, method: str, name: str) -> Any:
        return await self.here(method, f"/v1/A/c/{name}"), await self.owner(method, f"/v1/AUTH_a/c/{name}")


@pytest.fixture(params=[1, 4])
async def pair(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        sending = {"container_sync": OPTIONS, "encryption": ENCRYPTED}
        here = await stack.enter_async_context(
            opened(
                tmp_path / "here", middleware=sending, devices=request.param, replicas=min(3, request.param)
            )
        )
        receiving = {"container_sync": OPTIONS, "tempauth": PEOPLE}
        there = await stack.enter_async_context(opened(tmp_path / "there", middleware=receiving))
        sign_in = {"x-auth-user": "a:u", "x-auth-key": "k"}
        token = (await there("GET", "/auth/v1.0", headers=sign_in)).headers["x-auth-token"]
        owner = there.as_(x_auth_token=token)
        await owner.put("/v1/AUTH_a/c", x_container_sync_key="user key")
        await here.put("/v1/A/c", x_container_sync_to="//us/other/AUTH_a/c", x_container_sync_key="user key")
        await here.put("/v1/A/alone")
        await here.put("/v1/A/alone/o", b"not sent")
        yield Pair(here, there, owner)


async def test_what_changes_here_changes_there(pair: Pair) -> None:
    names = ("small", "large", "ä/ö", "a/../b", "./.", "%2f", "empty")
    for name in names:
        data = b"" if name == "empty" else name.encode() * (100_000 if name == "large" else 1)
        await pair.here.put(f"/v1/A/c/{name}", data, x_object_meta_word="blå", content_type="text/x-ä")
    await pair.sync()
    for name in names:
        one, other = await pair.both("GET", name)
        assert (other.status, other.body) == (200, one.body)
        for header in ("etag", "x-timestamp", "content-type", "x-object-meta-word", "last-modified"):
            assert one.headers[header] == other.headers[header]
    assert pair.counts()["objects"] == len(names)
    await pair.here("POST", "/v1/A/c/small", headers={"x-object-meta-word": "new"})
    await pair.here("DELETE", "/v1/A/c/large")
    await pair.sync()
    one, other = await pair.both("HEAD", "small")
    assert other.headers["x-object-meta-word"] == "new"
    assert one.headers["x-timestamp"] == other.headers["x-timestamp"]
    assert (await pair.both("HEAD", "large"))[1].status == 404
    assert [
        row["name"] for row in (await pair.owner("GET", "/v1/AUTH_a/c", query="format=json")).json
    ] == sorted(set(names) - {"large"})


async def test_manifests_and_links_are_sent_as_they_are(pair: Pair) -> None:
    manifest = b'[{"path": "/c/part1"}, {"path": "/c/part2"}]'
    for name in ("part1", "part2"):
        await pair.here.put(f"/v1/A/c/{name}", name.encode())
    assert (await pair.here("PUT", "/v1/A/c/m", manifest, query="multipart-manifest=put")).status == 201
    assert (await pair.here("PUT", "/v1/A/c/link", headers={"x-symlink-target": "c/part2"})).status == 201
    assert (await pair.here("PUT", "/v1/A/c/all", headers={"x-object-manifest": "c/part"})).status == 201
    await pair.sync()
    for name, content in (("m", b"part1part2"), ("link", b"part2"), ("all", b"part1part2")):
        one, other = await pair.both("GET", name)
        assert one.body == other.body == content
    one, other = await pair.both("HEAD", "m")
    assert other.headers["x-static-large-object"] == "True"
    assert one.headers["content-length"] == other.headers["content-length"]


async def test_a_container_that_is_cut_is_sent_whole(pair: Pair) -> None:
    room = pair.here.room
    small = msgspec.structs.replace(DaemonConfig(), shard_rows=20, shard_rows_per_s=0.0)
    sharder = Sharder(Station(lambda: room.cluster, room.local, small, reclaim_age_s=1e6))
    names = [f"{index:02}" for index in range(60)]
    for name in names[:50]:
        await pair.here.put(f"/v1/A/c/{name}", b"bytes")
    await pair.sync()
    for _ in range(4):
        await sharder.pass_once()
    found = await room.cluster.containers.status("A", "c")
    assert found is not None
    assert table_in(found[1]) is not None
    for name in names[50:]:
        await pair.here.put(f"/v1/A/c/{name}", b"bytes")
    await pair.here("DELETE", "/v1/A/c/00")
    await pair.sync()
    assert (await pair.owner("GET", "/v1/AUTH_a/c")).lines == names[1:]


async def test_what_was_sent_is_not_sent_again(pair: Pair) -> None:
    await pair.here.put("/v1/A/c/o", b"bytes")
    await pair.sync()
    pair.wire.asked.clear()
    await pair.sync()
    assert pair.wire.asked == []


@pytest.mark.parametrize("pair", [1], indirect=True)
async def test_no_more_is_sent_than_the_settings_let_be(pair: Pair) -> None:
    for name in "abcde":
        await pair.here.put(f"/v1/A/c/{name}", b"bytes")
    began_s = time.monotonic()
    await pair.sync(sync_per_s=10)
    assert time.monotonic() - began_s > 5 / 10 - BURST_S - 0.05
    assert pair.counts()["objects"] == 5


async def test_nothing_is_forgotten_while_nobody_is_there(pair: Pair) -> None:
    pair.wire.is_cut = True
    for index in range(5):
        await pair.here.put(f"/v1/A/c/{index}", b"bytes")
    await pair.sync()
    assert pair.counts()["failures"] > 0
    pair.wire.is_cut = False
    await pair.sync()
    assert (await pair.owner("GET", "/v1/AUTH_a/c")).lines == list("01234")


async def test_what_is_newer_there_stays(pair: Pair) -> None:
    await pair.here.put("/v1/A/c/o", b"older")
    await pair.here.put("/v1/A/c/gone", b"older")
    await pair.here("DELETE", "/v1/A/c/gone")
    for name in ("o", "gone"):
        await pair.owner.put(f"/v1/AUTH_a/c/{name}", b"newer")
    await pair.sync()
    for name in ("o", "gone"):
        assert (await pair.owner("GET", f"/v1/AUTH_a/c/{name}")).body == b"newer"


async def test_a_wrong_key_sends_nothing(pair: Pair) -> None:
    await pair.here("POST", "/v1/A/c", headers={"x-container-sync-key": "another"})
    await pair.here.put("/v1/A/c/o", b"bytes")
    await pair.sync()
    assert pair.counts()["failures"] > 0
    assert (await pair.owner("GET", "/v1/AUTH_a/c")).status == 204


async def test_holders_look_after_each_other(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three holders one has no daemon: what is its own to send goes later, by the others."""
    if len(pair.here.room.local) == 1:
        pytest.skip("one device is its own only holder")
    for index in range(30):
        await pair.here.put(f"/v1/A/c/{index:02}", b"bytes")
    layout = pair.here.room.cluster.containers.layout
    part = layout.ring.partition(pair.here.room.cluster.hasher.hash("A", "c"))
    (away, *_) = layout.ring.holders(part)
    del pair.here.room.local[away.key]
    await pair.sync()
    arrived = (await pair.owner("GET", "/v1/AUTH_a/c")).lines
    assert 0 < len(arrived) < 30
    monkeypatch.setattr(container_sync, "OTHERS_AFTER_S", -1.0)
    await pair.sync()
    assert len((await pair.owner("GET", "/v1/AUTH_a/c")).lines) == 30
