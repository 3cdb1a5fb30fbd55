"""Where an image's bytes are, changed by its owner: `PATCH` on `/locations`, where the settings show them at all.

https://docs.openstack.org/api-ref/image/v2/#update-image. Only addresses on web servers can be set, and only where the
cloud has a store of type `http`: what a store of the cloud's own keeps is nobody's to name.
"""

import re
from collections.abc import Mapping
from typing import Any

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.errors import BadRequest, Conflict, Forbidden
from aerostat.kernel.http import Request

from . import model
from .config import ImageConfig
from .copies import kept_copies, plan_removal
from .errors import LocationsHidden, TooMany
from .states import IMAGE
from .stores import stores_of

HASH_BYTES = {"md5": 16, "sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
KNOWN_BY = "sha512"
_HEX = re.compile("[0-9a-fA-F]*")
_WORDS = {"add": "add", "replace": "update", "remove": "remove"}


async def change_locations(
    req: Request, tx: Transaction, row: Row, operation: str, place: str | None, value: Any
) -> None:
    """One operation of a patch. Raises `Forbidden`, `Conflict`, `BadRequest`, `TooMany`."""
    from .resources.image import Image

    settings = req.house.config.section(ImageConfig)
    if operation == "replace" and not value:
        raise Forbidden("Cannot set locations to empty list.")
    new = value if operation == "replace" else [value]
    if operation != "remove" and (not isinstance(new, list) or not all(_is_location(one) for one in new)):
        raise BadRequest("A location is an object with a url, and may have metadata and validation_data.")
    rule = "delete_image_location" if operation == "remove" else "set_image_location"
    req.check(rule, req.service.resource(Image).target(row))
    if not settings.show_locations:
        raise LocationsHidden(what=_WORDS[operation])
    allowed = ("active",) if operation == "remove" else ("active", "queued")
    if row.status not in allowed:
        raise Conflict(f"It's not allowed to {operation} locations if image status is {row.status}.")
    await tx.lock(f"image.copies.{row.id}")
    present = await kept_copies(tx, row.id)
    if operation == "remove":
        await _remove(tx, row, present, place)
        return
    if operation == "replace" and present:
        await _change_metadata(tx, present, new)
        return
    index = len(present) if operation == "replace" else _index(place, len(present))
    if index is None:
        raise BadRequest("Invalid position for adding a location.")
    if len(present) + len(new) > settings.max_locations:
        raise TooMany(what="locations", asked=len(present) + len(new), limit=settings.max_locations)
    facts: dict[str, Any] = {}
    for offset, one in enumerate(new):
        if stores_of(req.house).on_the_web is None:
            raise BadRequest(f"The store URI is malformed: {one['url'][:255]}")
        stores_of(req.house).check_uri(one["url"], "a location")
        if any(copy.url == one["url"] for copy in present):
            raise BadRequest(f"The location {one['url']} already exists")
        _agree(row, facts, one.get("validation_data", {}))
        await _insert(req, tx, row, one["url"], _metadata(one), index + offset)
    if row.status == "queued":
        if facts:
            await tx.update(model.IMAGES, {"id": row.id}, **facts)
        await IMAGE.move(tx, model.IMAGES, row.id, "locate")
        row.status = "active"


def check_hash(given: Mapping[str, Any], algorithm: str = KNOWN_BY) -> None:
    """`os_hash_algo` and `os_hash_value` as they may be given. Raises `BadRequest`."""
    algorithm, value = given.get("os_hash_algo", algorithm), given.get("os_hash_value")
    if algorithm not in HASH_BYTES:
        raise BadRequest(f"os_hash_algo {algorithm} is not one of {', '.join(HASH_BYTES)}.")
    if value is None:
        return
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise BadRequest(f"os_hash_value ({value}) is not a valid hexadecimal value")
    if len(value) != 2 * HASH_BYTES[algorithm]:
        raise BadRequest(
            f"os_hash_value: ({value}) is not the correct size for ({algorithm}) "
            f"(should be ({HASH_BYTES[algorithm]}) bytes)"
        )


async def _remove(tx: Transaction, row: Row, present: list[Row], place: str | None) -> None:
    if len(present) == 1:
        raise Forbidden("Cannot remove last location in the image.")
    index = _index(place, len(present) - 1)
    if index is None or index >= len(present):
        raise BadRequest("Invalid position for removing a location.")
    await plan_removal(tx, row.id, 0.0, store=present[index].store, url=present[index].url)


def _index(place: str | None, last: int) -> int | None:
    if place == "-":
        return last
    if place is None or not place.isdecimal() or len(place) > 9:
        return None
    return min(int(place), last) if int(place) <= last else None


async def _change_metadata(tx: Transaction, present: list[Row], new: list[dict[str, Any]]) -> None:
    """All that can be replaced of locations that are there: what is said of them, and their order."""
    by_url = {copy.url: copy for copy in present}
    if sorted(by_url) != sorted(one["url"] for one in new):
        raise BadRequest(
            "The locations that an image has are not empty: they are added to and removed one by one."
        )
    for place, one in enumerate(new):
        changes = {"metadata": _metadata(one), "place": place}
        await tx.update(model.LOCATIONS, {"id": by_url[one["url"]].id}, **changes)


def _is_location(one: Any) -> bool:
    return (
        isinstance(one, dict)
        and isinstance(one.get("url"), str)
        and isinstance(one.get("metadata", {}), dict)
        and isinstance(one.get("validation_data", {}), dict)
    )


def _metadata(one: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.get("metadata", {}).items() if name != "store"}


def _agree(row: Row, facts: dict[str, Any], known: Mapping[str, Any]) -> None:
    """What a client says of the bytes, against what is known of them. Raises `Conflict`, `BadRequest`."""
    for name, value in known.items():
        if name not in ("checksum", "os_hash_algo", "os_hash_value"):
            raise BadRequest(f"validation_data has no {name}.")
        if facts.get(name, value) != value:
            raise Conflict(f"Conflicting values for {name}")
        if row[name] is not None and row[name] != value:
            raise Conflict(f"{name} is already set with a different value")
        if row[name] is None and row.status != "queued":
            raise Conflict(f"New value(s) for {name} may only be provided when image status is 'queued'")
        facts[name] = value
    if not facts:
        return
    if facts.get("os_hash_algo") != KNOWN_BY or "os_hash_value" not in facts:
        raise Conflict(f"os_hash_algo must be {KNOWN_BY}, with its os_hash_value")
    check_hash(facts)
    checksum = facts.get("checksum", "0" * 32)
    if not isinstance(checksum, str) or not _HEX.fullmatch(checksum) or len(checksum) != 32:
        raise Conflict(f"checksum ({checksum}) is not a valid hexadecimal value of 16 bytes")


async def _insert(
    req: Request, tx: Transaction, row: Row, url: str, metadata: dict[str, Any], index: int
) -> None:
    for other in await kept_copies(tx, row.id):
        if other.place >= index:
            await tx.update(model.LOCATIONS, {"id": other.id}, place=other.place + 1)
    store = stores_of(req.house).on_the_web
    values = {"store": store, "url": url, "metadata": metadata, "state": "kept", "place": index}
    await tx.insert(model.LOCATIONS, image_id=row.id, **values)
