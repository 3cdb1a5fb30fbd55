"""Image bytes: uploads that end well or badly, downloads whole and in part, what a hostile file gets."""

import asyncio
import errno
import hashlib
import os
import resource
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from aerostat.kernel.clock import now
from aerostat.kernel.db import StoreUnavailable
from aerostat.services.image import model, receiving
from aerostat.services.image.copies import Copy
from aerostat.services.image.errors import ImageGone
from aerostat.services.image.sweepers.dead_uploads import sweep

from .conftest import BYTES, Api
from .disks import HOSTILE, qcow2

KIB, MIB = 1 << 10, 1 << 20


async def status_of(api: Api, id: str) -> str:
    return str((await api.get(f"images/{id}"))["status"])


async def test_an_upload_is_measured_and_comes_back(api: Api) -> None:
    data = bytes(range(256)) * 5000
    image = await api.filled(data)
    assert image["status"] == "active"
    assert image["size"] == image["virtual_size"] == len(data)
    assert image["checksum"] == hashlib.md5(data).hexdigest()
    assert image["os_hash_algo"] == "sha512"
    assert image["os_hash_value"] == hashlib.sha512(data).hexdigest()
    answer = await api.request("GET", f"images/{image['id']}/file")
    assert answer.status_code == 200
    assert answer.content == data
    assert answer.headers["content-type"] == BYTES
    assert answer.headers["content-length"] == str(len(data))
    assert answer.headers["content-md5"] == image["checksum"]


async def test_an_empty_image_is_one_too(api: Api) -> None:
    image = await api.filled(b"")
    assert image["size"] == 0
    answer = await api.request("GET", f"images/{image['id']}/file")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_an_image_without_data_gives_none(api: Api) -> None:
    image = await api.make()
    answer = await api.request("GET", f"images/{image['id']}/file")
    assert (answer.status_code, answer.content) == (204, b"")


async def test_data_comes_once_and_as_bytes(api: Api) -> None:
    image = await api.filled()
    again = await api.upload(image["id"], b"other")
    assert again.status_code == 409
    assert again.json()["message"] == "Image status transition from active to saving is not allowed"
    queued = await api.make()
    odd = await api.request("PUT", f"images/{queued['id']}/file", json={})
    assert odd.status_code == 415
    bare = (await api.request("POST", "images", json={})).json()
    assert (await api.upload(bare["id"], b"x")).status_code == 400


async def test_an_upload_that_breaks_off_leaves_the_image_queued_and_no_file(api: Api) -> None:
    image = await api.make()

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * KIB
        raise ConnectionError("the cable is out")

    assert (await api.upload(image["id"], broken())).status_code == 500
    assert await status_of(api, image["id"]) == "queued"
    assert api.kept() == []
    assert (await api.upload(image["id"], b"whole")).status_code == 204


async def test_a_client_that_hangs_up_leaves_the_image_queued(api: Api) -> None:
    image = await api.make()
    messages = [
        {"type": "http.request", "body": b"x" * KIB, "more_body": True},
        {"type": "http.disconnect"},
    ]
    path = f"/image/v2/images/{image['id']}/file"
    headers = [(b"x-auth-token", b"alice"), (b"content-type", BYTES.encode())]
    scope = {"type": "http", "method": "PUT", "path": path, "query_string": b"", "headers": headers}
    answered: list[object] = []

    async def receive() -> object:
        return messages.pop(0)

    async def send(message: object) -> None:
        answered.append(message)

    await api.house.dispatch(scope, receive, send)
    assert answered
    assert await status_of(api, image["id"]) == "queued"
    assert api.kept() == []


async def slowly(*pieces: bytes, gate: asyncio.Event) -> AsyncIterator[bytes]:
    yield pieces[0]
    await gate.wait()
    for piece in pieces[1:]:
        yield piece


async def begun(api: Api, id: str, gate: asyncio.Event, *pieces: bytes) -> "asyncio.Task[httpx.Response]":
    """An upload that has begun and waits for `gate`."""
    task = asyncio.create_task(api.upload(id, slowly(*pieces, gate=gate)))
    async with asyncio.timeout(5):
        while await status_of(api, id) != "saving":  # noqa: ASYNC110 (a row is looked at, nothing signals)
            await asyncio.sleep(0.001)
    return task


async def test_a_client_that_falls_silent_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "SILENT_LIMIT_S", 0.1)
    image = await api.make()
    answer = await api.upload(image["id"], slowly(b"one", b"two", gate=asyncio.Event()))
    assert answer.status_code == 408
    assert await status_of(api, image["id"]) == "queued"
    assert api.kept() == []


async def test_of_two_uploads_at_once_one_is_refused(api: Api) -> None:
    image, gate = await api.make(), asyncio.Event()
    first = await begun(api, image["id"], gate, b"one", b"two")
    assert (await api.upload(image["id"], b"other")).status_code == 409
    gate.set()
    assert (await first).status_code == 204
    assert (await api.request("GET", f"images/{image['id']}/file")).content == b"onetwo"


async def test_an_image_deleted_during_its_upload_leaves_nothing(api: Api) -> None:
    image, gate = await api.make(), asyncio.Event()
    upload = await begun(api, image["id"], gate, b"one", b"two")
    assert (await api.request("DELETE", f"images/{image['id']}")).status_code == 204
    gate.set()
    assert (await upload).status_code == 410
    assert api.kept() == []


async def test_a_format_changed_during_the_upload_is_refused(api: Api) -> None:
    image, gate = await api.make(), asyncio.Event()
    upload = await begun(api, image["id"], gate, b"one", b"two")
    changed = await api.patch(image["id"], {"op": "replace", "path": "/disk_format", "value": "qcow2"})
    assert changed.status_code == 403
    gate.set()
    assert (await upload).status_code == 204


async def test_a_slow_upload_says_that_it_lives(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "SEEN_EVERY_S", 0.01)
    image, gate = await api.make(), asyncio.Event()
    upload = await begun(api, image["id"], gate, b"one", b"two")
    long_ago = now() - timedelta(hours=1)
    await api.house.store.update(model.IMAGES, {"id": image["id"]}, upload_seen_at=long_ago)
    async with asyncio.timeout(5):
        while (await api.house.store.get(model.IMAGES, id=image["id"])).upload_seen_at == long_ago:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    await sweep(api.house)
    gate.set()
    assert (await upload).status_code == 204


async def test_the_sweeper_queues_what_a_died_process_left(api: Api) -> None:
    dead, alive = await api.make(), await api.filled()
    left = await Copy.begin(api.house, dead["id"], "file", "token-of-the-dead")
    await left.write(b"half")
    left.rest()
    long_ago = now() - timedelta(hours=1)
    await api.house.store.update(model.LOCATIONS, {"id": left.id}, seen_at=long_ago)
    await api.house.store.update(
        model.IMAGES,
        {"id": dead["id"]},
        status="saving",
        upload_token="token-of-the-dead",
        upload_seen_at=long_ago,
    )
    assert await sweep(api.house) == 2
    assert await status_of(api, dead["id"]) == "queued"
    assert api.kept() == [alive["id"]]
    assert await sweep(api.house) == 0
    assert (await api.upload(dead["id"], b"whole")).status_code == 204


async def test_whoever_was_given_up_puts_nothing_over_what_came_after(api: Api) -> None:
    image = await api.make()
    slow = await Copy.begin(api.house, image["id"], "file", "slow")
    await slow.write(b"old")
    await api.house.store.update(model.LOCATIONS, {"id": slow.id}, seen_at=now() - timedelta(hours=1))
    await sweep(api.house)
    assert (await api.upload(image["id"], b"new")).status_code == 204
    with pytest.raises(ImageGone):
        await slow.keep()
    slow.rest()
    assert (await api.request("GET", f"images/{image['id']}/file")).content == b"new"


@pytest.mark.parametrize("header", ["content-length", "x-openstack-image-size"])
async def test_what_says_that_it_is_too_large_is_not_read(api: Api, header: str) -> None:
    image = await api.make()

    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    headers = {"content-type": BYTES, header: str(1 << 40)}
    path = f"images/{image['id']}/file"
    assert (await api.request("PUT", path, content=unread(), headers=headers)).status_code == 413
    assert await status_of(api, image["id"]) == "queued"


