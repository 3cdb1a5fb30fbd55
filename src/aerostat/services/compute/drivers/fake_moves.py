"""Guests of the fake world change hosts: the files that a host keeps of them, and their ways to another.

A guest is sent at once, unless it was told to be busy (`make_busy`): then it changes its memory faster than it can be
carried, until somebody hurries the sending or breaks it off.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aerostat.kernel.errors import DriverError
from aerostat.services.compute.host.protocol import DomainFile, DomainSpec, Landing, Progress

MIB = 1 << 20
_SCHEME = "fake:"
_DISK = "disk"


@dataclass
class FakeFolder:
    """What a guest has on disk, and the host that it belongs to (None: to nobody yet)."""

    disk: bytes
    owner: str | None


class Host(Protocol):
    """What is needed of the fake host around it."""

    name: str
    files: dict[str, FakeFolder]
    faults: Any

    @property
    def moves(self) -> "FakeMoves": ...

    def guest(self, domain_id: str) -> Any: ...

    def has(self, domain_id: str) -> bool: ...

    def take_in(self, guest: Any) -> None: ...

    async def forget(self, domain_id: str) -> None: ...


class FakeMoves:
    """`DomainMoves` of one fake host. `neighbours` are the hosts of its world by name, itself among them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.neighbours: Mapping[str, Host] = {host.name: host}
        self.uri = f"{_SCHEME}{host.name}"
        self._busy: dict[str, asyncio.Event] = {}
        self._sending: dict[str, str] = {}

    def make_busy(self, domain_id: str) -> None:
        """The guest's memory changes so fast that sending it does not end by itself."""
        self._busy.setdefault(domain_id, asyncio.Event())

    def calm_down(self) -> None:
        """No guest is busy any more; what is being sent arrives."""
        for domain_id in list(self._busy):
            if domain_id in self._sending:
                self._end(domain_id, "running")
            else:
                del self._busy[domain_id]

    async def find_owner(self, domain_id: str) -> str | None:
        async with self._host.faults.around("find_owner"):
            folder = self._host.files.get(domain_id)
            return folder.owner if folder is not None else None

    async def has_disk(self, domain_id: str) -> bool:
        async with self._host.faults.around("has_disk"):
            return domain_id in self._host.files

    async def list_leftovers(self) -> list[str]:
        async with self._host.faults.around("list_leftovers"):
            mine = [id for id, folder in self._host.files.items() if folder.owner in (None, self._host.name)]
            return sorted(id for id in mine if not self._host.has(id))

    async def leave(self, domain_id: str, heir: str) -> None:
        async with self._host.faults.around("leave"):
            if (folder := self._host.files.get(domain_id)) is not None:
                folder.owner = heir
            await self._host.forget(domain_id)

    # Sending

    async def prepare_landing(self, spec: DomainSpec) -> Landing:
        async with self._host.faults.around("prepare_landing"):
            self._folder(spec.id)
            return Landing(host_name=self._host.name, uri=self.uri)

    async def send(self, domain_id: str, landing: Landing, *, copy_disks: bool) -> None:
        async with self._host.faults.around("send"):
            guest = self._host.guest(domain_id)
            if not guest.active:
                raise DriverError("Only an active server can be sent.")
            if domain_id in self._sending:
                raise DriverError("The server is being sent already.", retry=True)
            self._sending[domain_id] = "running"
            try:
                if domain_id in self._busy:
                    await self._busy[domain_id].wait()
                if self._sending[domain_id] == "aborted":
                    raise DriverError("The sending was broken off.")
            finally:
                del self._sending[domain_id]
            await self._hand_over(guest, landing, self._folder(domain_id).disk if copy_disks else None)
            await self._host.forget(domain_id)

    async def _hand_over(self, guest: Any, landing: Landing, disk: bytes | None) -> None:
        """Let the guest go on at the target. Raises `DriverError` when it did not arrive."""
        self.neighbours[landing.uri.removeprefix(_SCHEME)].moves.receive(guest, disk)

    def receive(self, guest: Any, disk: bytes | None) -> None:
        """A guest comes, with its disk if that is not seen from here."""
        folder = self._host.files.get(guest.spec.id)
        if folder is None:
            raise DriverError("The target is not prepared for the server.")
        if disk is not None:
            folder.disk = disk
        self._host.take_in(guest)

    async def find_progress(self, domain_id: str) -> Progress | None:
        async with self._host.faults.around("find_progress"):
            if domain_id not in self._sending:
                return None
            total = self._host.guest(domain_id).live.memory_mib * MIB
            return Progress(
                memory_total_bytes=total, memory_processed_bytes=total // 2, memory_remaining_bytes=total // 2
            )

    async def hurry(self, domain_id: str) -> None:
        async with self._host.faults.around("hurry"):
            self._end(domain_id, "running")

    async def abort(self, domain_id: str) -> None:
        async with self._host.faults.around("abort"):
            self.break_off(domain_id)

    def break_off(self, domain_id: str) -> None:
        """What becomes of a sending when its guest is removed."""
        self._end(domain_id, "aborted")

    def _end(self, domain_id: str, outcome: str) -> None:
        if domain_id in self._sending and domain_id in self._busy:
            self._sending[domain_id] = outcome
            self._busy.pop(domain_id).set()

    # Files

    async def list_files(self, domain_id: str) -> list[DomainFile]:
        async with self._host.faults.around("list_files"):
            disk = self._folder(domain_id).disk
            return [DomainFile(_DISK, len(disk), live=self._host.guest(domain_id).active)]

    async def read_file(self, domain_id: str, name: str, offset: int, size: int) -> bytes:
        async with self._host.faults.around("read_file"):
            return self._folder(domain_id).disk[offset : offset + size]

    async def ensure_file(self, domain_id: str, file: DomainFile, pieces: AsyncIterator[bytes]) -> None:
        async with self._host.faults.around("ensure_file"):
            if domain_id not in self._host.files:
                disk = b"" if file.live else b"".join([piece async for piece in pieces])
                if not file.live and len(disk) != file.size_bytes:
                    raise DriverError("The file did not come whole.", retry=True)
                self._host.files[domain_id] = FakeFolder(disk, None)

    def _folder(self, domain_id: str) -> FakeFolder:
        folder = self._host.files.get(domain_id)
        if folder is None:
            raise DriverError("The server's files are not here.", detail=domain_id)
        return folder
