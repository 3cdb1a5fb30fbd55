"""Storage nodes on the loopback, in this process."""

import asyncio
import contextlib
import socket

import uvicorn

from aerostat.services.object.node.connection import Node
from aerostat.services.object.node.remote import RemoteDevice
from aerostat.services.object.node.waits import Waits

SECRET = b"the secret of this test's cluster"
QUICK = Waits(connect_s=0.5, answer_s=10.0, chunk_s=5.0, away_s=0.2)


@contextlib.asynccontextmanager
async def serving(application, listener=None):
    """`HOST:PORT` of an ASGI application."""
    listener = listener or socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext
    task = asyncio.create_task(server.serve(sockets=[listener]))
    async with asyncio.timeout(5):
        while not server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.wait_for(task, 5)


@contextlib.contextmanager
def remote(address, name="d1", secret=SECRET, waits=QUICK):
    node = Node(address, secret, waits)
    try:
        yield RemoteDevice(node, name)
    finally:
        node.close()


async def until(holds, within_s=10.0):
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
