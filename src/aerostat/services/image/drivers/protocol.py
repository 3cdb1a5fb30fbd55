"""The contract of a store of image bytes."""

from collections.abc import AsyncIterator
from typing import Protocol


class Upload(Protocol):
    """Bytes on their way in. Nothing can be read until `keep`; `discard` leaves nothing behind, and may be repeated."""

    async def write(self, chunk: bytes) -> None: ...

    async def keep(self) -> None:
        """Make the bytes durable under the image's id; they survive power loss when this returns."""

    async def discard(self) -> None: ...


class ImageStore(Protocol):
    """Bytes by image id. Raises `DriverError` when the back-end cannot (`retry` when it may later)."""

    async def begin(self, image_id: str, token: str) -> Upload:
        """Start an upload; `token` tells it from others to the same image."""

    def read(self, image_id: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The kept bytes from `start` on."""

    async def remove_image(self, image_id: str) -> None:
        """Forget the bytes; a repeat does nothing."""

    async def list_images(self) -> set[str]:
        """Ids of all that is kept."""

    async def remove_uploads(self, but: set[str]) -> int:
        """Discard what died uploads left, except those with the tokens `but`; answers how many."""
