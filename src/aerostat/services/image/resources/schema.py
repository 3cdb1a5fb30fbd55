"""JSON schemas of what the room shows, made from the fields. https://docs.openstack.org/api-ref/image/v2/#image-schemas"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from .image import CONTAINER_FORMATS, DISK_FORMATS, VISIBILITIES, Image

_STATUSES = [
    "queued",
    "saving",
    "active",
    "killed",
    "deleted",
    "pending_delete",
    "deactivated",
    "uploading",
    "importing",
]
_ENUMS: dict[str, list[Any]] = {
    "status": _STATUSES,
    "visibility": list(VISIBILITIES),
    "disk_format": [None, *DISK_FORMATS],
    "container_format": [None, *CONTAINER_FORMATS],
}
_TYPES = {str: "string", int: "integer", bool: "boolean", list: "array"}
_NULLABLE_NAMES = """
    name owner size virtual_size checksum os_hash_algo os_hash_value disk_format container_format
"""
_NULLABLE = frozenset(_NULLABLE_NAMES.split())
_MEMBER = {
    "name": "member",
    "properties": {
        "member_id": {"type": "string", "description": "An identifier for the image member (tenantId)"},
        "image_id": {"type": "string", "description": "An identifier for the image"},
        "created_at": {"type": "string", "description": "Date and time of image member creation"},
        "updated_at": {"type": "string", "description": "Date and time of last modification of image member"},
        "status": {
            "type": "string",
            "enum": ["pending", "accepted", "rejected"],
            "description": "The status of this image member",
        },
        "schema": {"type": "string", "readOnly": True},
    },
}


class Schema(Resource):
    @route("GET", "/schemas/image")
    async def image(self, req: Request) -> dict[str, Any]:
        return _image_schema()

    @route("GET", "/schemas/images")
    async def images(self, req: Request) -> dict[str, Any]:
        return _list_of("images", _image_schema())

    @route("GET", "/schemas/member")
    async def member(self, req: Request) -> dict[str, Any]:
        return _MEMBER

    @route("GET", "/schemas/members")
    async def members(self, req: Request) -> dict[str, Any]:
        return _list_of("members", _MEMBER)


def _image_schema() -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for field in Image.fields:
        kind: Any = _TYPES[field.type]
        one: dict[str, Any] = {"type": ["null", kind] if field.wire in _NULLABLE else kind}
        if field.wire in _ENUMS:
            one["enum"] = _ENUMS[field.wire]
        if field.type is list:
            one["items"] = {"type": "string", "maxLength": 255}
        if field.create is None:
            one["readOnly"] = True
        properties[field.wire] = one
    return {
        "name": "image",
        "properties": properties,
        "additionalProperties": {"type": "string"},
        "links": [
            {"rel": "self", "href": "{self}"},
            {"rel": "enclosure", "href": "{file}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }


def _list_of(plural: str, item: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": plural,
        "properties": {
            plural: {"type": "array", "items": item},
            "schema": {"type": "string"},
            "next": {"type": "string"},
            "first": {"type": "string"},
        },
        "links": [
            {"rel": "first", "href": "{first}"},
            {"rel": "next", "href": "{next}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }
