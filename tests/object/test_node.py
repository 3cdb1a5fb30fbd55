"""A storage node among strangers, broken connections and crowds; and a device whose node is not well."""

import asyncio
import os
import time
from contextlib import asynccontextmanager, closing, suppress
from hashlib import md5

import msgspec
import pytest

from aerostat.services.object.node import wire
from aerostat.services.object.node.server import NodeServer
from aerostat.services.object.node.waits import Waits
from aerostat.services.object.stores.device import LocalDevice
from aerostat.services.object.stores.entries import Entry
from aerostat.services.object.stores.held import Place
from aerostat.services.object.stores.listing import Asked
from aerostat.services.object.stores.object_file import Damaged, Facts
from aerostat.services.object.stores.objects import Objects
from aerostat.services.object.stores.protocol import DeviceAway
from aerostat.services.object.stores.sums import PIECE

from .nodes import QUICK, SECRET, remote, serving, until

PLACE = Place(3, "ab" * 16)


@pytest.fixture
async def local(tmp_path):
    local = LocalDevice(tmp_path / "d1")
    yield local
    await local.close()


@pytest.fixture
async def address(local):
    async with serving(NodeServer({"d1": local}, SECRET)) as address:
        yield address


@pytest.fixture
async def device(address):
    with remote(address) as device:
        yield device


def facts(data, at=5):
    return Facts(path="/a/c/o", timestamp=at, size=len(data), etag=md5(data).hexdigest())


def leftovers(local):
    return [path for path in local.root.glob("tmp/**/*") if path.is_file()]


def open_files(local):
    """How many files of the device this process has open, but for those of databases."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return [path for path in found if path.startswith(str(local.root)) and ".db" not in path]


async def ask(address, head, body=b""):
    """The status of what is answered to these bytes; 0 when nothing is."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with closing(writer):
        writer.write(head + body)
        async with asyncio.timeout(20):
            line = await reader.readline()
    return int(line.split()[1]) if line else 0


def request(path, body, method="POST", signed=None, more=""):
    signed = wire.Signer(SECRET).sign(path) if signed is None else signed
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n{more}authorization: "
    return head.encode() + signed + b"\r\n\r\n" + body


# Strangers


@pytest.mark.parametrize(
    "signed",
    [
        b"",
        b"Bearer x",
        b"Aerostat 1 " + b"0" * 64,
        b"Aerostat x",
        b"Aerostat %d %s" % (time.time(), b"0" * 64),
        wire.Signer(b"another secret, as long as ours").sign("/d1/status"),
        wire.Signer(SECRET).sign("/d1/find"),
        wire.Signer(SECRET).sign("/d1/status") + b"0",
    ],
)
async def test_who_does_not_know_the_secret_gets_nothing(address, signed):
    for path in ("/d1/status", "/", "/../etc/passwd", "/none/none", "/d1/status/../find"):
        if not (path != "/d1/status" and b"find" in signed):
            assert await ask(address, request(path, wire.encode([]), signed=signed)) == 401


async def test_a_signature_ages(address, monkeypatch):
    signed = wire.Signer(SECRET).sign("/d1/status")
    assert await ask(address, request("/d1/status", wire.sealed(wire.encode([])), signed=signed)) == 200
    real = time.time
    for hours in (-1, 1):
        monkeypatch.setattr(time, "time", lambda hours=hours: real() + 3600 * hours)
        assert await ask(address, request("/d1/status", wire.sealed(wire.encode([])), signed=signed)) == 401


def test_the_secret_is_not_in_what_is_sent():
    signed = wire.Signer(SECRET).sign("/d1/status")
    assert SECRET not in signed
    assert SECRET.hex().encode() not in signed
    assert "secret" not in repr(wire.Signer(SECRET))


