"""A fake host whose guests outlive its process, as those of a real hypervisor do: for hosts in processes of their own.

After each verb that changed something, images, guests with their states and files are written to one file; `open`
makes them again from it. Guests go to other hosts through a unix socket in the same folder.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import structlog

from aerostat.kernel.errors import DriverError

from ..host.protocol import DomainSpec, Landing, Power, State
from .fake import FakeGuest, FakeHypervisor, Faults
from .fake_moves import FakeFolder, FakeMoves

log = structlog.get_logger(__name__)

ARRIVAL_LIMIT_S = 10.0


class _Guest(msgspec.Struct, frozen=True):
    spec: DomainSpec
    state: State


class _Kept(msgspec.Struct, frozen=True):
    images: list[str] = []
    guests: list[_Guest] = []
    files: dict[str, FakeFolder] = {}


class _Arrival(msgspec.Struct, frozen=True):
    """A guest on its way. `disk`: None when both hosts see it."""

    guest: _Guest
    disk: bytes | None


class KeptFakeHypervisor(FakeHypervisor):
    """One host of a fake world, kept in `folder`. Its path is short: it holds a socket."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.faults = _Keeping(self.keep)
        self.moves: _Socketed = _Socketed(self, folder / "arrivals")
        self._file = folder / "fake-guests.json"
        self._written: bytes | None = None

    async def open(self) -> None:
        await self.recall()
        await super().open()
        await self.moves.open()

    async def close(self) -> None:
        await self.moves.close()
        await super().close()

    async def recall(self) -> None:
        """Be as the file says. By itself this is what an onlooker does: nothing is served or written."""
        if self._written is not None:
            return
        data = self._file.read_bytes() if self._file.exists() else b""
        kept = msgspec.json.decode(data, type=_Kept) if data else _Kept()
        for image_id in kept.images:
            self.remember_image(image_id)
        for guest in kept.guests:
            await self._make_again(guest)
        self.files |= kept.files
        self._written = data

    async def _make_again(self, guest: _Guest) -> None:
        self.remember_image(guest.spec.root.image_id)
        power: Power = "shutoff" if guest.state == "crashed" else guest.state
        # Only what ran can be suspended.
        await self.ensure_domain(guest.spec, "running" if power == "suspended" else power)
        await self.ensure_power(guest.spec.id, power)

    def keep(self) -> None:
        """Write down the present state, whole or not at all."""
        if self._written is None:
            return
        guests = [_Guest(self.spec(one.id), one.state) for one in self.domains()]
        data = msgspec.json.encode(_Kept(sorted(self._images), guests, self.files))
        if data != self._written:
            beside = self._file.with_suffix(".new")
            beside.write_bytes(data)
            os.replace(beside, self._file)
            self._written = data


class _Keeping(Faults):
    """Every verb passes here: what it did is kept before it answers."""

    def __init__(self, keep: Callable[[], None]) -> None:
        super().__init__()
        self._keep = keep

    @contextlib.asynccontextmanager
    async def around(self, verb: str) -> AsyncIterator[None]:
        async with super().around(verb):
            try:
                yield
            finally:
                self._keep()


class _Socketed(FakeMoves):
    """Guests go to hosts of other processes, and come in at `address`.

    An arrival is four messages: the guest, "I have it whole", "take it", "" or why not. Whoever sends and gives up
    before the third is not surprised by a guest that goes on elsewhere.
    """

    def __init__(self, host: KeptFakeHypervisor, address: Path) -> None:
        super().__init__(host)
        self.uri = f"unix:{address}"
        self._kept_host = host
        self._address = address
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        if self._server is None:
            self._address.unlink(missing_ok=True)  # a killed process left it
            self._server = await asyncio.start_unix_server(self._arrive, self._address)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _hand_over(self, guest: FakeGuest, landing: Landing, disk: bytes | None) -> None:
        """It stands still meanwhile, so that two of it never run, whoever dies between the two hosts' notes."""
        was = guest.state
        arrival = msgspec.msgpack.encode(_Arrival(_Guest(guest.live, was), disk))
        guest.state = "paused"
        self._kept_host.keep()
        try:
            async with asyncio.timeout(ARRIVAL_LIMIT_S):
                await _deliver(landing.uri.removeprefix("unix:"), arrival)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            guest.state = was
            raise DriverError("The target does not answer.", detail=str(error), retry=True) from error
        except DriverError:
            guest.state = was
            raise

    async def _arrive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            arrival = msgspec.msgpack.decode(await _read(reader), type=_Arrival)
            _write(writer, b"I have it whole")
            await _read(reader)
            _write(writer, self._let_in(arrival).encode())
        except (OSError, asyncio.IncompleteReadError):
            log.info("a guest did not come after all", host=self._host.name)
        finally:
            writer.close()

    def _let_in(self, arrival: _Arrival) -> str:
        """Why not; empty when the guest goes on here, which is kept by then."""
        spec, state = arrival.guest.spec, arrival.guest.state
        try:
            self.receive(FakeGuest(spec=spec, live=spec, state=state), arrival.disk)
        except DriverError as error:
            return error.message
        self._kept_host.remember_image(spec.root.image_id)
        self._kept_host.keep()
        return ""


async def _deliver(address: str, arrival: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(address)
    try:
        _write(writer, arrival)
        await _read(reader)
        _write(writer, b"take it")
        if refusal := await _read(reader):
            raise DriverError(refusal.decode())
    finally:
        writer.close()


def _write(writer: asyncio.StreamWriter, message: bytes) -> None:
    writer.write(len(message).to_bytes(4, "big") + message)


async def _read(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
