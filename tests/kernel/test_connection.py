"""What one client may do with a connection: it always comes to an end."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aerostat import app_http
from aerostat.kernel.http import connection

LIMIT_S = 20.0
GET = b"GET / HTTP/1.1\r\nhost: h\r\n"


class Application:
    """Answers with what it was sent; `sends` many bytes when told."""

    def __init__(self) -> None:
        self.sends = 0
        self.sent = 0
        self.ended = asyncio.Event()
        self.is_reading = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        is_gone = scope["extensions"][connection.IS_GONE]
        received = b""
        while self.is_reading:
            message = await receive()
            received += message.get("body", b"")
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        piece = bytes(65536)
        while self.sent < self.sends and not is_gone():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            self.sent += len(piece)
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"got %d" % len(received)})
        self.ended.set()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def until(self, word: bytes) -> bytes:
        return await asyncio.wait_for(self._reader.readuntil(word), LIMIT_S)

    async def rest(self) -> bytes:
        """All until the other side closes."""
        found = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(LIMIT_S):
                while piece := await self._reader.read(65536):
                    found += piece
        return found

    def end(self) -> None:
        """Nothing more will be sent; what comes is read."""
        self._writer.write_eof()

    def go(self) -> None:
        self._writer.transport.abort()


@contextlib.asynccontextmanager
async def answered(application: Any, **options: Any) -> AsyncIterator[Any]:
    listener = app_http.listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    clients = []

    async def connect(**options: Any) -> Client:
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", port, **options)))
        return clients[-1]

    async with app_http.serving(application, listener, **options):
        try:
            yield connect
        finally:
            for client in clients:
                client.go()


async def test_heads_have_an_end() -> None:
    async with answered(Application()) as connect:
        client = await connect()
        await client.send(GET)
        for index in range(connection.MOST_HEAD_BYTES // 1000 + 300):
            await client.send(b"x-%d: %s\r\n" % (index % 5, b"v" * 1000))
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


async def test_one_endless_header_has_an_end() -> None:
    async with answered(Application()) as connect:
        client = await connect()
        await client.send(GET + b"x-long: ")
        for _ in range(100):
            await client.send(b"v" * 65536)
        assert b"200" not in (await client.rest())[:15]


async def test_many_headers_are_too_many() -> None:
    async with answered(Application()) as connect:
        for count, status in ((connection.MOST_HEADERS - 2, b"200"), (connection.MOST_HEADERS + 1, b"400")):
            client = await connect()
            await client.send(GET + b"x: y\r\n" * count + b"connection: close\r\n\r\n")
            assert (await client.rest()).startswith(b"HTTP/1.1 " + status)


async def test_long_lines_are_told_so() -> None:
    async with answered(Application()) as connect:
        client = await connect()
        path = b"/" + b"x" * connection.MOST_LINE_BYTES
        await client.send(b"GET " + path + b" HTTP/1.1\r\nhost: h\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 414 ")


async def test_empty_lines_have_an_end() -> None:
    async with answered(Application()) as connect:
        client = await connect()
        for _ in range(10):
            await client.send(b"\r\n" * 10_000)
        assert b"200" not in await client.rest()


async def test_a_head_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_LIMIT_S", 0.2)
    async with answered(Application()) as connect:
        silent, slow, second = await connect(), await connect(), await connect()
        await slow.send(GET)
        await second.send(GET + b"\r\n")
        assert b"got 0" in await second.until(b"got 0\r\n0\r\n\r\n")
        await second.send(GET)
        assert await silent.rest() == b""
        assert (await slow.rest()).startswith(b"HTTP/1.1 408 ")
        assert (await second.rest()).startswith(b"HTTP/1.1 408 ")


async def test_bodies_may_take_longer_than_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_LIMIT_S", 0.2)
    async with answered(Application()) as connect:
        client = await connect()
        await client.send(b"PUT / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 4\r\n\r\nab")
        await asyncio.sleep(0.5)
        await client.send(b"cd")
        assert b"got 4" in await client.rest()


async def test_an_answer_that_nobody_reads_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNREAD_LIMIT_S", 0.3)
    application = Application()
    application.sends = 1 << 30
    async with answered(application) as connect:
        client = await connect()
        await client.send(GET + b"\r\n")
        await asyncio.wait_for(application.ended.wait(), LIMIT_S)
        assert application.sent < 1 << 27


async def test_an_application_hears_that_its_client_has_gone() -> None:
    application = Application()
    application.sends = 1 << 40
    async with answered(application) as connect:
        client = await connect()
        await client.send(GET + b"\r\n")
        await client.until(b"\r\n\r\n")
        client.go()
        await asyncio.wait_for(application.ended.wait(), LIMIT_S)


async def test_bodies_that_nobody_wants_have_an_end() -> None:
    application = Application()
    application.is_reading = False
    async with answered(application) as connect:
        client = await connect()
        await client.send(b"PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n")
        await client.until(b"got 0\r\n0\r\n\r\n")
        chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
        for _ in range(200):
            await client.send(chunk)
        assert await client.rest() == b""


async def test_requests_one_after_the_other_are_answered_in_order() -> None:
    async with answered(Application()) as connect:
        client = await connect()
        put = b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n"
        await client.send(b"".join(put % size + bytes(size) for size in range(10)))
        await client.send(GET + b"connection: close\r\n\r\n")
        found = await client.rest()
        assert [found.index(b"got %d" % size) for size in range(10)] == sorted(
            found.index(b"got %d" % size) for size in range(10)
        )


async def test_a_body_that_comes_at_once_is_no_head() -> None:
    async with answered(Application()) as connect:
        client = await connect()
        for size in (1 << 10, 200 << 10, (1 << 20) - 60_000, 1 << 20):
            await client.send(b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % size + bytes(size))
            assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            await client.until(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"/a b", b"/a%20b"),
        ("/ü?q=ä".encode(), b"/%C3%BC"),
        (b"//a//b%20c", b"//a//b%20c"),
        (b"/%zz~\xff", b"/%zz~%FF"),
    ],
)
async def test_paths_that_should_have_been_quoted_are_read(sent: bytes, read: bytes) -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["raw_path"]})

    async with answered(echo) as connect:
        client = await connect()
        await client.send(b"GET " + sent + b" HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        assert b"\r\n" + read + b"\r\n0" in await client.rest()


@pytest.mark.parametrize("coding", [b"", b"transfer-encoding: gzip,chunked\r\n"])
async def test_a_body_that_makes_no_sense_does_not_cost_the_answer(coding: bytes) -> None:
    application = Application()
    application.is_reading = False
    async with answered(application) as connect:
        client = await connect()
        await client.send(b"PUT / HTTP/1.1\r\nhost: h\r\n" + coding + b"\r\nno message\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 200 ")


CHUNKED = b"PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"


async def test_chunks_that_make_no_sense_are_told_so_though_more_comes() -> None:
    """What is on its way when the answer is given does not take the answer from the client."""
    application = Application()
    async with answered(application) as connect:
        client = await connect()
        await client.send(CHUNKED + b"3\r\nabc\r\n")
        await client.send(b"no number\r\n" + bytes(500_000))
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
        await asyncio.wait_for(application.ended.wait(), LIMIT_S)


async def test_who_ends_the_own_half_is_answered() -> None:
    async with answered(Application()) as connect:
        client = await connect()
        await client.send(b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc" + GET + b"\r\n")
        client.end()
        found = await client.rest()
        assert (found.count(b"HTTP/1.1 200 "), b"got 3" in found, b"got 0" in found) == (2, True, True)
        broken = await connect()
        await broken.send(b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nab")
        broken.end()
        assert await broken.rest() == b""


async def test_an_application_hears_of_a_client_that_ended_its_half_and_has_gone() -> None:
    application = Application()
    application.sends = 1 << 40
    async with answered(application) as connect:
        client = await connect()
        await client.send(GET + b"\r\n")
        client.end()
        await client.until(b"\r\n\r\n")
        client.go()
        await asyncio.wait_for(application.ended.wait(), LIMIT_S)


@pytest.mark.parametrize(
    ("version", "expected", "status"),
    [
        (b"1.1", b"100-continue", b"100"),
        (b"1.1", b"100-Continue, 100-continue", b"100"),
        (b"1.1", b"wonders", b"417"),
        (b"1.1", b"100-continue, wonders", b"417"),
        (b"1.0", b"100-continue", b"200"),
        (b"1.0", b"wonders", b"200"),
    ],
)
async def test_nothing_is_expected_but_to_go_on(version: bytes, expected: bytes, status: bytes) -> None:
    head = b"PUT / HTTP/%s\r\nhost: h\r\nexpect: %s\r\ncontent-length: 3\r\n\r\n"
    async with answered(Application()) as connect:
        client = await connect()
        await client.send(head % (version, expected) + b"abc")
        assert (await client.until(b"\r\n")).startswith(b"HTTP/1.1 %s " % status)


async def test_what_trickles_in_after_the_answer_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece would put off the end of an idle connection."""
    monkeypatch.setattr(connection, "UNWANTED_LIMIT_S", 0.3)
    application = Application()
    application.is_reading = False
    async with answered(application) as connect:
        client = await connect()
        await client.send(b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n")
        ended = asyncio.create_task(client.rest())
        async with asyncio.timeout(LIMIT_S):
            while not ended.done():
                await client.send(b"x")
                await asyncio.sleep(0.02)
        assert (await ended).startswith(b"HTTP/1.1 200 ")
        again = await connect()
        await again.send(b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\n")
        await asyncio.sleep(0.1)
        await again.send(b"12345")  # all of it: the connection may be used on
        await asyncio.sleep(0.5)
        await again.send(GET + b"connection: close\r\n\r\n")
        assert (await again.rest()).count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize("says", [b"", GET, b"G", GET + b"x-slow: ", GET + b"\r\n"], ids=str)
async def test_connections_that_wait_keep_nobody_out(says: bytes) -> None:
    """Those that said nothing, that are not through with their head, and that have been answered."""
    files = len(os.listdir("/proc/self/fd"))
    async with answered(Application(), most_connections=10) as connect:
        for _ in range(5):
            held = [await connect() for _ in range(40)]
            for client in held:
                await client.send(says)
            honest = await connect()
            await honest.send(GET + b"connection: close\r\n\r\n")
            assert (await honest.rest()).startswith(b"HTTP/1.1 200 ")
            for client in held:
                client.go()
        await asyncio.sleep(0.05)
        assert len(os.listdir("/proc/self/fd")) < files + 20
    assert len(os.listdir("/proc/self/fd")) <= files + 1


async def test_a_crowd_of_one_address_keeps_no_other_out() -> None:
    """They come again and again, and send their heads in pieces that never end."""
    async with answered(Application(), most_connections=10) as connect:
        stop = asyncio.Event()

        async def hold() -> None:
            while not stop.is_set():
                client = await connect()
                await client.send(GET)
                for _ in range(10):
                    await client.send(b"x: y\r\n")
                    await asyncio.sleep(0.01)
                client.go()

        holding = [asyncio.create_task(hold()) for _ in range(50)]
        try:
            for _ in range(20):
                honest = await connect(local_addr=("127.0.0.2", 0))
                await asyncio.sleep(0.02)
                await honest.send(GET + b"connection: close\r\n\r\n")
                assert (await honest.rest()).startswith(b"HTTP/1.1 200 ")
        finally:
            stop.set()
            await asyncio.wait(holding, timeout=LIMIT_S)


async def test_who_is_being_answered_is_not_put_out() -> None:
    application = Application()
    async with answered(application, most_connections=3) as connect:
        working = [await connect() for _ in range(3)]
        for client in working:
            await client.send(
                b"PUT / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 5\r\n\r\n12"
            )
        await asyncio.sleep(0.1)
        late = await connect()
        assert (await late.rest()).startswith(b"HTTP/1.1 503 ")
        for client in working:
            await client.send(b"345")
            assert b"got 5" in await client.rest()
        again = await connect()
        await again.send(GET + b"connection: close\r\n\r\n")
        assert (await again.rest()).startswith(b"HTTP/1.1 200 ")