BAD = {
    "not messagepack": b"\xc1",
    "nothing": b"",
    "no arguments": wire.encode([]),
    "too many": wire.encode([0, PLACE, 1, 2, 3, 4, 5, 6]),
    "not an array": wire.encode({"a": 1}),
    "a path": wire.encode([0, {"part": 3, "hashed": "../../../../etc/passwd"}]),
    "a path of 32": wire.encode([0, {"part": 3, "hashed": "../" * 10 + "aa"}]),
    "a newline": wire.encode([0, {"part": 3, "hashed": "ab" * 16 + "\n"}]),
    "upper case": wire.encode([0, {"part": 3, "hashed": "AB" * 16}]),
    "a negative partition": wire.encode([0, {"part": -1, "hashed": "ab" * 16}]),
    "a text for a partition": wire.encode([0, {"part": "..", "hashed": "ab" * 16}]),
    "a negative policy": wire.encode([-1, PLACE]),
    "a store that is a path": wire.encode(["../..", 3]),
    "a store of another kind": wire.encode(["containers", 3]),
    "a store with a newline": wire.encode(["objects\n", 3]),
    "deep": b"\x91" * 100_000,
    "a length that lies": b"\xdd\xff\xff\xff\xff",
    "a huge text": b"\xdb\xff\xff\xff\xff",
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
async def test_odd_arguments_are_refused(address, local, body):
    for verb in wire.arguments:
        if (verb, body) in {
            ("status", BAD["no arguments"]),
            *((one, BAD["a store of another kind"]) for one in ("databases",)),
        }:
            continue
        content = wire.frame(wire.ANSWER, body) if verb in wire.OPENING else wire.sealed(body)
        assert await ask(address, request(f"/d1/{verb}", content)) == 400, verb
    assert leftovers(local) == []
    assert (await local.status()).stores == []


async def test_odd_requests_are_refused(address):
    for path in (
        "/",
        "/d1",
        "/d1/",
        "/d2/status",
        "/d1/close",
        "/d1/_run",
        "/d1/status/",
        "//d1/status",
        "/d1/%2e%2e",
    ):
        assert await ask(address, request(path.replace("%2e", "."), b"")) == 404 or "%" in path
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        assert await ask(address, request("/d1/status", b"", method)) == 405
    assert await ask(address, b"rubbish\r\n\r\n") == 400
    upgrade = "connection: upgrade\r\nupgrade: websocket\r\n"
    assert await ask(address, request("/d1/status", wire.sealed(wire.encode([])), more=upgrade)) == 400
    for frame in (b"\0\xff\xff\xff\xff" + bytes(8), wire.frame(9, b""), b"\0"):
        assert await ask(address, request("/d1/find", frame)) == 400


@pytest.mark.parametrize("at", [1 << 63, (1 << 64) - 1, -5])
async def test_times_beyond_all_are_refused_or_harmless(address, device, local, at):
    entry = {"name": "o", "timestamp": at}
    await device.make_container(PLACE, "/a/c", 1, 0, {})
    status = await ask(address, request("/d1/hear_objects", wire.sealed(wire.encode([PLACE, [entry]]))))
    assert status == (200 if at < 0 else 400)
    deletion = wire.sealed(wire.encode([0, PLACE, "/a/c/o", at]))
    assert await ask(address, request("/d1/delete_fragments", deletion)) == 400
    assert leftovers(local) == []


async def test_a_request_that_is_too_large_is_refused(address, monkeypatch):
    monkeypatch.setattr("aerostat.services.object.node.server.LARGEST_REQUEST", 1000)
    assert await ask(address, request("/d1/put", bytes(2000))) == 413


# Broken connections


async def start_upload(address, size):
    """A connection on which an upload was begun and `size` bytes came."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    path = "/d1/begin"
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nauthorization: ".encode()
    begin = wire.frame(wire.ANSWER, wire.encode([0, PLACE, None])) + wire.frame(wire.DATA, bytes(size))
    writer.write(head + wire.Signer(SECRET).sign(path) + b"\r\n\r\n%x\r\n%s\r\n" % (len(begin), begin))
    assert b"200" in await reader.readline()
    return reader, writer


async def test_an_upload_that_breaks_off_leaves_nothing(address, local, device):
    for ending in (b"", b"5\r\nab", b"ffff\r\n\0\xff\xff\0\0", b"0\r\n\r\n", b"rubbish\r\n"):
        _, writer = await start_upload(address, 300_000)
        await until(lambda: len(open_files(local)) == 1)
        writer.write(ending)
        writer.close()
        await until(lambda: open_files(local) == [])
        assert leftovers(local) == []
    assert await device.find(0, PLACE) is None


async def test_a_length_that_lies_leaves_nothing(address, local, device):
    data = wire.sealed(wire.encode([0, PLACE, bytes(5000), facts(bytes(5000))]))
    whole = request("/d1/put", data)
    host, port = address.split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(whole[:-100])
    writer.close()
    assert (
        await ask(address, whole.replace(b"content-length: %d" % len(data), b"content-length: 3000")) == 400
    )
    assert await device.find(0, PLACE) is None
    assert leftovers(local) == []


async def test_who_stops_in_the_middle_is_waited_for_only_so_long(local):
    async with serving(NodeServer({"d1": local}, SECRET, idle_s=0.1)) as address:
        _, writer = await start_upload(address, 1000)
        await until(lambda: open_files(local) == [] and leftovers(local) == [])
        writer.close()
        data = os.urandom(20 << 20)
        await local.put(0, PLACE, data, facts(data))
        with remote(address) as device:
            found = await device.find(0, PLACE)
            stream = found.stream(0, len(data))
            await anext(stream)  # and then takes no more
            await until(lambda: open_files(local) == [])
            await stream.aclose()
            await found.close()


async def test_who_goes_away_closes_what_he_opened(address, local, device):
    data = os.urandom(3 * PIECE)
    await local.put(0, PLACE, data, facts(data))
    for _ in range(5):
        found = await device.find(0, PLACE)
        stream = found.stream(0, len(data))
        await anext(stream)
        await stream.aclose()
        await found.close()
        task = asyncio.create_task(device.find(0, PLACE))
        await asyncio.sleep(0.001)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await (await task).close()
        writing = asyncio.create_task(device.begin(0, PLACE))
        await asyncio.sleep(0.001)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await (await writing).close()
    await until(lambda: open_files(local) == [] and leftovers(local) == [])
    found = await device.find(0, PLACE)
    assert b"".join([piece async for piece in found.stream(0, len(data))]) == data
    await found.close()


# Crowds


async def test_only_so_many_files_are_open_at_once(local):
    data = os.urandom(3 * PIECE)
    await local.put(0, PLACE, data, facts(data))
    async with serving(NodeServer({"d1": local}, SECRET, most_at_once=10)) as address:
        with remote(address) as device:
            found = await asyncio.gather(*(device.find(0, PLACE) for _ in range(40)), return_exceptions=True)
            assert len(open_files(local)) == 10
            refused = [one for one in found if isinstance(one, DeviceAway)]
            assert len(refused) == 30
            assert "busy" in str(refused[0])
            for one in found:
                if not isinstance(one, DeviceAway):
                    await one.close()
            await until(lambda: open_files(local) == [])
            await (await device.find(0, PLACE)).close()


async def test_only_so_many_connections_are_made_and_others_wait(address, local):
    waits = msgspec.structs.replace(QUICK, answer_s=60.0, most_connections=4)
    with remote(address, waits=waits) as device:
        await asyncio.gather(*(device.put(0, Place(3, f"{n:032x}"), b"x", facts(b"x")) for n in range(100)))
        assert len(device.node._idle) <= 4
    assert len(list(local.objects(0).hashes(3))) == 100


# A node that is not well


async def test_a_node_that_is_not_there_is_away_at_once_and_asked_again_later(local):
    async with serving(NodeServer({"d1": local}, SECRET)) as address:
        pass
    with remote(address) as device:
        for _ in range(3):
            with pytest.raises(DeviceAway):
                await device.status()
        assert device.node.errors == 1, "only the first tried"
        assert device.errors == 3
        await asyncio.sleep(QUICK.away_s)
        with pytest.raises(DeviceAway):
            await device.status()
        assert device.node.errors == 2


async def test_a_disk_that_hangs_is_away_and_others_are_not(local, tmp_path, monkeypatch):
    other = LocalDevice(tmp_path / "d2")
    find = Objects.find

    def hang(self, *args):
        if "d1" in self.tree.root:
            time.sleep(0.5)
        return find(self, *args)

    monkeypatch.setattr(Objects, "find", hang)
    waits = Waits(connect_s=0.5, answer_s=0.1, chunk_s=0.1, away_s=0.3)
    async with serving(NodeServer({"d1": local, "d2": other}, SECRET)) as address:
        with remote(address, waits=waits) as one, remote(address, "d2", waits=waits) as two:
            two.node.close()
            two.node = one.node
            with pytest.raises(DeviceAway, match="nothing came"):
                await one.find(0, PLACE)
            start = time.monotonic()
            with pytest.raises(DeviceAway, match="a moment ago"):
                await one.status()
            assert time.monotonic() - start < 0.05
            assert await two.find(0, PLACE) is None
            await asyncio.sleep(0.6)
            assert (await one.status()).device_id
    await other.close()


async def test_a_node_that_dies_in_the_middle_is_told(local):
    data = os.urandom(20 << 20)
    await local.put(0, PLACE, data, facts(data))
    async with serving(NodeServer({"d1": local}, SECRET)) as address:
        with remote(address) as device:
            found = await device.find(0, PLACE)
            writing = await device.begin(0, Place(3, "cd" * 16))
            stream = found.stream(0, len(data))
            await anext(stream)
            for connection in (found._connection, writing._connection):
                connection._transport.abort()
            with pytest.raises(DeviceAway):
                async for _ in stream:
                    pass
            with pytest.raises(DeviceAway):
                await writing.write(bytes(100 << 20))
            await found.close()
            await writing.close()
            assert (await device.status()).device_id, "another connection is made"
    await until(lambda: open_files(local) == [] and leftovers(local) == [])


RUBBISH = {
    "no HTTP": b"rubbish",
    "no MessagePack": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n\xc1",
    "another's error": b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno",
    "a fault that is none": b"HTTP/1.1 409 No\r\ncontent-length: 2\r\n\r\nno",
    "a huge frame": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n\1\xff\xff\xff\xff",
    "an upgrade": b"HTTP/1.1 101 No\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("answered", RUBBISH.values(), ids=RUBBISH.keys())
@pytest.mark.parametrize("verb", ["status", "find", "begin"])
async def test_a_node_that_answers_rubbish_is_away(answered, verb):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answered)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        with remote(f"{host}:{port}") as device:
            with pytest.raises(DeviceAway):
                await getattr(device, verb)(*(() if verb == "status" else (0, PLACE)))
            assert device.errors == 1
            assert device.node._room._value == device.node.waits.most_connections


# A network that changes what it carries


@asynccontextmanager
async def changing(address, at, *, answers):
    """The address of a relay that flips a bit of the byte at `at` of what it carries: of questions, or of answers."""
    host, port = address.split(":")
    tasks = set()

    async def carry(reader, writer, is_changed):
        place = 0
        with suppress(ConnectionError):
            while piece := await reader.read(65536):
                if is_changed and place <= at < place + len(piece):
                    flipped = bytearray(piece)
                    flipped[at - place] ^= 4
                    piece = bytes(flipped)
                place += len(piece)
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def met(reader, writer):
        there, back = await asyncio.open_connection(host, int(port))
        for task in (carry(reader, back, not answers), carry(there, writer, answers)):
            tasks.add(asyncio.create_task(task))

    server = await asyncio.start_server(met, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


REFUSED = (DeviceAway, ValueError, Damaged)
IMPATIENT = Waits(connect_s=1.0, answer_s=2.0, chunk_s=2.0, away_s=0.0)


async def in_pieces(device, data):
    writing = await device.begin(0, PLACE, len(data))
    try:
        for start in range(0, len(data), 100_000):
            await writing.write(data[start : start + 100_000])
        await writing.commit(facts(data))
    finally:
        await writing.close()


@pytest.mark.parametrize("at", [500, 70_000, 299_000])
async def test_bytes_that_change_on_their_way_there_are_not_kept(address, device, local, at):
    data = os.urandom(300_000)
    async with changing(address, at, answers=False) as between:
        with remote(between, waits=IMPATIENT) as changed, pytest.raises(REFUSED):
            await changed.put(0, PLACE, data, facts(data))
        assert await device.find(0, PLACE) is None
    async with changing(address, at, answers=False) as between:
        with remote(between, waits=IMPATIENT) as changed, pytest.raises(REFUSED):
            await in_pieces(changed, data)
        assert await device.find(0, PLACE) is None
    await until(lambda: leftovers(local) == [])


@pytest.mark.parametrize("at", [120_000, 600_000])
async def test_bytes_that_change_on_their_way_back_are_not_taken(address, device, at):
    data = os.urandom(700_000)
    await device.put(0, PLACE, data, facts(data))
    async with changing(address, at, answers=True) as between:
        with remote(between, waits=IMPATIENT) as changed:
            found = await changed.find(0, PLACE)
            got = bytearray()

            async def take():
                async for piece in found.stream(0, len(data)):
                    got.extend(piece)

            with pytest.raises(DeviceAway, match="changed on its way"):
                await take()
            assert got == data[: len(got)]
            await found.close()
    assert (await device.status()).quarantined == {}


async def test_an_answer_that_changes_on_its_way_is_none(address, device):
    await device.make_container(PLACE, "/a/c", 1, 0, {})
    names = [Entry(name=f"{n:050d}", timestamp=5) for n in range(100)]
    assert await device.hear_objects(PLACE, names)
    async with changing(address, 3000, answers=True) as between:
        with (
            remote(between, waits=IMPATIENT) as changed,
            pytest.raises(DeviceAway, match="changed on its way"),
        ):
            await changed.list_container(PLACE, Asked())
