"""Carries bytes into the cloud: connections into the external network, both directions at once.

A socket belongs to the namespace it was made in. The host process makes the connection where floating IPs are
known and hands it over; from then on it is an ordinary socket of ours.
"""

import asyncio
import contextlib
import socket
import sys

from aerostat.cli import CommandError
from aerostat.kernel.config import Config
from aerostat.kernel.errors import DriverError

CHUNK_BYTES = 64 * 1024


async def connect(config: Config, address: str, port: int) -> socket.socket:
    """A connection to a floating IP, made in the external network's namespace. Raises `CommandError`."""
    from aerostat.services.network.host.sockets import SocketClient

    client = SocketClient(config.folder.host_sockets)
    try:
        return await client.connect("external", address, port)
    except DriverError as error:
        detail = f" ({error.detail})" if error.detail else ""
        raise CommandError(f"no connection to {address} port {port}: {error.message}{detail}") from None


async def join_stdio(connection: socket.socket) -> None:
    """Standard input to `connection` and back, until the far side ends."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(sock=connection)
    stdin = asyncio.StreamReader(limit=CHUNK_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout)
    stdout = asyncio.StreamWriter(transport, protocol, None, loop)
    sending = asyncio.create_task(pump(stdin, writer))
    await pump(reader, stdout)
    sending.cancel()


async def join(one: tuple[asyncio.StreamReader, asyncio.StreamWriter], other: socket.socket) -> None:
    """Carry bytes both ways until both sides have said that they are done."""
    reader, writer = await asyncio.open_connection(sock=other)
    try:
        await asyncio.gather(pump(one[0], writer), pump(reader, one[1]))
    finally:
        writer.close()
        one[1].close()


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy until `source` ends, then say so to `sink`."""
    with contextlib.suppress(ConnectionError):
        while chunk := await source.read(CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
