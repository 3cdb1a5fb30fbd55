"""WebSocket on one side, a unix socket of the guest on the other: bytes are carried, nothing is understood.

A browser shows a token in the query (or, as old viewers do, in a cookie). A page of another origin is refused: it
could otherwise use a token that it learned from an address bar. What is refused gets a 403.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

import structlog

from aerostat.kernel.errors import DriverError

from ..room import room_of
from .tokens import Kind, find_console, use_up

log = structlog.get_logger(__name__)

PIECE_BYTES = 65_536
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def screen(house: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """`/console/websockify`: RFB, as the guest's screen speaks it."""
    await _serve(house, "vnc", scope, receive, send)


async def serial_line(house: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """`/console/serial`: the guest's serial line."""
    await _serve(house, "serial", scope, receive, send)


WEBSOCKETS = {"/console/websockify": screen, "/console/serial": serial_line}


async def _serve(house: Any, kind: Kind, scope: Scope, receive: Receive, send: Send) -> None:
    await receive()  # websocket.connect
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    token = _token(scope, headers)
    if token is None or not _same_origin(headers):
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    server = await find_console(house.store, token, kind)
    if server is None or server.host is None:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    try:
        sockets = await room_of(house).host(server.host).console_sockets(server.id)
        path = sockets.vnc if kind == "vnc" else sockets.serial
        reader, writer = await asyncio.open_unix_connection(path)
    except (DriverError, OSError) as error:
        log.info("console cannot be reached", server_id=server.id, kind=kind, error=str(error))
        await send(
            {"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": "The console is not there."}
        )
        return
    # Last of all, so that a console which could not be reached costs no token.
    if not await use_up(house.store, token):
        writer.close()
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    subprotocol = "binary" if "binary" in scope.get("subprotocols", ()) else None
    await send({"type": "websocket.accept", "subprotocol": subprotocol})
    log.info("console opened", server_id=server.id, kind=kind)
    try:
        await _carry(reader, writer, receive, send)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receive: Receive, send: Send
) -> None:
    """Both ways at once, until either side ends."""

    async def to_browser() -> None:
        while piece := await reader.read(PIECE_BYTES):
            await send({"type": "websocket.send", "bytes": piece})
        await send({"type": "websocket.close", "code": 1000})

    async def to_guest() -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes")
            writer.write(data if data is not None else (message.get("text") or "").encode())
            await writer.drain()

    tasks = [asyncio.ensure_future(to_browser()), asyncio.ensure_future(to_guest())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            with contextlib.suppress(OSError):
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _token(scope: Scope, headers: MutableMapping[str, str]) -> str | None:
    asked = parse_qs(scope["query_string"].decode("latin-1")).get("token")
    if asked:
        return str(asked[-1])
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get("token")
    except CookieError:
        return None
    return str(cookie.value) if cookie is not None else None


def _same_origin(headers: MutableMapping[str, str]) -> bool:
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")
