"""What compute asks of the image room: what an image is, and its bytes for hosts that fetch it."""

from collections.abc import Mapping
from typing import Any

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


async def read_piece(house: Any, order: ReadImage, request_id: str | None) -> bytes:
    """A piece of an image for a host that fetches it. Complete in itself: pieces may come from different processes."""
    client = house.client("image", internal_context(request_id or "images", "compute"))
    piece: bytes = await client.read(order.image_id, order.offset, CHUNK_BYTES)
    return piece
