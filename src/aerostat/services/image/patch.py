"""Changing an image by JSON patch: add, replace and remove of single fields, tags and properties.

https://docs.openstack.org/api-ref/image/v2/#update-image
"""

from typing import Any

from aerostat.kernel.clock import now
from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.errors import BadRequest, Conflict, Forbidden
from aerostat.kernel.fields import BodySchema
from aerostat.kernel.http import Request

from . import model
from .config import ImageConfig
from .errors import ReadOnly, Reserved, TooMany
from .locations import change_locations
from .protections import protections_of

_READ_ONLY = """
    status checksum size virtual_size created_at updated_at self file schema os_hash_algo os_hash_value direct_url
    deleted deleted_at
"""
READ_ONLY = frozenset(_READ_ONLY.split())
RESERVED = frozenset({"location", "locations", "stores", "members"})
RESERVED_PREFIX = "os_glance_"  # where upstream keeps what its own tasks remember
_CHANGEABLE = """
    name visibility protected os_hidden owner min_disk min_ram disk_format container_format tags
"""
CHANGEABLE = frozenset(_CHANGEABLE.split())
_OPERATIONS = ("add", "replace", "remove")
_FORMATS = frozenset({"disk_format", "container_format"})


async def apply_patch(req: Request, tx: Transaction, row: Row, changes: Any) -> None:
    """Carry out the operations in order. Raises `BadRequest`, `Forbidden`, `Conflict`, `TooMany`."""
    if not isinstance(changes, list):
        raise BadRequest("Request body must be a JSON array of operation objects.")
    columns: dict[str, Any] = {}
    for change in changes:
        operation, name, place, value = _read(change)
        if name == "id":
            raise ReadOnly(name=name)
        if name == "locations":
            await change_locations(req, tx, row, operation, place, value)
            continue
        if name == "stores" and operation == "remove":
            continue  # openstacksdk takes it for a property, and takes away all those it was not given anew
        check_writable(name)
        if name == "tags":
            await _set_tags(req, tx, row.id, [] if operation == "remove" else value)
        elif name in CHANGEABLE:
            if operation == "remove":
                raise Forbidden(f"Property {name} may not be removed.")
            columns[name] = _checked(req, row, name, value)
        else:
            await _set_property(req, tx, row.id, operation, name, value)
    where = {"id": row.id}
    if _FORMATS & columns.keys():
        where["status"] = "queued"  # what was inspected as one format is never shown as another
    if not await tx.update(model.IMAGES, where, **{**columns, "updated_at": now()}):
        raise Conflict(f"Image {row.id} changed meanwhile.")


def check_writable(name: str) -> None:
    """Raises `ReadOnly`, `Reserved` for fields that a client cannot set, not even as properties of its own."""
    if name in READ_ONLY:
        raise ReadOnly(name=name)
    if name in RESERVED or name.startswith(RESERVED_PREFIX):
        raise Reserved(name=name)


def _read(change: Any) -> tuple[str, str, str | None, Any]:
    """Operation, field, the place within it for locations, value."""
    if not isinstance(change, dict):
        raise BadRequest("Operations must be JSON objects.")
    operation, path = change.get("op"), change.get("path")
    named = [key for key in _OPERATIONS if key in change]
    if operation is None and len(named) == 1:  # version 2.0 of the form
        operation = named[0]
        path = change[operation]
    if operation not in _OPERATIONS:
        raise BadRequest("Operations must be one of add, replace, remove.")
    if not isinstance(path, str) or not path.startswith("/") or len(path) < 2:
        raise BadRequest("Pointer `path` must begin with a slash and name a field.")
    name, _, place = path[1:].partition("/")
    # What a location's place is said of: added to, taken from; all of them are replaced at once.
    is_placed = name == "locations" and operation in ("add", "remove")
    if is_placed != bool(place) or "/" in place or "~" in name.replace("~0", "").replace("~1", ""):
        raise BadRequest(f"Invalid JSON pointer for this resource: '{path}'")
    if operation != "remove" and "value" not in change:
        raise BadRequest(f'Operation "{operation}" requires a member named "value".')
    return operation, name.replace("~1", "/").replace("~0", "~"), place or None, change.get("value")


def _checked(req: Request, row: Row, name: str, value: Any) -> Any:
    from .resources.image import Image, check_visibility

    field = next(field for field in Image.fields if field.wire == name)
    schema = {"type": "object", "properties": {name: field.json_schema(False)}}
    BodySchema(schema, req.service.invalid).check({name: value})
    if name == "visibility":
        check_visibility(req, req.service.resource(Image).target(row), value)
    if name == "owner" and value != row.owner and not req.context.is_admin:
        raise Forbidden("You are not permitted to change the owner of an image.")
    if name in _FORMATS and value != row[name] and row.status != "queued":
        raise Forbidden(f"Attribute {name} can be only replaced for a queued image.")
    return value


async def _set_tags(req: Request, tx: Transaction, image_id: str, tags: Any) -> None:
    if not isinstance(tags, list) or not all(isinstance(tag, str) and len(tag) <= 255 for tag in tags):
        raise BadRequest("tags is a list of texts of at most 255 characters.")
    limit = req.house.config.section(ImageConfig).max_tags
    if len(set(tags)) > limit:
        raise TooMany(what="tags", asked=len(set(tags)), limit=limit)
    await tx.delete(model.TAGS, image_id=image_id)
    for tag in dict.fromkeys(tags):
        await tx.insert(model.TAGS, image_id=image_id, value=tag)


async def _set_property(
    req: Request, tx: Transaction, image_id: str, operation: str, name: str, value: Any
) -> None:
    from .resources.image import check_property

    protections = protections_of(req)
    present = await tx.find(model.PROPERTIES, image_id=image_id, name=name)
    if present is not None and not protections.may(req, "read", name):
        raise Reserved(name=name)  # whoever cannot see that it is there does not write over it
    if operation == "remove":
        if present is not None:
            protections.check(req, "delete", name)
    else:
        protections.check(req, "create" if present is None else "update", name)
    if operation == "add":
        if present is None:
            limit = req.house.config.section(ImageConfig).max_properties
            have = await tx.count(model.PROPERTIES, image_id=image_id)
            if have >= limit:
                raise TooMany(what="properties", asked=have + 1, limit=limit)
    elif present is None:
        raise Conflict(f"Property {name} does not exist.")
    await tx.delete(model.PROPERTIES, image_id=image_id, name=name)
    if operation != "remove":
        check_property(name, value)
        await tx.insert(model.PROPERTIES, image_id=image_id, name=name, value=value)
