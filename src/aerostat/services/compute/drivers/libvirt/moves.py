"""Domains that change hosts: sent by libvirt from QEMU to QEMU, or carried as files.

https://libvirt.org/migration.html: peer to peer, the target's libvirt being reached by the URI that it names. Whether
the storage is shared is decided by whom the files belong to, not by libvirt's guess from the file system.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree as ET

import libvirt

from aerostat.kernel.errors import DriverError
from aerostat.kernel.ids import is_uuid
from aerostat.services.compute.host.protocol import DomainFile, DomainSpec, Landing, Progress

from . import qemu_img
from .connection import Connection
from .power import lookup
from .settings import DomainFolder, LibvirtSettings

T = TypeVar("T")
_QCOW2 = b"QFI\xfb"
_NAME = re.compile(r"(base|config\.iso|disk\.qcow2|ephemeral[0-9]+\.raw|swap\.raw)")
_GOING_ON = (libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED)
ABORT_LIMIT_S = 40.0
LOOK_EVERY_S = 0.1
_SENDING = (
    libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PERSIST_DEST
    | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    | libvirt.VIR_MIGRATE_AUTO_CONVERGE
    | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
    | libvirt.VIR_MIGRATE_UNSAFE  # it is our own knowledge that the disks are where they must be
)


class Moves:
    """`DomainMoves` of one connection. `forget` stops and undefines a domain, and leaves its files."""

    def __init__(
        self, settings: LibvirtSettings, connection: Connection, forget: Callable[[str], Awaitable[None]]
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._forget = forget

    async def find_owner(self, domain_id: str) -> str | None:
        return await asyncio.to_thread(find_owner, self._settings.folder(domain_id))

    async def has_disk(self, domain_id: str) -> bool:
        return await asyncio.to_thread(self._settings.folder(domain_id).root_disk.exists)

    async def list_leftovers(self) -> list[str]:
        known = await self._connection.call(
            "The hypervisor's servers are not known.",
            lambda connection: {domain.UUIDString() for domain in connection.listAllDomains()},
        )
        return [id for id in await asyncio.to_thread(self._own_folders) if id not in known]

    def _own_folders(self) -> list[str]:
        """Ids of the domains whose files are this host's, or nobody's."""
        own = (None, self._settings.own_name)
        paths = self._settings.instances.iterdir() if self._settings.instances.exists() else ()
        ids = sorted(path.name for path in paths if path.is_dir() and is_uuid(path.name))
        return [id for id in ids if find_owner(self._settings.folder(id)) in own]

    async def leave(self, domain_id: str, heir: str) -> None:
        folder = self._settings.folder(domain_id)
        if folder.path.exists():
            take_over(folder, heir)
        await self._forget(domain_id)

    # Sending

    async def prepare_landing(self, spec: DomainSpec) -> Landing:
        if not self._settings.landing_uri:
            raise DriverError(
                f"{self._settings.own_name} cannot take in running servers: other hosts' libvirt does not reach its own"
                " (compute.migration_uri)."
            )
        folder = self._settings.folder(spec.id)
        if not folder.root_disk.exists():
            raise DriverError("The server's files are not on the host.", detail=str(folder.path))
        folder.sockets.mkdir(parents=True, exist_ok=True)
        return Landing(
            host_name=self._settings.own_name,
            uri=self._settings.landing_uri,
            address=self._settings.address,
            folder=str(folder.path),
            sockets=str(folder.sockets),
        )

    async def send(self, domain_id: str, landing: Landing, *, copy_disks: bool) -> None:
        folder = self._settings.folder(domain_id)

        def migrate(connection: Any) -> None:
            domain = lookup(connection, domain_id)
            live = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE)
            stored = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE | libvirt.VIR_DOMAIN_XML_INACTIVE)
            parameters: dict[str, Any] = {
                libvirt.VIR_MIGRATE_PARAM_DEST_XML: moved_xml(live, folder, landing),
                libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: moved_xml(stored, folder, landing),
            }
            if landing.address:
                parameters[libvirt.VIR_MIGRATE_PARAM_URI] = f"tcp://{landing.address}"
                parameters[libvirt.VIR_MIGRATE_PARAM_LISTEN_ADDRESS] = landing.address
            flags = _SENDING
            if copy_disks:
                flags |= libvirt.VIR_MIGRATE_NON_SHARED_INC
                parameters[libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS] = disks_written(live)
            domain.migrateToURI3(landing.uri, parameters, flags)

        await self._connection.call_long("The server could not be sent to its new host.", migrate)

    async def find_progress(self, domain_id: str) -> Progress | None:
        stats = await self._on(domain_id, _job_of)
        if (
            not stats
            or stats.get("type") not in _GOING_ON
            or stats.get("operation") != libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT
        ):
            return None
        return Progress(
            memory_total_bytes=stats.get("memory_total", 0),
            memory_processed_bytes=stats.get("memory_processed", 0),
            memory_remaining_bytes=stats.get("memory_remaining", 0),
            disk_total_bytes=stats.get("disk_total", 0),
            disk_processed_bytes=stats.get("disk_processed", 0),
            disk_remaining_bytes=stats.get("disk_remaining", 0),
        )

    async def hurry(self, domain_id: str) -> None:
        """Paused, it changes nothing more: what is left ends by itself, and it goes on at its target."""
        if await self.find_progress(domain_id) is not None:
            await self._on(domain_id, lambda domain: _unless_over(domain.suspend))

    async def abort(self, domain_id: str) -> None:
        """Asked before QEMU has begun, libvirt says yes and forgets it: so it is asked until it is over."""
        try:
            async with asyncio.timeout(ABORT_LIMIT_S):
                while await self.find_progress(domain_id) is not None:
                    await self._on(domain_id, lambda domain: _unless_over(domain.abortJob))
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            raise DriverError("The migration could not be broken off.", retry=True) from None

    # Files

    async def list_files(self, domain_id: str) -> list[DomainFile]:
        """What is only read first, so that what stands on it can be made."""
        folder = self._settings.folder(domain_id)
        is_active = await self._on(domain_id, lambda domain: bool(domain.isActive()))
        read_only = [path for path in (folder.base, folder.config_drive) if path.exists()]
        ephemeral = sorted(folder.path.glob("ephemeral*.raw"))
        written = [path for path in (folder.root_disk, *ephemeral, folder.swap) if path.exists()]
        return [
            *(DomainFile(path.name, path.stat().st_size) for path in read_only),
            *(DomainFile(path.name, _size(path, seen=is_active), live=is_active) for path in written),
        ]

    async def read_file(self, domain_id: str, name: str, offset: int, size: int) -> bytes:
        path = self._path(domain_id, name)
        try:
            return await asyncio.to_thread(_read, path, offset, size)
        except FileNotFoundError:
            raise DriverError("The server has no such file here.", detail=str(path)) from None

    async def ensure_file(self, domain_id: str, file: DomainFile, pieces: AsyncIterator[bytes]) -> None:
        path = self._path(domain_id, file.name)
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        part.unlink(missing_ok=True)
        if file.live:
            await _make_empty(part, file.size_bytes, self._settings.folder(domain_id))
        else:
            await _receive(part, file.size_bytes, pieces)
        os.replace(part, path)

    def _path(self, domain_id: str, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise DriverError("This is no file of a server.", detail=repr(name))
        return self._settings.folder(domain_id).path / name

    async def _on(self, domain_id: str, work: Callable[[Any], Any]) -> Any:
        """Ask the domain; None when the hypervisor has none of this id."""

        def look(connection: Any) -> Any:
            try:
                return work(connection.lookupByUUIDString(domain_id))
            except libvirt.libvirtError as failed:
                if failed.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    return None
                raise

        return await self._connection.call("The server's migration is not known.", look)


def _job_of(domain: Any) -> dict[str, Any]:
    """What libvirt is doing with a domain; nothing with one that is off."""
    return dict(_unless_over(domain.jobStats) or {})


def _unless_over(work: Callable[[], T]) -> T | None:
    """None when the domain is off, or its job at its end."""
    try:
        return work()
    except libvirt.libvirtError as failed:
        if failed.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:
            return None
        raise


def find_owner(folder: DomainFolder) -> str | None:
    """The host to which the files in a folder belong."""
    try:
        return folder.owner.read_text().strip() or None
    except FileNotFoundError:
        return None


def take_over(folder: DomainFolder, host_name: str) -> None:
    """Let the files belong to this host."""
    if find_owner(folder) != host_name:
        part = folder.owner.with_suffix(".part")
        part.write_text(f"{host_name}\n")
        os.replace(part, folder.owner)


def moved_xml(xml: str, folder: DomainFolder, landing: Landing) -> str:
    """The definition with every path as the target has it. Pure."""
    domain = ET.fromstring(xml)
    for element in domain.iter():
        for name, value in element.attrib.items():
            for start in (folder.sockets, folder.path):
                if value.startswith(f"{start}/"):
                    rest = value.removeprefix(f"{start}/")
                    element.set(
                        name, f"{landing.sockets if rest.endswith('.sock') else landing.folder}/{rest}"
                    )
                    break
    return ET.tostring(domain, encoding="unicode")


def disks_written(xml: str) -> list[str]:
    """The names (vda, …) of the disks that a domain writes to. Pure."""
    disks = ET.fromstring(xml).iterfind("devices/disk")
    return [
        target.get("dev", "")
        for disk in disks
        if disk.find("readonly") is None and (target := disk.find("target")) is not None
    ]


def _size(path: Path, *, seen: bool) -> int:
    """Of the disk as its guest sees it, or of the file."""
    return qemu_img.qcow2_size(path) if seen and path.suffix == ".qcow2" else path.stat().st_size


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        return os.pread(file.fileno(), size, offset)


async def _make_empty(part: Path, size_bytes: int, folder: DomainFolder) -> None:
    """A disk for a domain that brings the content with it."""
    if not part.name.startswith(folder.root_disk.name):
        with part.open("wb") as file:
            file.truncate(size_bytes)
        return
    with folder.base.open("rb") as base:  # it was inspected when it came into the cloud
        base_format = "qcow2" if base.read(4) == _QCOW2 else "raw"
    await qemu_img.run(
        *("qemu-img", "create", "-q", "-f", "qcow2", "-F", base_format),
        *("-b", folder.base.name, str(part), str(size_bytes)),
    )


async def _receive(part: Path, size_bytes: int, pieces: AsyncIterator[bytes]) -> None:
    """Write what comes, holes as holes."""
    received = 0
    with part.open("wb") as file:
        async for piece in pieces:
            if received + len(piece) > size_bytes:
                break
            if piece.count(0) == len(piece):
                file.seek(len(piece), os.SEEK_CUR)
            else:
                await asyncio.to_thread(file.write, piece)
            received += len(piece)
        file.truncate(size_bytes)
        await asyncio.to_thread(os.fsync, file.fileno())
    if received != size_bytes:
        raise DriverError(
            "The server's file did not come whole.", detail=f"{received} of {size_bytes}", retry=True
        )
