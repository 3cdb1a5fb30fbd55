"""The contract of a store of image bytes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from aerostat.kernel.errors import DriverError


class NoRoom(DriverError):
    """The store is full."""

    def __init__(self, detail: str) -> None:
        super().__init__("There is not enough disk space on the image storage media.", detail=detail)


class Upload(Protocol):
    """Bytes on their way in. Nothing can be read until `keep`; `discard` leaves nothing behind, and may be repeated."""

    async def write(self, chunk: bytes) -> None: ...

    async def keep(self) -> None:
        """Make the bytes durable under the image's id; they survive power loss when this returns."""

    async def discard(self) -> None: ...


@runtime_checkable
class UploadToFile(Protocol):
    """An upload that is a file of this machine."""

    path: Path
    """A tool may write it in place of `write`."""

    def write_now(self, chunk: bytes) -> None:
        """`write`, for those who are in a thread already."""


@runtime_checkable
class StoreOfFiles(Protocol):
    """A store whose images are files of this machine, which a tool may read."""

    def path(self, image_id: str) -> Path: ...


class ImageStore(Protocol):
    """Bytes by image id. Raises `DriverError` when the back-end cannot (`retry` when it may later).

    Whoever calls remembers what was begun: a store is never asked what it has.
    """

    is_local: bool
    """Whether reading costs no more than reading a file of this machine."""

    def url(self, image_id: str) -> str:
        """Where an image is or would be, for operators: the same each time."""

    def properties(self) -> dict[str, Any]:
        """What an administrator is shown of the store."""

    async def begin(self, image_id: str, token: str) -> Upload:
        """Start an upload; `token` tells it from others to the same image."""

    def read(self, image_id: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The kept bytes from `start` on."""

    async def remove_image(self, image_id: str) -> None:
        """Forget the bytes; a repeat does nothing."""

    async def remove_upload(self, image_id: str, token: str) -> None:
        """Discard what a dead upload left, before and after `keep` alike; a repeat does nothing."""
