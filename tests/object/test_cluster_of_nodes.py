"""A cluster whose devices are all behind HTTP: the same verbs, the same answers, nothing left open."""

import os

import pytest

from aerostat.services.object.cluster.policies import Policy
from aerostat.services.object.node.connection import Node
from aerostat.services.object.node.remote import RemoteDevice
from aerostat.services.object.node.server import NodeServer
from aerostat.services.object.stores.container_db import Entry
from aerostat.services.object.stores.listing import Asked
from aerostat.services.object.stores.object_file import Revision
from aerostat.services.object.stores.pending import Pending

from .faults import Devices, facts, leftovers, read, write
from .nodes import QUICK, SECRET, serving, until

POLICIES = [
    Policy(index=0, name="gold", replicas=3, is_default=True),
    Policy(index=1, name="tin", kind="erasure", ec_data=2, ec_parity=2),
]
SIZE = 3_500_000


@pytest.fixture
async def five(tmp_path):
    devices = Devices(tmp_path, 5, POLICIES)
    server = NodeServer({device.root.name: device for device in devices.local.values()}, SECRET)
    async with serving(server) as address:
        node = Node(address, SECRET, QUICK)
        for key, faulty in devices.faulty.items():
            faulty.device = RemoteDevice(node, key.rpartition("/")[2])
        yield devices
        devices.mend()
        await devices.cluster.close()
        node.close()
        await until(lambda: leftovers(tmp_path) == [])
        await until(lambda: open_files(tmp_path) == [])
    await devices.close()


def open_files(root):
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    return [path for path in found if path.startswith(str(root)) and ".db" not in path]


@pytest.mark.parametrize("policy", [0, 1])
async def test_objects_come_back_whole_and_in_parts(five, policy):
    store = five.cluster.objects(policy)
    data = os.urandom(SIZE)
    await write(store, data, 5)
    await store.put("a", "c", "p", data[:5000], facts(data[:5000], 5, "p"))
    assert await read(store) == data
    assert await read(store, start=1_000_000, end=2_500_000) == data[1_000_000:2_500_000]
    assert await read(store, "p", newest=True) == data[:5000]
    said = Revision(timestamp=6, headers={"x-object-meta-a": "1"})
    assert (await store.post("a", "c", "o", said)).size == SIZE
    found = await store.find("a", "c", "o")
    assert found.facts.headers == said.headers
    assert b"".join([piece async for piece in found.stream(0, 10)]) == data[:10]
    await found.close()
    assert (await store.delete("a", "c", "o", 7)).size == SIZE
    assert await read(store) is None
    assert await read(store, "q") is None


@pytest.mark.parametrize("policy", [0, 1])
async def test_one_that_fails_is_no_hindrance(five, policy):
    store = five.cluster.objects(policy)
    data = os.urandom(SIZE)
    holders = five.of("a", "c", "o", policy)
    holders[0].away = True
    await write(store, data, 5)
    five.mend()
    holders[1].dies_after = 600_000
    assert await read(store, newest=True) == data
    await write(store, data[::-1], 6)
    assert await read(store, newest=True) == data[::-1]
    holders[2].hang()
    await store.put("a", "c", "o", b"x", facts(b"x", 7))
    assert await read(store, newest=True) == b"x"


async def test_listings_and_notes(five, tmp_path):
    containers = five.cluster.containers
    await five.cluster.accounts.make("a", 1, {})
    assert await containers.make("a", "c", 5, 0, {"x-container-meta-a": ("1", 5)}) is True
    five.of("a", "c")[0].away = True
    await containers.hear("a", "c", [Entry(name="o", timestamp=6, size=3)])
    assert [one.name for one in await containers.list("a", "c", Asked())] == ["o"]
    assert (await five.cluster.accounts.status("a"))[0].bytes == 3
    kept = [list(Pending(device).names()) for device in sorted(tmp_path.glob("d*"))]
    assert sum(len(names) for names in kept) == 1
