"""The devices of this node behind HTTP: an ASGI application, whose words are in `wire`.

Nobody who does not know the cluster's secret learns or does anything. So many requests are worked on at once, and so
many things are open, and no more: the rest is told at once that the node is busy.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec
import structlog

from ..stores.device import LocalDevice
from ..stores.protocol import DeviceAway, ObjectWriting, OpenFragment, OpenObject
from . import wire

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LARGEST_REQUEST = 64 << 20
MOST_AT_ONCE = 512
IDLE_S = 60.0
COMPLAIN_EVERY_S = 10.0

log = structlog.get_logger(__name__)


class NodeServer:
    """`devices` by name. `idle_s`: how long something stays open of which nothing is asked, sent or taken."""

    def __init__(
        self,
        devices: Mapping[str, LocalDevice],
        secret: bytes,
        *,
        idle_s: float = IDLE_S,
        most_at_once: int = MOST_AT_ONCE,
    ) -> None:
        self._devices = devices
        self._signer = wire.Signer(secret)
        self._idle_s = idle_s
        self._most_at_once = most_at_once
        self._at_once = 0
        self._complain_from_s = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        path: str = scope["path"]
        signed = next((value for name, value in scope["headers"] if name == wire.AUTHORIZATION), b"")
        if not self._signer.is_signed(path, signed):
            self._complain(scope, signed)
            await _send(send, 401, b"")
            return
        if scope["method"] != "POST":
            await _send(send, 405, b"")
            return
        name, _, verb = path[1:].partition("/")
        device = self._devices.get(name)
        if device is None or verb not in wire.arguments:
            await _send(send, 404, b"")
            return
        if self._at_once >= self._most_at_once:
            await _refuse(send, DeviceAway("the node is busy"))
            return
        self._at_once += 1
        try:
            if verb in wire.OPENING:
                await _Open(device, verb, receive, send, self._idle_s).run()
            else:
                await self._call(device, verb, receive, send)
        finally:
            self._at_once -= 1

    def _complain(self, scope: Scope, signed: bytes) -> None:
        """Who signs with another secret, or by another clock, is somebody's mistake; told now and then."""
        if signed and time.monotonic() >= self._complain_from_s:
            self._complain_from_s = time.monotonic() + COMPLAIN_EVERY_S
            log.warning(
                "request refused: signed with another secret, or by another clock", client=scope["client"]
            )

    async def _call(self, device: LocalDevice, verb: str, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._idle_s):
                body = await _body(receive)
        except (_Gone, TimeoutError):
            return
        except _TooLarge:
            await _send(send, 413, b"")
            return
        try:
            answer = await _asked(device, verb, wire.arguments[verb].decode(wire.unsealed(body)))
        except (*wire.FAULTS, msgspec.DecodeError) as error:
            await _refuse(send, error)
        else:
            await _send(send, 200, wire.sealed(wire.encode(answer)))


async def _asked(device: LocalDevice, verb: str, arguments: tuple[Any, ...]) -> Any:
    """What a verb answers, as it is sent."""
    if verb == "merge_database":
        store, place, other, rows, heard = arguments
        return await device.merge_database(store, place, other, rows.objects or rows.containers, heard)
    answer = await getattr(device, verb)(*arguments)
    return wire.to_page(answer) if verb.startswith("list_") else answer


class _Open:
    """A request to open something, and what is said while it is open."""

    def __init__(self, device: LocalDevice, verb: str, receive: Receive, send: Send, idle_s: float) -> None:
        self._device = device
        self._verb = verb
        self._receive = receive
        self._send = send
        self._idle_s = idle_s
        self._frames = wire.Frames()
        self._more = True
        self._is_answering = False

    async def run(self) -> None:
        """Until either side ends it, or the connection is lost: then nothing is answered."""
        with contextlib.suppress(_Gone, TimeoutError):
            try:
                first = await self._next()
                if first is None:
                    raise ValueError("it asks for nothing")
                arguments = wire.arguments[self._verb].decode(first[1])
                await (self._read(arguments) if self._verb.startswith("find") else self._write(arguments))
            except (*wire.FAULTS, msgspec.DecodeError) as error:
                if isinstance(error, TimeoutError):
                    raise
                if not self._is_answering:
                    await _refuse(self._send, error)
                else:
                    await self._say(wire.frame(wire.FAULT, wire.encode(wire.fault_of(error))), is_last=True)

    async def _read(self, arguments: tuple[Any, ...]) -> None:
        found = await getattr(self._device, self._verb)(*arguments)
        if found is None:
            await _send(self._send, 200, wire.frame(wire.ANSWER, wire.encode(None)))
            return
        try:
            head = wire.frame(wire.ANSWER, wire.encode(_told(found)))
            if found.data is not None:
                await _send(self._send, 200, head)
                return
            await self._say(head)
            while (asked := await self._next()) is not None:
                if asked[0] != wire.SPAN:
                    raise ValueError(f"a frame of kind {asked[0]} asks for nothing")
                start, end = wire.span.decode(asked[1])
                async for piece in found.stream(start, end):
                    await self._say(wire.frame(wire.DATA, piece))
            await self._say(b"", is_last=True)
        finally:
            await found.close()

    async def _write(self, arguments: tuple[Any, ...]) -> None:
        writing: ObjectWriting = await getattr(self._device, self._verb)(*arguments)
        try:
            await self._say(wire.frame(wire.ANSWER, wire.encode(None)))
            async for kind, content in self._all():
                if kind == wire.DATA:
                    await writing.write(content)
                elif kind == wire.COMMIT:
                    await writing.commit(wire.facts.decode(content))
                    await self._say(wire.frame(wire.ANSWER, wire.encode(None)), is_last=True)
                    return
                else:
                    raise ValueError(f"a frame of kind {kind} is not to be written")
        finally:
            await writing.close()
        await self._say(b"", is_last=True)

    async def _all(self) -> AsyncIterator[tuple[int, bytes]]:
        while (found := await self._next()) is not None:
            yield found

    async def _next(self) -> tuple[int, bytes] | None:
        """The next frame; None at the end. Raises `_Gone`, TimeoutError, ValueError."""
        while (found := self._frames.next()) is None:
            if not self._more:
                return None
            async with asyncio.timeout(self._idle_s):
                message = await self._receive()
            if message["type"] != "http.request":
                raise _Gone
            self._frames.feed(message.get("body", b""))
            self._more = message.get("more_body", False)
        return found

    async def _say(self, content: bytes, *, is_last: bool = False) -> None:
        if not self._is_answering:
            self._is_answering = True
            await self._send({"type": "http.response.start", "status": 200, "headers": []})
        async with asyncio.timeout(self._idle_s):
            await self._send({"type": "http.response.body", "body": content, "more_body": not is_last})


class _Gone(Exception):
    """Who asked is not there any more."""


class _TooLarge(Exception):
    """More than anybody of us would send."""


def _told(found: OpenObject | OpenFragment) -> wire.Opened:
    versions = getattr(found, "versions", ())
    return wire.Opened(
        written=found.written,
        revision=found.revision,
        data=found.data,
        versions=versions,
        is_durable=getattr(found, "is_durable", True),
    )


async def _body(receive: Receive) -> bytes:
    pieces = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _Gone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > LARGEST_REQUEST:
            raise _TooLarge
        if not message.get("more_body", False):
            return b"".join(pieces)


async def _refuse(send: Send, error: BaseException) -> None:
    fault = wire.fault_of(error)
    await _send(send, wire.STATUSES[fault.kind], wire.encode(fault))


async def _send(send: Send, status: int, content: bytes) -> None:
    headers = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
