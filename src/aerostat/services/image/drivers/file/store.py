"""Image bytes as files of one folder: `xx/<id>` for what is kept, `uploads/<id>.<token>` for what is on its way."""

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from aerostat.kernel.errors import DriverError

from ..protocol import NoRoom

CHUNK_BYTES = 512 * 1024
T = TypeVar("T")


class FileStore:
    is_local = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uploads = folder / "uploads"
        self._uploads.mkdir(parents=True, exist_ok=True)

    def url(self, image_id: str) -> str:
        return f"file://{self.path(image_id).absolute()}"

    def properties(self) -> dict[str, Any]:
        return {"data_dir": str(self._folder), "chunk_size": CHUNK_BYTES, "thin_provisioning": False}

    async def begin(self, image_id: str, token: str) -> "FileUpload":
        return await _in_thread(FileUpload, self._uploads / f"{image_id}.{token}", self.path(image_id))

    async def read(self, image_id: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        try:
            handle = os.open(self.path(image_id), os.O_RDONLY | os.O_CLOEXEC)
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
        await asyncio.to_thread(self.path(image_id).unlink, missing_ok=True)

    async def remove_upload(self, image_id: str, token: str) -> None:
        await asyncio.to_thread((self._uploads / f"{image_id}.{token}").unlink, missing_ok=True)
        await self.remove_image(image_id)

    def path(self, image_id: str) -> Path:
        return self._folder / image_id[:2] / image_id


class FileUpload:
    """A file that nobody reads yet. Whatever was cancelled may still be at work in a thread: one at a time."""

    def __init__(self, temporary: Path, final: Path) -> None:
        self.path, self._final = temporary, final
        self._turn = threading.Lock()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._handle: int | None = os.open(temporary, flags, 0o600)

    async def write(self, chunk: bytes) -> None:
        await _in_thread(self.write_now, chunk)

    async def keep(self) -> None:
        await _in_thread(self._keep)

    async def discard(self) -> None:
        await _in_thread(self._discard)

    def write_now(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        with _told(), self._turn:
            while view:
                view = view[os.write(self._open(), view) :]

    def _keep(self) -> None:
        with self._turn:
            os.fsync(self._open())
            self._close()
            self._final.parent.mkdir(exist_ok=True)
            os.replace(self.path, self._final)
            for folder in (self._final.parent, self._final.parent.parent):
                opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(opened)
                finally:
                    os.close(opened)

    def _discard(self) -> None:
        with self._turn:
            self._close()
            self.path.unlink(missing_ok=True)

    def _open(self) -> int:
        if self._handle is None:
            raise DriverError("The upload has ended.")
        return self._handle

    def _close(self) -> None:
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)


async def _in_thread(call: Callable[..., T], *given: Any) -> T:
    """Raises `NoRoom`, `DriverError` for what the disk says."""
    with _told():
        return await asyncio.to_thread(call, *given)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What the disk says, in the words of a store of images."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise NoRoom(str(error)) from error
        raise DriverError("The image cannot be stored.", detail=str(error)) from error
