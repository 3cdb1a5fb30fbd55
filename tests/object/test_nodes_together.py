"""Several nodes with a proxy each, over real HTTP between them: what one took, all have, and any gives back."""

import contextlib
import os
import socket

import msgspec
import pytest

from aerostat.services.object.config import ObjectConfig
from aerostat.services.object.places import Places
from aerostat.services.object.ring import Builder, RingError
from aerostat.services.object.room import ObjectStore

from .kit import Store
from .nodes import QUICK, SECRET, serving, until

LARGE = 3 << 20


class Machine:
    """A node: its store, and its address, where it answers other nodes unless it is stopped."""

    def __init__(self, folder, listener):
        self.listener = listener
        self.address = f"127.0.0.1:{listener.getsockname()[1]}"
        self.places = Places(folder)
        self.stack = contextlib.AsyncExitStack()

    async def start(self, ring):
        for path in (self.places.folder, self.places.rings, self.places.devices):
            path.mkdir(exist_ok=True)
        (self.places.folder / "secret").write_bytes(SECRET)
        for name in ("account", "container", "object"):
            ring.save(self.places.ring_file(name))
        settings = msgspec.convert({"replicas": 3, "node": self.address, "node_waits": QUICK}, ObjectConfig)
        self.room = ObjectStore(settings, self.places)
        self.ask = Store(self.room)
        self.serving = await self.stack.enter_async_context(contextlib.AsyncExitStack())
        await self.serving.enter_async_context(serving(self.room.node, self.listener))

    async def stop(self):
        """Other nodes get no answer any more; its own proxy works on."""
        await self.serving.aclose()

    async def close(self):
        await self.stack.aclose()
        await self.room.close()

    def files(self):
        return sum(len(files) for path, _, files in os.walk(self.places.devices / "d1" / "objects") if files)


@pytest.fixture
async def machines(tmp_path):
    machines = [Machine(tmp_path / f"n{n}", socket.create_server(("127.0.0.1", 0))) for n in range(3)]
    builder = Builder(4, 3)
    for zone, machine in enumerate(machines):
        builder.add(node=machine.address, name="d1", weight=1.0, zone=zone)
    builder.rebalance()
    for machine in machines:
        await machine.start(builder.ring())
    yield machines
    for machine in machines:
        await machine.close()


async def test_what_one_took_all_have(machines):
    one, two, three = machines
    await one.ask.put("/v1/a/c")
    data = os.urandom(LARGE)
    await two.ask.put("/v1/a/c/large", data)
    await three.ask.put("/v1/a/c/small", b"small")
    await until(lambda: [machine.files() for machine in machines] == [2, 2, 2])
    for machine in machines:
        assert (await machine.ask("GET", "/v1/a/c/large")).body == data
        part = await machine.ask("GET", "/v1/a/c/large", headers={"range": "bytes=1000000-1000009"})
        assert (part.status, part.body) == (206, data[1_000_000:1_000_010])
        assert (await machine.ask("GET", "/v1/a/c")).lines == ["large", "small"]
    assert (await one.ask("DELETE", "/v1/a/c/small")).status == 204
    for machine in machines:
        assert (await machine.ask("GET", "/v1/a/c/small")).status == 404


async def test_bytes_that_rot_on_one_node_are_read_from_another(machines):
    one, two, three = machines
    await one.ask.put("/v1/a/c")
    data = os.urandom(LARGE)
    await one.ask.put("/v1/a/c/large", data)
    await until(lambda: [machine.files() for machine in machines] == [1, 1, 1])
    for machine, at in ((one, 0), (two, 2_000_000)):
        (path,) = (machine.places.devices / "d1").glob("objects/*/*/*")
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes([data[at] ^ 1]))
    assert (await three.ask("GET", "/v1/a/c/large")).body == data
    assert (await one.ask("GET", "/v1/a/c/large")).body == data
    part = await two.ask("GET", "/v1/a/c/large", headers={"range": "bytes=1999999-2000009"})
    assert (part.status, part.body) == (206, data[1_999_999:2_000_010])
    assert [machine.files() for machine in machines] == [0, 0, 1]


async def test_one_node_that_is_down_is_no_hindrance(machines):
    one, two, three = machines
    await one.ask.put("/v1/a/c")
    await one.ask.put("/v1/a/c/before", b"before")
    await three.stop()
    for name, data in (("small", b"small"), ("large", os.urandom(LARGE))):
        await one.ask.put(f"/v1/a/c/{name}", data)
        assert (await two.ask("GET", f"/v1/a/c/{name}")).body == data
    assert (await two.ask("GET", "/v1/a/c/before")).body == b"before"
    assert (await two.ask("GET", "/v1/a/c")).lines == ["before", "large", "small"]


async def test_without_a_quorum_nothing_is_said_to_be_done(machines):
    one, two, three = machines
    await one.ask.put("/v1/a/c")
    await two.stop()
    await three.stop()
    assert (await one.ask("PUT", "/v1/a/c/o", b"x")).status == 503
    assert (await one.ask("PUT", "/v1/a/c/o", os.urandom(LARGE))).status == 503


async def test_a_ring_with_a_node_without_an_address_is_refused(tmp_path):
    builder = Builder(4, 1)
    builder.add(node="elsewhere", name="d1", weight=1.0)
    builder.rebalance()
    machine = Machine(tmp_path / "n", socket.create_server(("127.0.0.1", 0)))
    with pytest.raises(RingError, match="elsewhere is not the address"):
        await machine.start(builder.ring())
    machine.listener.close()
