"""Console sockets of fake guests: a serial line that shows the console log and echoes, a VNC that greets.

Made only when somebody asks for them, in a folder of their own below the system's temporary one.
"""

import asyncio
import contextlib
import os
import shutil
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

from aerostat.services.compute.host.protocol import ConsoleSockets

# What the screen says, and how many bytes it then waits for: version, security types (none), result.
RFB_HANDSHAKE = ((b"RFB 003.008\n", 12), (b"\x01\x01", 1), (bytes(4), 1))
RFB_NAME = b"fake"
# Width, height, a pixel format of 32 bits, the name.
RFB_SCREEN = (
    struct.pack(">HHBBBBHHHBBB3x", 640, 400, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
    + struct.pack(">I", len(RFB_NAME))
    + RFB_NAME
)


class FakeConsoles:
    """The console servers of one fake host. `text` gives a domain's console log by its id."""

    def __init__(self, text: Callable[[str], str]) -> None:
        self._text = text
        self._folder: Path | None = None
        self._servers: dict[str, tuple[ConsoleSockets, list[asyncio.Server]]] = {}

    async def serve(self, domain_id: str) -> ConsoleSockets:
        """The sockets of a domain, listening."""
        if domain_id not in self._servers:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="aerostat-fake-"))
            sockets = ConsoleSockets(
                vnc=str(self._folder / f"{domain_id}.vnc"), serial=str(self._folder / f"{domain_id}.tty")
            )

            async def serial(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await self._serial(domain_id, reader, writer)

            self._servers[domain_id] = (
                sockets,
                [
                    await asyncio.start_unix_server(_greet, sockets.vnc),
                    await asyncio.start_unix_server(serial, sockets.serial),
                ],
            )
        return self._servers[domain_id][0]

    async def remove(self, domain_id: str) -> None:
        """Stop listening for a domain; its clients see the end of the stream when they next write."""
        sockets, servers = self._servers.pop(domain_id, (None, []))
        for server in servers:
            server.close()
        if sockets is not None:
            for path in (sockets.vnc, sockets.serial):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)

    async def close(self) -> None:
        for domain_id in list(self._servers):
            await self.remove(domain_id)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    async def _serial(
        self, domain_id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(self._text(domain_id).encode())
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
        writer.close()


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The handshake of RFB 3.8 without authentication, and then a black screen that never changes."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        for said, heard_bytes in RFB_HANDSHAKE:
            writer.write(said)
            await writer.drain()
            await reader.readexactly(heard_bytes)
        writer.write(RFB_SCREEN)
        await writer.drain()
        while await reader.read(4096):
            pass
    writer.close()
