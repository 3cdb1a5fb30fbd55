"""How a control process answers HTTP: the listening socket, the server on it, and which paths its roles answer."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from aerostat.kernel.http.crowd import Crowd, raise_files_limit

CLOSE_LIMIT_S = 10.0
DRAIN_LIMIT_S = 8
"""What was accepted before the end is answered within this."""

CONSOLE_PATHS = "/compute/console/"
WATCHED_PATHS = ("/healthcheck", "/metrics")
WORDS = {"api": "the API", "console": "consoles", "object": "objects"}
"""What a role answers."""

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Callable[..., Any], Callable[..., Any]], Awaitable[None]]


def for_roles(application: Any, roles: frozenset[str]) -> Any:
    """The part of the application that these roles answer: the API, consoles, what rooms answer in roles of their own.

    `application` is the kernel's.
    """
    if {"api", "console", *(one.own_role for one in application.house.services.values())} <= roles:
        return application

    async def gate(scope: Scope, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if scope["type"] == "lifespan" or path in WATCHED_PATHS:
            await application(scope, receive, send)
            return
        role = _role_of(application, scope)
        if role in roles:
            await application(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        body = f"This process is not for {WORDS.get(role, role)}.\n".encode()
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return gate


def _role_of(application: Any, scope: Scope) -> str:
    if scope.get("path", "").startswith(CONSOLE_PATHS):
        return "console"
    owner = application.own_room(scope)
    return str(owner.own_role) if owner is not None else "api"


class Settings(uvicorn.Config):
    """uvicorn's, with the crowd that connections enter."""

    crowd: Crowd


@asynccontextmanager
async def serving(
    application: Any, *listeners: socket.socket, most_connections: int = 0
) -> AsyncIterator[None]:
    """Answer HTTP and WebSockets on these listening sockets while the block runs. `most_connections`: see `Crowd`."""
    settings = Settings(
        application,
        loop="none",
        http="aerostat.kernel.http.connection:HttpProtocol",
        ws="aerostat.kernel.http.upgrade:WebSocketProtocol",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_LIMIT_S,
        timeout_keep_alive=75,
    )
    raise_files_limit()
    settings.crowd = Crowd(most_connections)
    server = _Server(settings)
    task = asyncio.ensure_future(server.serve(sockets=list(listeners)))
    try:
        while not server.started:
            if task.done():
                task.result()
                raise RuntimeError("the HTTP server ended before it began")
            await asyncio.sleep(0.002)
        yield
    finally:
        server.should_exit = True
        done, _ = await asyncio.wait([task], timeout=CLOSE_LIMIT_S)
        if not done:
            task.cancel()


class _Server(uvicorn.Server):
    """uvicorn, leaving signals to those who started it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(address: str, port: int) -> socket.socket:
    """A socket that takes connections from now on. Raises OSError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, error.strerror, f"{address} port {port}") from None
    listener.listen(1024)
    listener.setblocking(False)
    return listener
