"""Copies of root disks, on their way out of the host to become images.

A copy is a qcow2 file of its own in the domain's folder, which stands on nothing and goes with the folder. It appears
under its name only when it is whole. A domain that is off is copied by qemu-img. One that is active is mirrored by
its own QEMU: what the guest writes meanwhile goes to both files, until the copy has caught up and is let go. So the
copy shows the disk at one moment, as after a power cut at that moment.
"""

import asyncio
import contextlib
import os
import re
import time
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree as ET

import libvirt

from aerostat.kernel.errors import DriverError

from . import qemu_img
from .connection import Connection
from .power import lookup
from .settings import DomainFolder
from .states import state_of

FORMAT: Literal["qcow2"] = "qcow2"
COPY_LIMIT_S = 1500.0
COPY_CPU_S = 600
LOOK_EVERY_S = 0.2
MOST_TRIES = 3
_COMPLAINT = "The server's disk could not be copied."
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Exports:
    """The copies of all domains on one connection. The caller sees to it that nobody else moves the domain."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._at_work: dict[str, asyncio.Task[None]] = {}

    async def ensure(self, domain_id: str, folder: DomainFolder, export_id: str) -> None:
        """See `ExportsDisks.export_disk`."""
        path = _path(folder, export_id)
        if await asyncio.to_thread(path.exists):
            return
        work = self._at_work[domain_id] = asyncio.create_task(self._copy(domain_id, folder, path))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await _end(work)
            if (current := asyncio.current_task()) is not None and current.cancelling():
                raise
            raise DriverError("The server went away while its disk was copied.") from None
        finally:
            self._at_work.pop(domain_id, None)

    async def give_up(self, domain_id: str) -> None:
        """End what is being copied of a domain that is to be removed, and wait until it has ended."""
        if (work := self._at_work.get(domain_id)) is not None:
            await _end(work)

    async def read(self, folder: DomainFolder, export_id: str, offset: int, size: int) -> bytes:
        """See `ExportsDisks.read_export`."""
        try:
            return await asyncio.to_thread(_read, _path(folder, export_id), offset, size)
        except FileNotFoundError:
            raise DriverError("There is no such copy of a disk.", detail=f"export {export_id}") from None

    async def remove(self, folder: DomainFolder, export_id: str) -> None:
        """See `ExportsDisks.remove_export`."""
        path = _path(folder, export_id)
        for leftover in (path, path.with_suffix(".part")):
            await asyncio.to_thread(leftover.unlink, missing_ok=True)

    async def _copy(self, domain_id: str, folder: DomainFolder, path: Path) -> None:
        """Copy under another name, and rename when it is whole. A domain that starts or stops meanwhile is looked
        at anew.
        """
        part = path.with_suffix(".part")
        path.parent.mkdir(exist_ok=True)
        await self._forget_mirror(domain_id, folder)
        try:
            for _ in range(MOST_TRIES):
                part.unlink(missing_ok=True)
                if await self._is_active(domain_id):
                    if not await self._mirror(domain_id, folder, part):
                        continue
                else:
                    await qemu_img.run(
                        *("qemu-img", "convert", "-f", "qcow2", "-O", FORMAT),
                        *(str(folder.root_disk), str(part)),
                        limit_s=COPY_LIMIT_S,
                        cpu_s=COPY_CPU_S,
                    )
                await asyncio.to_thread(os.replace, part, path)
                return
            raise DriverError(_COMPLAINT, detail="the server kept starting and stopping", retry=True)
        finally:
            part.unlink(missing_ok=True)

    async def _mirror(self, domain_id: str, folder: DomainFolder, part: Path) -> bool:
        """Let QEMU copy the disk; False if the domain stopped before the copy was whole."""
        disk = str(folder.root_disk)
        target = ET.Element("disk", type="file")
        ET.SubElement(target, "source", file=str(part))
        ET.SubElement(target, "driver", type=FORMAT)
        wanted = ET.tostring(target, encoding="unicode")
        # transient: such a job may run on a domain that has a stored definition, which is not to know of it
        flags = libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
        try:
            await self._on(domain_id, lambda domain: domain.blockCopy(disk, wanted, {}, flags))
            deadline = time.monotonic() + COPY_LIMIT_S
            while not (found := await self._on(domain_id, lambda domain: _mirror_of(domain, disk))).ready:
                if not found.there:
                    break
                if time.monotonic() > deadline:
                    raise DriverError(_COMPLAINT, detail=f"not done in {COPY_LIMIT_S:.0f} s", retry=True)
                await asyncio.sleep(LOOK_EVERY_S)
            else:
                # the copy is let go: from here on the guest writes to its own disk only
                await self._on(domain_id, lambda domain: domain.blockJobAbort(disk))
                return True
        except DriverError:
            if await self._is_active(domain_id):
                raise
        finally:
            await asyncio.shield(self._forget_mirror(domain_id, folder))
        if await self._is_active(domain_id):
            raise DriverError(_COMPLAINT, detail="QEMU gave up the copy", retry=True)
        return False

    async def _forget_mirror(self, domain_id: str, folder: DomainFolder) -> None:
        """End a copy that we, or a process before us, left half done. It stays QEMU's work until then."""
        disk = str(folder.root_disk)

        def abort(domain: Any) -> None:
            try:
                if domain.isActive() and _mirror_of(domain, disk).there:
                    domain.blockJobAbort(disk)
            except libvirt.libvirtError:
                if domain.isActive():  # otherwise the job ended with the machine
                    raise

        await self._on(domain_id, abort)

    async def _is_active(self, domain_id: str) -> bool:
        active: bool = await self._on(domain_id, lambda domain: state_of(domain)[0] in ("running", "paused"))
        return active

    async def _on(self, domain_id: str, work: Any) -> Any:
        return await self._connection.call(
            _COMPLAINT, lambda connection: work(lookup(connection, domain_id)), limit_s=60.0
        )


class _Mirror:
    """How far the copying of a disk is: `there` at all, `ready` when it has caught up."""

    def __init__(self, mirror: ET.Element | None) -> None:
        self.there = mirror is not None
        self.ready = mirror is not None and mirror.get("ready") == "yes"


def _mirror_of(domain: Any, disk: str) -> _Mirror:
    for element in ET.fromstring(domain.XMLDesc(0)).iterfind("devices/disk"):
        source = element.find("source")
        if source is not None and source.get("file") == disk:
            return _Mirror(element.find("mirror"))
    return _Mirror(None)


def _path(folder: DomainFolder, export_id: str) -> Path:
    if not _SAFE_ID.fullmatch(export_id):
        raise DriverError("This is no id of a copy.", detail=repr(export_id))
    return folder.exports / f"{export_id}.{FORMAT}"


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), size, offset)


async def _end(work: asyncio.Task[None]) -> None:
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError, DriverError):
        await work
