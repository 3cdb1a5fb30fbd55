"""What compute asks of the image room: what an image is, and its bytes for hosts that fetch it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from aerostat.kernel import clock
from aerostat.kernel.client import RoomError
from aerostat.kernel.context import Context, internal_context
from aerostat.kernel.errors import BadRequest

from .host.orders import CHUNK_BYTES, ReadImage
from .host.protocol import BaseImageSpec

GIB = 1 << 30

# What an image says of itself beside its properties; the rest of its keys are properties.
OWN_KEYS = frozenset(
    {
        *("id", "name", "status", "visibility", "protected", "owner", "tags", "os_hidden"),
        *("size", "virtual_size", "container_format", "disk_format", "min_disk", "min_ram"),
        *("checksum", "os_hash_algo", "os_hash_value", "created_at", "updated_at"),
        *("self", "file", "schema", "direct_url", "locations", "stores"),
    }
)


async def get_image(house: Any, context: Context, image_id: str) -> dict[str, Any]:
    """The image, if the caller may boot from it. Raises `BadRequest` in upstream's words."""
    try:
        image: dict[str, Any] = await house.client("image", context).get_image(image_id)
    except RoomError as error:
        if error.status in (403, 404):
            raise BadRequest("Can not find requested image") from None
        raise
    if image["status"] != "active":
        raise BadRequest(f"Image {image_id} is not active.")
    return image


def properties_of(image: Mapping[str, Any]) -> dict[str, str]:
    """The image's properties, as drivers and filters read them."""
    return {
        key: str(value)
        for key, value in image.items()
        if key not in OWN_KEYS and isinstance(value, str | int | bool | float)
    }


def check_fits(image: Mapping[str, Any], flavor: Mapping[str, Any]) -> None:
    """Raises `BadRequest` when the flavor is too small for the image, in upstream's words."""
    if flavor["memory_mib"] < (image.get("min_ram") or 0):
        raise BadRequest("Flavor's memory is too small for requested image.")
    root_bytes = flavor["disk_gib"] * GIB
    if root_bytes == 0:
        return
    needed = max(image.get("size") or 0, image.get("virtual_size") or 0)
    if root_bytes < needed:
        raise BadRequest(
            f"Flavor's disk is too small for requested image. Flavor disk is {root_bytes} bytes, "
            f"image is {needed} bytes."
        )
    if flavor["disk_gib"] < (image.get("min_disk") or 0):
        raise BadRequest(
            f"Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is "
            f"{root_bytes} bytes, minimum size is {image['min_disk'] * GIB} bytes."
        )


def spec_of(image: Mapping[str, Any]) -> BaseImageSpec:
    """The image as a host keeps it. Without the strong hash nothing is compared but the size."""
    return BaseImageSpec(
        id=image["id"],
        format=image["disk_format"],
        size_bytes=image.get("size"),
        hash_algo=image.get("os_hash_algo") or "sha512",
        hash_value=image.get("os_hash_value"),
    )


class ImageReader:
    """Gives hosts an image piece by piece. A read is complete in itself (image, offset); that a host reads in
    order is used to keep its download open between two reads.
    """

    KEEP_S = 60.0

    def __init__(self, house: Any) -> None:
        self._house = house
        self._open: dict[tuple[str, int], tuple[float, _Download]] = {}

    async def read(self, order: ReadImage, request_id: str | None) -> bytes:
        download = await self._at(order.image_id, order.offset, request_id)
        piece = await download.read(CHUNK_BYTES)
        if piece:
            key = (order.image_id, order.offset + len(piece))
            self._open[key] = (clock.clock.timestamp(), download)
        else:
            await download.close()
        return piece

    async def close(self) -> None:
        kept, self._open = self._open, {}
        for _, download in kept.values():
            await download.close()

    async def _at(self, image_id: str, offset: int, request_id: str | None) -> "_Download":
        await self._forget_idle()
        kept = self._open.pop((image_id, offset), None)
        if kept is not None:
            return kept[1]
        client = self._house.client("image", internal_context(request_id or "images", "compute"))
        download = _Download(await client.download(image_id))
        await download.skip(offset)
        return download

    async def _forget_idle(self) -> None:
        horizon = clock.clock.timestamp() - self.KEEP_S
        for key in [key for key, (used_at, _) in self._open.items() if used_at < horizon]:
            await self._open.pop(key)[1].close()


class _Download:
    """A stream of bytes, read in pieces of a given size."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = bytearray()
        self._lock = asyncio.Lock()

    async def read(self, size: int) -> bytes:
        async with self._lock:
            while len(self._rest) < size:
                chunk = await anext(self._chunks, None)
                if chunk is None:
                    break
                self._rest += chunk
            piece = bytes(self._rest[:size])
            del self._rest[:size]
            return piece

    async def skip(self, size: int) -> None:
        while size > 0:
            piece = await self.read(min(size, CHUNK_BYTES))
            if not piece:
                return
            size -= len(piece)

    async def close(self) -> None:
        if isinstance(self._chunks, AsyncGenerator):
            await self._chunks.aclose()
