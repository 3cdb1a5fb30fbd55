"""The disks in a domain's folder: root layer, ephemeral disks, swap, rescue disk and config drive.

Each is made under another name and renamed, so that a disk with its right name is a whole one.
"""

import asyncio
import errno
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from aerostat.kernel.errors import DriverError
from aerostat.services.compute.host.protocol import DomainSpec, RootDisk

from . import qemu_img
from .base_images import BaseImages
from .config_drive import build_config_drive
from .settings import DomainFolder

GIB = 1 << 30
MIB = 1 << 20


async def ensure_disks(spec: DomainSpec, folder: DomainFolder, images: BaseImages) -> None:
    """Make what `spec` asks for and is not there yet; what is there keeps its content."""
    for path in (folder.path, folder.sockets):
        path.mkdir(parents=True, exist_ok=True)
    root = spec.root
    await _once(folder.root_disk, lambda part: _make_layer(part, folder.base, root, images))
    await _grow(folder.root_disk, spec.root.size_gib * GIB)
    if (rescue := spec.rescue) is not None:
        layer = RootDisk(rescue.image_id)
        await _once(folder.rescue_disk, lambda part: _make_layer(part, folder.rescue_base, layer, images))
    else:
        for leftover in (folder.rescue_disk, folder.rescue_base):
            await asyncio.to_thread(leftover.unlink, missing_ok=True)
    for index, size_gib in enumerate(spec.ephemeral_gib):
        format_it = ("mke2fs", "-q", "-F", "-t", "ext4", "-L", f"ephemeral{index}")
        await _once(folder.ephemeral(index), _sparse(size_gib * GIB, *format_it))
    if spec.swap_mib:
        await _once(folder.swap, _sparse(spec.swap_mib * MIB, "mkswap", "-q"))


async def write_config_drive(spec: DomainSpec, folder: DomainFolder) -> None:
    """Make the config drive as `spec` has it now. Not while a guest reads it."""
    if spec.config_drive is None:
        folder.config_drive.unlink(missing_ok=True)
        return
    part = folder.config_drive.with_suffix(".part")
    await asyncio.to_thread(build_config_drive, spec.config_drive, part)
    os.replace(part, folder.config_drive)


async def _once(path: Path, make: Callable[[Path], Awaitable[None]]) -> None:
    part = path.with_suffix(".part")
    if not await asyncio.to_thread(path.exists):
        await asyncio.to_thread(part.unlink, missing_ok=True)
        await make(part)
        os.replace(part, path)


async def _make_layer(part: Path, base: Path, disk: RootDisk, images: BaseImages) -> None:
    """A layer over the base image, found by a name beside it: the hard link `base`."""
    image = await images.get(disk.image_id)
    size = disk.size_gib * GIB or image.virtual_bytes
    if size < image.virtual_bytes:
        needed = -(-image.virtual_bytes // GIB)
        raise DriverError(f"The root disk has {disk.size_gib} GiB, the image needs {needed} GiB.")
    cached = images.path(disk.image_id)
    if cached is None:
        raise DriverError("The image is not on the host any more.", retry=True)
    await asyncio.to_thread(_link, cached, base)
    await qemu_img.run(
        *("qemu-img", "create", "-q", "-f", "qcow2", "-F", image.format),
        *("-b", base.name, str(part), str(size)),
    )


def _link(cached: Path, base: Path) -> None:
    base.unlink(missing_ok=True)
    try:
        os.link(cached, base)
    except OSError as refusal:
        if refusal.errno != errno.EXDEV:
            raise
        part = base.with_suffix(".part")
        shutil.copyfile(cached, part)  # the cache is on another file system
        os.replace(part, base)


async def _grow(path: Path, size_bytes: int) -> None:
    """Make a disk that is smaller as large as that. Nothing that the guest wrote is ever cut off."""
    if await asyncio.to_thread(qemu_img.qcow2_size, path) < size_bytes:
        await qemu_img.run("qemu-img", "resize", "-q", "-f", "qcow2", str(path), str(size_bytes))


def _sparse(size_bytes: int, *format_it: str) -> Callable[[Path], Awaitable[None]]:
    async def make(part: Path) -> None:
        with part.open("wb") as file:
            file.truncate(size_bytes)
        await qemu_img.run(*format_it, str(part))

    return make
