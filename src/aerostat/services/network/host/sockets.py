"""Sockets that live in namespaces, handed from the host process to the control process.

A socket belongs to the network namespace it was made in, whoever holds it. The host process (root) makes it
there and passes it over a unix socket (SCM_RIGHTS): the control process then answers metadata, the guests'
API calls and `ssh` by itself, without privileges and without a proxy in between. One request and one answer
per connection, each one packet; the answer carries the socket.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable
from pathlib import Path
from typing import Literal

import msgspec

from aerostat.kernel.errors import DriverError
from aerostat.kernel.log import get_logger
from aerostat.kernel.peers import Stranger, check_peer

from .protocol import HostNetworkDriver

_LONGEST_MESSAGE = 64 * 1024
_ANSWER_TIMEOUT_S = 30.0
_REQUEST_TIMEOUT_S = 5.0

log = get_logger(__name__)


class Request(msgspec.Struct, frozen=True):
    verb: Literal["listen", "connect"]
    namespace: str
    address: str
    port: int
    timeout_s: float = 10.0


class Answer(msgspec.Struct, frozen=True):
    """Empty, beside the socket; or what went wrong, as in DriverError."""

    error: str | None = None
    detail: str | None = None
    retry: bool = False


class SocketServer:
    """Serves the socket verbs of `driver` at `path`. Only `client` (user, group id) and root may come in."""

    def __init__(self, driver: HostNetworkDriver, path: Path, client: tuple[int, int] | None = None) -> None:
        self._driver, self._path, self._client = driver, path, client
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. What an earlier process left at `path` is replaced."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.setblocking(False)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        before = os.umask(0o177)
        try:
            listener.bind(str(self._path))
        finally:
            os.umask(before)
        if self._client is not None:
            os.chown(self._path, *self._client)
        listener.listen(64)
        self._listener = listener
        self._spawn(self._accept(listener))

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await _when_readable(listener)
            with contextlib.suppress(BlockingIOError):
                connection, _ = listener.accept()
                connection.setblocking(False)
                try:
                    check_peer(connection, *(self._client or ())[:1])
                except Stranger as stranger:
                    log.error("sockets.stranger", reason=str(stranger))
                    connection.close()
                else:
                    self._spawn(self._serve(connection, loop))

    async def _serve(self, connection: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        with connection:
            made: socket.socket | None = None
            try:
                async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                    packet = await loop.sock_recv(connection, _LONGEST_MESSAGE)
                request = msgspec.json.decode(packet, type=Request)
                made = await self._make(request)
                answer = Answer()
            except DriverError as error:
                answer = Answer(error.message, error.detail, error.retry)
            except (TimeoutError, msgspec.DecodeError) as error:
                answer = Answer("the request for a socket was not understood", repr(error))
            with contextlib.suppress(OSError):  # the asker went away
                socket.send_fds(connection, [msgspec.json.encode(answer)], [made.fileno()] if made else [])
            if made is not None:
                made.close()

    async def _make(self, request: Request) -> socket.socket:
        if request.verb == "listen":
            return await self._driver.listen(request.namespace, request.address, request.port)
        return await self._driver.connect(request.namespace, request.address, request.port, request.timeout_s)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class SocketClient:
    """Asks a `SocketServer` at `path`. The sockets it gives are non-blocking and the caller's own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def listen(self, namespace: str, address: str, port: int) -> socket.socket:
        """See `HostNetworkDriver.listen`."""
        return await self._ask(Request("listen", namespace, address, port))

    async def connect(
        self, namespace: str, address: str, port: int, timeout_s: float = 10.0
    ) -> socket.socket:
        """See `HostNetworkDriver.connect`."""
        return await self._ask(Request("connect", namespace, address, port, timeout_s))

    async def _ask(self, request: Request) -> socket.socket:
        loop = asyncio.get_running_loop()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                connection.setblocking(False)
                async with asyncio.timeout(_ANSWER_TIMEOUT_S + request.timeout_s):
                    await loop.sock_connect(connection, str(self._path))
                    await loop.sock_sendall(connection, msgspec.json.encode(request))
                    await _when_readable(connection)
                packet, descriptors, _, _ = socket.recv_fds(connection, _LONGEST_MESSAGE, 1)
        except OSError as error:
            raise DriverError(
                "the host process does not hand out sockets", detail=str(error), retry=True
            ) from error
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        if not packet:
            raise DriverError("the host process went away", retry=True)
        answer = msgspec.json.decode(packet, type=Answer)
        if answer.error is not None or not sockets:
            raise DriverError(answer.error or "no socket came", detail=answer.detail, retry=answer.retry)
        sockets[0].setblocking(False)
        return sockets[0]


async def _when_readable(waited_for: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    descriptor = waited_for.fileno()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
