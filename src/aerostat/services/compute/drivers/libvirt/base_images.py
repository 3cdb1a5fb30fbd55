"""The cache of base images: one read-only file for each, `<id>.<format>`.

A file appears under its name only when it is whole, checked and on the disk: a process that dies half way
leaves a `.part` that the next start removes. Users' images are hostile input, so the bytes are first looked
at by a reader that opens nothing (oslo.utils) and only then by qemu-img, under limits.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from oslo_utils.imageutils import format_inspector

from aerostat.kernel.errors import DriverError
from aerostat.kernel.ids import short_id
from aerostat.kernel.turns import Turns
from aerostat.services.compute.host.protocol import BaseImage, BaseImageSpec

from . import qemu_img

FORMATS = ("raw", "qcow2")
# A partition table or a CD's file system is what a raw disk may well begin with.
SEEN_AS = {"raw": {"raw", "gpt", "iso"}, "qcow2": {"qcow2"}}
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class BaseImages:
    """The cache in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turns = Turns()

    def open(self) -> None:
        """Make the folder; remove what an earlier process left half done."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for part in self._folder.glob("*.part"):
            part.unlink()

    async def ensure(self, image: BaseImageSpec, chunks: AsyncIterator[bytes]) -> BaseImage:
        """See `Hypervisor.ensure_base_image`."""
        _check_id(image.id)
        if image.format not in FORMATS:
            raise DriverError(f"Images of format {image.format} cannot be used here.")
        async with self._turns.of(image.id):
            if (there := await self.find(image.id)) is not None:
                return there
            part = self._folder / f"{image.id}.{short_id()}.part"
            try:
                await _receive(part, image, chunks)
                await _check_content(part, image.format)
                await asyncio.to_thread(_keep, part, self._folder / f"{image.id}.{image.format}")
            finally:
                part.unlink(missing_ok=True)
        return await self.get(image.id)

    async def find(self, image_id: str) -> BaseImage | None:
        path = self.path(image_id)
        return _describe(path) if path else None

    async def get(self, image_id: str) -> BaseImage:
        found = await self.find(image_id)
        if found is None:
            raise DriverError("The image is not on the host yet.", detail=f"image {image_id}", retry=True)
        return found

    async def list(self) -> list[BaseImage]:
        return [_describe(path) for path in sorted(self._folder.iterdir()) if path.suffix != ".part"]

    def remove(self, image_id: str) -> None:
        if path := self.path(image_id):
            path.unlink()

    def path(self, image_id: str) -> Path | None:
        """The file of an image, if it is there."""
        _check_id(image_id)
        found = (self._folder / f"{image_id}.{fmt}" for fmt in FORMATS)
        return next((path for path in found if path.exists()), None)


def _check_id(image_id: str) -> None:
    if not _SAFE_ID.fullmatch(image_id):
        raise DriverError("This is no image id.", detail=repr(image_id))


async def _receive(part: Path, image: BaseImageSpec, chunks: AsyncIterator[bytes]) -> None:
    """Write the stream, counting and hashing it."""
    size = 0
    digest = hashlib.new(image.hash_algo)
    with part.open("wb", buffering=0) as file:
        async for chunk in chunks:
            size += len(chunk)
            if image.size_bytes is not None and size > image.size_bytes:
                break
            await asyncio.to_thread(_write, file, chunk, digest)
        await asyncio.to_thread(os.fsync, file.fileno())
    if image.size_bytes is not None and size != image.size_bytes:
        raise DriverError(f"The image did not have its {image.size_bytes} bytes.", retry=True)
    if image.hash_value is not None and digest.hexdigest() != image.hash_value.lower():
        raise DriverError("The image's checksum does not match.", retry=True)


def _write(file: Any, chunk: bytes, digest: Any) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]
    digest.update(chunk)


async def _check_content(path: Path, fmt: str) -> None:
    """Refuse an image that is not what it says, or that would lead QEMU to another file."""
    try:
        inspector = await asyncio.to_thread(format_inspector.detect_file_format, str(path))
        if str(inspector) not in SEEN_AS[fmt]:
            raise DriverError(f"The image's content is not of format {fmt}.", detail=f"it is {inspector}")
        if inspector is not None and fmt == "qcow2":
            inspector.safety_check()
    except format_inspector.SafetyCheckFailed as failed:
        raise DriverError(
            "The image refers to other files or uses features that are not allowed.", detail=str(failed)
        ) from failed
    except format_inspector.ImageFormatError as failed:
        raise DriverError("The image cannot be understood.", detail=str(failed)) from failed
    found = await qemu_img.info(path, fmt)
    data_file = found.get("format-specific", {}).get("data", {}).get("data-file")
    if found.get("backing-filename") or data_file:
        raise DriverError("The image refers to other files.", detail=str(found))
    if found.get("encrypted"):
        raise DriverError("The image is encrypted.")


def _keep(part: Path, path: Path) -> None:
    """Name first in the directory, directory to the disk: afterwards it is there for good."""
    part.chmod(0o444)
    os.replace(part, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _describe(path: Path) -> BaseImage:
    fmt = path.suffix[1:]
    stat = path.stat()
    virtual = stat.st_size
    if fmt == "qcow2":
        virtual = qemu_img.qcow2_size(path)  # the header was checked when the image came in
    return BaseImage(
        id=path.stem,
        format=fmt,
        virtual_bytes=virtual,
        file_bytes=stat.st_blocks * 512,
        uses=stat.st_nlink - 1,
    )
