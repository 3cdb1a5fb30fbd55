"""Connections to another node: HTTP/1.1 as far as `wire` needs it, and a limit on every wait."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any

import httptools

from ..stores.protocol import DeviceAway
from . import wire
from .waits import Waits

HIGH_WATER = 1 << 20
IDLE_S = 30.0
"""After that a connection is not used again: shorter than what servers wait before they close it."""
_LAST_CHUNK = b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One request at a time. Only one whose answer has come to its end is used again."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._parser = httptools.HttpResponseParser(self)
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._is_clogged = False
        self._is_whole = True
        self._is_open = False
        self._owed = b""
        self._body = bytearray()
        self._frames = wire.Frames()
        self.status = 0
        self.is_lost = False
        self.idle_since_s = 0.0

    @property
    def is_free(self) -> bool:
        """Whether another request may be sent."""
        return self._is_whole and not self.is_lost

    @property
    def has_more(self) -> bool:
        """Whether the other side has said something that was not taken yet."""
        return bool(len(self._frames)) or self._is_whole

    def abort(self) -> None:
        self.is_lost = True
        self._transport.abort()

    async def call(self, head: bytes, body: bytes, limit_s: float) -> bytes:
        """A body there and one back; `status` is set. Raises `DeviceAway`, TimeoutError."""
        self._begin()
        self._transport.write(b"%s%scontent-length: %d\r\n\r\n%s" % (self._owed, head, len(body), body))
        self._owed = b""
        await self._end(limit_s)
        return bytes(self._body)

    async def open(self, head: bytes, arguments: bytes, limit_s: float) -> bytes:
        """Frames both ways from now on; answers the first. Raises what the other side tells, `DeviceAway`,
        TimeoutError.
        """
        self._begin()
        self._is_open = True
        self._transport.write(b"%s%stransfer-encoding: chunked\r\n\r\n" % (self._owed, head))
        self._owed = _LAST_CHUNK
        self.say(wire.ANSWER, arguments)
        return (await self.take(limit_s))[1]

    def say(self, kind: int, content: bytes, *, is_last: bool = False) -> None:
        """Raises `DeviceAway`."""
        if self.is_lost:
            raise DeviceAway("the connection was lost")
        size = wire.FRAME.size + len(content)
        end = b"\r\n" + _LAST_CHUNK if is_last else b"\r\n"
        self._transport.writelines((b"%x\r\n" % size + wire.frame_head(kind, content), content, end))
        if is_last:
            self._owed = b""

    async def drain(self, limit_s: float) -> None:
        """Until the other side has taken most of what was said. Raises `DeviceAway`, TimeoutError."""
        while self._is_clogged:
            await self._wait(limit_s)

    async def take(self, limit_s: float) -> tuple[int, bytes]:
        """The next frame, with its kind. Raises what the other side tells, `DeviceAway`, TimeoutError."""
        while (found := self._next()) is None:
            if self._is_whole:
                raise error_of(self.status, bytes(self._body))
            self._transport.resume_reading()
            await self._wait(limit_s)
        if found[0] == wire.FAULT:
            raise wire.error_of(found[1])
        return found

    def _next(self) -> tuple[int, bytes] | None:
        try:
            return self._frames.next()
        except ValueError as error:
            self.abort()
            raise DeviceAway(str(error)) from error

    async def end(self, limit_s: float) -> None:
        """Nothing more is said, on either side. Raises `DeviceAway`, TimeoutError."""
        if not self._is_whole:
            self._transport.write(self._owed)
            self._owed = b""
            await self._end(limit_s)

    async def _end(self, limit_s: float) -> None:
        while not self._is_whole:
            await self._wait(limit_s)

    def _begin(self) -> None:
        self._is_whole = self._is_open = False
        self.status = 0
        self._body = bytearray()
        self._frames = wire.Frames()

    async def _wait(self, limit_s: float) -> None:
        """For anything to happen."""
        if self.is_lost:
            raise DeviceAway("the connection was lost")
        waiter = self._waiter = self._loop.create_future()
        timer = self._loop.call_later(limit_s, _expire, waiter, limit_s)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # Of asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort()
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self._is_clogged = False
        self._wake()

    def pause_writing(self) -> None:
        self._is_clogged = True

    def resume_writing(self) -> None:
        self._is_clogged = False
        self._wake()

    # Of the parser

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        if not self._is_open or self.status != 200:
            self._body += body
            return
        self._frames.feed(body)
        if len(self._frames) > HIGH_WATER + wire.LARGEST_FRAME:
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        self._is_whole = True
        self.is_lost = self.is_lost or not self._parser.should_keep_alive()
        self._wake()


class Node:
    """Another node, at `HOST:PORT`, and the connections to it."""

    def __init__(self, address: str, secret: bytes, waits: Waits) -> None:
        """Raises ValueError where `address` is none."""
        host, colon, port = address.rpartition(":")
        if not colon:
            raise ValueError(f"{address} is not the address of a node, HOST:PORT")
        self.address = address
        self.waits = waits
        self.errors = 0
        """How often it could not be reached, or went away."""
        self._host, self._port = host.strip("[]"), int(port)
        self._signer = wire.Signer(secret)
        self._idle: list[Connection] = []
        self._room = asyncio.Semaphore(waits.most_connections)
        self._away_until_s = 0.0

    async def call(self, path: str, body: bytes) -> bytes:
        """Raises what the other side tells, `DeviceAway`, TimeoutError."""
        connection = await self.take()
        try:
            answer = await connection.call(self._head(path), wire.sealed(body), self.waits.answer_s)
        except BaseException:
            connection.abort()
            raise
        finally:
            self.give_back(connection)
        if connection.status != 200:
            raise error_of(connection.status, answer)
        try:
            return wire.unsealed(answer)
        except wire.Changed as error:
            raise DeviceAway(f"the answer of {self.address}: {error}") from error

    async def open(self, path: str, arguments: bytes) -> tuple[Connection, bytes]:
        """A connection to talk on, to be given back, and what was answered first. Raises as `call`."""
        connection = await self.take()
        try:
            return connection, await connection.open(self._head(path), arguments, self.waits.answer_s)
        except BaseException:
            if not connection.is_free:
                connection.abort()
            self.give_back(connection)
            raise

    async def take(self) -> Connection:
        """Raises `DeviceAway`."""
        now_s = time.monotonic()
        if now_s < self._away_until_s:
            raise DeviceAway(f"{self.address} was away a moment ago")
        try:
            async with asyncio.timeout(self.waits.answer_s if self._room.locked() else None):
                await self._room.acquire()
        except TimeoutError as error:
            raise DeviceAway(f"too much is asked of {self.address} at once") from error
        try:
            while self._idle:
                connection = self._idle.pop()
                if connection.is_free and now_s - connection.idle_since_s < IDLE_S:
                    return connection
                connection.abort()
            with self._told_away():
                async with asyncio.timeout(self.waits.connect_s):
                    _, connection = await asyncio.get_running_loop().create_connection(
                        Connection, self._host, self._port
                    )
                    return connection
        except BaseException:
            self._room.release()
            raise

    def give_back(self, connection: Connection) -> None:
        self._room.release()
        if connection.is_free:
            connection.idle_since_s = time.monotonic()
            self._idle.append(connection)
        else:
            connection.abort()

    @contextlib.contextmanager
    def _told_away(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # TimeoutError is one
            self.errors += 1
            self._away_until_s = time.monotonic() + self.waits.away_s
            raise DeviceAway(f"{self.address} cannot be reached: {error or 'it took too long'}") from error

    def _head(self, path: str) -> bytes:
        return b"POST %s HTTP/1.1\r\nhost: %s\r\nauthorization: %s\r\n" % (
            path.encode(),
            self.address.encode(),
            self._signer.sign(path),
        )

    def close(self) -> None:
        for connection in self._idle:
            connection.abort()
        self._idle.clear()


def error_of(status: int, content: bytes) -> Exception:
    """What an answer that is none means."""
    if status in wire.STATUSES.values():
        return wire.error_of(content)
    if status == 200:
        return DeviceAway("the answer ended too early")
    return DeviceAway(f"the node answers {status}")


def _expire(waiter: asyncio.Future[None], limit_s: float) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError(f"nothing came for {limit_s:g} s"))
