"""The way from one process to another, which can be cut off, or go dead without a word."""

import asyncio
import contextlib
import socket


class Link:
    """What comes to its port is carried to the target's, and back, as long as the link is whole."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._server: asyncio.Server | None = None
        self._is_passing = asyncio.Event()
        self._is_passing.set()
        self._carried: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._carry, sock=self._listener)

    def cut(self) -> None:
        """Connections break, and new ones are refused."""
        assert self._server is not None
        self._server.close()
        for task in self._carried:
            task.cancel()

    async def mend(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        await self.open()

    def stall(self) -> None:
        """Nothing comes through, and nobody is told."""
        self._is_passing.clear()

    def pass_on(self) -> None:
        """What was held up goes on."""
        self._is_passing.set()

    async def close(self) -> None:
        self.pass_on()
        if self._server is None:
            self._listener.close()
            return
        self.cut()
        await asyncio.gather(*self._carried, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carried.add(task)
        ends = [writer]
        try:
            await self._is_passing.wait()
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._target_port)
            ends.append(there)
            pumps = [asyncio.create_task(self._pump(reader, there))]
            pumps.append(asyncio.create_task(self._pump(there_reader, writer)))
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
            for end in ends:
                end.close()
        except (
            OSError,
            asyncio.CancelledError,
        ):  # nobody is there, or the link is cut: nothing is said of it
            for end in ends:
                end.transport.abort()
        finally:
            self._carried.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._is_passing.wait()
                writer.write(data)
                await writer.drain()
