"""Console sockets of fake guests: a serial line that shows the console log and echoes, a VNC that greets.

Made only when somebody asks for them, in a folder of their own below the system's temporary one.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from aerostat.services.compute.host.protocol import ConsoleSockets

RFB_GREETING = b"RFB 003.008\n"


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
    """The version half of an RFB handshake: enough for a proxy to prove that it reaches the guest."""
    with contextlib.suppress(ConnectionError):
        writer.write(RFB_GREETING)
        await writer.drain()
        await reader.read(4096)
    writer.close()
