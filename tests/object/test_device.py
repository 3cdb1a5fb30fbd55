"""A device of this node, by the verbs that a remote one has, too."""

import os
from hashlib import md5

import pytest

from aerostat.services.object.stores.account_db import ContainerEntry
from aerostat.services.object.stores.container_db import Entry
from aerostat.services.object.stores.device import PIECE, LocalDevice
from aerostat.services.object.stores.listing import Asked
from aerostat.services.object.stores.object_file import Facts
from aerostat.services.object.stores.protocol import Place

PLACE = Place(3, "ab" * 16)
OTHER = Place(3, "cd" * 16)


@pytest.fixture
async def device(tmp_path):
    device = LocalDevice(tmp_path / "d1")
    yield device
    await device.close()


def facts(data, at=5):
    return Facts(path="/a/c/o", timestamp=at, size=len(data), etag=md5(data).hexdigest())


async def whole(found, start=0, end=None):
    return b"".join([piece async for piece in found.stream(start, found.facts.size if end is None else end)])


@pytest.mark.parametrize("size", [0, 100, 3 * PIECE + 7])
async def test_bytes_come_back(device, size):
    data = os.urandom(size)
    writing = await device.begin(0, PLACE, size)
    for start in range(0, size, 100_000):
        await writing.write(data[start : start + 100_000])
    await writing.commit(facts(data))
    await writing.close()
    found = await device.find(0, PLACE)
    assert await whole(found) == data
    assert await whole(found, size // 3, size // 2) == data[size // 3 : size // 2]
    await found.close()
    assert await device.find(1, PLACE) is None, "another policy has names of its own"
    assert (await device.delete(0, PLACE, "/a/c/o", 6)).size == size


async def test_a_container_is_made_once_and_comes_back_new(device):
    said = {"x-container-meta-a": ("1", 5)}
    assert await device.hear_objects(PLACE, [Entry(name="o", timestamp=5)]) is False
    assert await device.make_container(PLACE, "/a/c", 5, 1, said) is True
    assert await device.make_container(PLACE, "/a/c", 6, 1, {}) is False
    status, found = await device.container(PLACE)
    assert (status.policy, status.put_at, found) == (1, 6, said)
    assert await device.hear_objects(PLACE, [Entry(name="o", timestamp=7, size=3)]) is True
    assert [entry.name for entry in await device.list_container(PLACE, Asked())] == ["o"]
    assert await device.delete_container(PLACE, 8) is False
    await device.hear_objects(PLACE, [Entry(name="o", timestamp=9, is_gone=True)])
    assert await device.delete_container(PLACE, 10) is True
    assert await device.container(PLACE) is None
    assert await device.list_container(PLACE, Asked()) is None
    assert await device.say_of_container(PLACE, said) is False
    assert await device.make_container(PLACE, "/a/c", 11, 1, {}) is True
    assert await device.delete_container(OTHER, 12) is None


async def test_an_account_knows_its_containers(device):
    assert await device.account(PLACE) is None
    assert await device.make_account(PLACE, "/a", 5, {}) is True
    assert await device.hear_containers(PLACE, [ContainerEntry(name="c", put_at=6, objects=2, bytes=9)])
    status, _ = await device.account(PLACE)
    assert (status.containers, status.objects, status.bytes) == (1, 2, 9)
    assert [entry.name for entry in await device.list_account(PLACE, Asked())] == ["c"]
    assert await device.say_of_account(PLACE, {"x-account-meta-a": ("1", 7)}) is True
    assert (await device.account(PLACE))[1] == {"x-account-meta-a": ("1", 7)}
    assert await device.delete_account(PLACE, 8) is True
    assert await device.account(PLACE) is None
