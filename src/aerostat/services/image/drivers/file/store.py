"""Image bytes as files of one folder: `xx/<id>` for what is kept, `uploads/<id>.<token>` for what is on its way."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aerostat.kernel.errors import DriverError

CHUNK_BYTES = 512 * 1024


class FileStore:
    is_local = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uploads = folder / "uploads"
        self._uploads.mkdir(parents=True, exist_ok=True)

    def url(self, image_id: str) -> str:
        return f"file://{self._path(image_id).absolute()}"

    def properties(self) -> dict[str, Any]:
        return {"data_dir": str(self._folder), "chunk_size": CHUNK_BYTES, "thin_provisioning": False}

    async def begin(self, image_id: str, token: str) -> "FileUpload":
        return FileUpload(self._uploads / f"{image_id}.{token}", self._path(image_id))

    async def read(self, image_id: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        try:
            handle = os.open(self._path(image_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise DriverError("The image's data is not there.", detail=str(error)) from error
        try:
            at, left = start, length
            while left is None or left > 0:
                count = CHUNK_BYTES if left is None else min(CHUNK_BYTES, left)
                chunk = await asyncio.to_thread(os.pread, handle, count, at)
                if not chunk:
                    return
                at += len(chunk)
                left = None if left is None else left - len(chunk)
                yield chunk
        finally:
            os.close(handle)

    async def remove_image(self, image_id: str) -> None:
        await asyncio.to_thread(self._path(image_id).unlink, missing_ok=True)

    async def remove_upload(self, image_id: str, token: str) -> None:
        await asyncio.to_thread((self._uploads / f"{image_id}.{token}").unlink, missing_ok=True)
        await self.remove_image(image_id)

    def _path(self, image_id: str) -> Path:
        return self._folder / image_id[:2] / image_id


class FileUpload:
    def __init__(self, temporary: Path, final: Path) -> None:
        self._temporary, self._final = temporary, final
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._handle: int | None = os.open(temporary, flags, 0o600)

    async def write(self, chunk: bytes) -> None:
        assert self._handle is not None
        try:
            await asyncio.to_thread(_write_whole, self._handle, chunk)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            message = (
                "There is not enough disk space for the image." if full else "The image cannot be stored."
            )
            raise DriverError(message, detail=str(error), retry=full) from error

    async def keep(self) -> None:
        await asyncio.to_thread(self._keep)

    def _keep(self) -> None:
        assert self._handle is not None
        os.fsync(self._handle)
        os.close(self._handle)
        self._handle = None
        self._final.parent.mkdir(exist_ok=True)
        os.replace(self._temporary, self._final)
        for folder in (self._final.parent, self._final.parent.parent):
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(opened)
            finally:
                os.close(opened)

    async def discard(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        self._temporary.unlink(missing_ok=True)


def _write_whole(handle: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(handle, view) :]