@pytest.mark.parametrize("path", ["file", "stage"])
async def test_another_size_than_declared_is_refused(api: Api, path: str) -> None:
    image = await api.make()
    for size, status in (("11", 400), ("9", 400), ("ten", 400), ("10", 204)):
        headers = {"content-type": BYTES, "x-openstack-image-size": size}
        url = f"images/{image['id']}/{path}"
        answer = await api.request("PUT", url, content=b"0123456789", headers=headers)
        assert answer.status_code == status, answer.text
        assert api.kept() == ([] if status == 400 else [image["id"]])


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
async def test_a_full_disk_leaves_the_image_queued(
    api: Api, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await api.make()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(f"aerostat.services.image.drivers.file.store.os.{call}", full)
        answer = await api.upload(image["id"], b"some data")
    assert answer.status_code == 413
    assert answer.json()["message"].startswith("Image storage media is full")
    assert await status_of(api, image["id"]) == "queued"
    assert api.kept() == []
    assert (await api.upload(image["id"], b"some data")).status_code == 204


async def test_a_client_that_goes_while_a_block_is_written_disturbs_nobody(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is cancelled goes on in its thread: it must not write into a file that was opened after it."""
    image, gate, real = await api.make(), threading.Event(), os.write

    def slow(handle: int, data: bytes) -> int:
        gate.wait(5)
        return real(handle, data)

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(2 * MIB)
        await asyncio.sleep(0.05)
        gate.set()
        raise ConnectionError("the cable is out")

    monkeypatch.setattr("aerostat.services.image.drivers.file.store.os.write", slow)
    assert (await api.upload(image["id"], broken())).status_code == 500
    assert await status_of(api, image["id"]) == "queued"
    assert api.kept() == []


async def test_an_answer_of_the_database_that_is_lost_costs_no_bytes(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image is active, and whoever uploaded it is told that nobody knows."""
    fulfil = receiving.Claim.fulfil

    async def unheard(self: receiving.Claim, *given: Any) -> None:
        await fulfil(self, *given)
        raise StoreUnavailable("the connection broke at the answer to a commit")

    monkeypatch.setattr(receiving.Claim, "fulfil", unheard)
    image = await api.make()
    assert (await api.upload(image["id"], b"data")).status_code == 503
    assert await status_of(api, image["id"]) == "active"
    assert await api.content(image["id"]) == b"data"


async def test_too_large_is_refused_and_not_kept(api: Api) -> None:
    image = await api.make()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(MIB)

    answer = await api.upload(image["id"], endless())
    assert answer.status_code == 413
    assert await status_of(api, image["id"]) == "queued"
    assert api.kept() == []


@pytest.mark.parametrize(
    "what", ["backing file", "not a qcow2", "vmdk that points elsewhere", "vhdx that is none"]
)
async def test_hostile_images_are_refused_and_not_kept(api: Api, what: str) -> None:
    declared, data = HOSTILE[what]
    image = await api.make(disk_format=declared)
    answer = await api.upload(image["id"], data)
    assert answer.status_code == 415, answer.text
    assert await status_of(api, image["id"]) == "queued"
    assert api.kept() == []


async def test_a_good_qcow2_is_taken_with_its_virtual_size(api: Api) -> None:
    image = await api.filled(qcow2(version=3), disk_format="qcow2")
    assert image["virtual_size"] == MIB
    assert image["size"] == len(qcow2(version=3))


@pytest.mark.parametrize("size", [1, 7, 511, 65536])
async def test_how_the_bytes_are_cut_makes_no_difference(api: Api, size: int) -> None:
    data = qcow2(backing=b"/etc/shadow")[:70000]

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    image = await api.make(disk_format="qcow2")
    assert (await api.upload(image["id"], pieces())).status_code == 415


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=2-4", 2, 5),
        ("bytes=7-", 7, 10),
        ("bytes=-3", 7, 10),
        ("bytes=5-99", 5, 10),
    ],
)
async def test_ranges(api: Api, asked: str, start: int, end: int) -> None:
    image = await api.filled(b"0123456789")
    answer = await api.request("GET", f"images/{image['id']}/file", headers={"range": asked})
    assert answer.status_code == 206
    assert answer.content == b"0123456789"[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/10"
    assert answer.headers["content-length"] == str(end - start)


EMPTY = ["bytes=10-", "bytes=5-4", "bytes=99-100", "bytes=-0"]
MEANINGLESS = ["bytes=", "bytes=-", "lines=1-2", "bytes=" + "9" * 5000 + "-", "bytes=0x1-"]


@pytest.mark.parametrize("asked", [*EMPTY, *MEANINGLESS])
async def test_ranges_that_hold_nothing(api: Api, asked: str) -> None:
    image = await api.filled(b"0123456789")
    answer = await api.request("GET", f"images/{image['id']}/file", headers={"range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */10"


async def test_of_several_ranges_none_is_given(api: Api) -> None:
    image = await api.filled(b"0123456789")
    path = f"images/{image['id']}/file"
    assert (await api.request("GET", path, headers={"range": "bytes=0-1,3-4"})).status_code == 400


async def test_a_range_as_old_clients_ask_for_it(api: Api) -> None:
    image = await api.filled(b"0123456789")
    path = f"images/{image['id']}/file"
    answer = await api.request("GET", path, headers={"content-range": "bytes 2-4/*"})
    assert (answer.status_code, answer.content) == (206, b"234")
    odd = await api.request("GET", path, headers={"content-range": "bytes 12-14/*"})
    assert odd.status_code == 416


async def test_bytes_that_are_lost_are_an_error_and_no_broken_answer(api: Api) -> None:
    image = await api.filled()
    (api.folder / image["id"][:2] / image["id"]).unlink()
    answer = await api.request("GET", f"images/{image['id']}/file")
    assert answer.status_code == 500
    assert answer.json()["message"] == "The image's data is not there."


async def test_memory_stays_flat_over_a_large_upload(api: Api) -> None:
    image, piece = await api.make(), bytes(MIB)

    async def large() -> AsyncIterator[bytes]:
        for _ in range(60):
            yield piece

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (await api.upload(image["id"], large())).status_code == 204
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 30 * KIB


async def test_an_image_has_no_tasks_for_those_who_know_it(api: Api) -> None:
    image, bob = await api.filled(), api("bob")
    path = f"images/{image['id']}/tasks"
    assert (await api.request("GET", path)).json() == {"tasks": []}
    assert (await bob.request("GET", path)).status_code == 404
