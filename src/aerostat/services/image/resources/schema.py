"""JSON schemas of what the room shows, made from the fields. https://docs.openstack.org/api-ref/image/v2/#image-schemas"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from .image import CONTAINER_FORMATS, DISK_FORMATS, UUID, VISIBILITIES, Image

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

_TEXT = {"type": "string"}
_STUB = {
    "id": {**_TEXT, "pattern": UUID, "description": "An identifier for the task"},
    "type": {
        **_TEXT,
        "enum": ["import", "api_image_import", "location_import"],
        "description": "What kind of work the task is",
    },
    "status": {
        **_TEXT,
        "enum": ["pending", "processing", "success", "failure"],
        "description": "How far the task is",
    },
    "owner": {**_TEXT, "description": "The project that asked for the task"},
    "image_id": {**_TEXT, "description": "The image that the task works on"},
    "request_id": {**_TEXT, "description": "The request that began the task"},
    "user_id": {**_TEXT, "description": "The user who asked for the task"},
    "expires_at": {"type": ["null", "string"], "description": "When the task will be forgotten"},
    "created_at": {**_TEXT, "description": "When the task was asked for"},
    "updated_at": {**_TEXT, "description": "When the task last changed"},
    "self": {**_TEXT, "readOnly": True},
    "schema": {**_TEXT, "readOnly": True},
}
_TASK = {
    "name": "task",
    "properties": {
        **_STUB,
        "input": {"type": ["null", "object"], "description": "What the task was given"},
        "result": {"type": ["null", "object"], "description": "What the task has made"},
        "message": {**_TEXT, "description": "How far the task is, or why it failed"},
    },
}
_LOCATION = {
    "type": "object",
    "properties": {
        "url": {**_TEXT, "maxLength": 255},
        "metadata": {"type": "object"},
        "validation_data": {
            "type": "object",
            "properties": {
                "checksum": {**_TEXT, "minLength": 32, "maxLength": 32},
                "os_hash_algo": {**_TEXT, "maxLength": 64},
                "os_hash_value": {**_TEXT, "maxLength": 128},
            },
            "required": ["os_hash_algo", "os_hash_value"],
            "additionalProperties": False,
        },
    },
    "required": ["url", "metadata"],
}
_SHOWN = {
    "direct_url": {**_TEXT, "readOnly": True, "description": "Where the bytes are, for those who may know"},
    "locations": {"type": "array", "items": _LOCATION, "description": "Where the bytes are"},
    "stores": {**_TEXT, "readOnly": True, "description": "Names of the stores that have the bytes"},
}
"""What an image shows beside its fields."""


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

    @route("GET", "/schemas/task")
    async def task(self, req: Request) -> dict[str, Any]:
        return _TASK

    @route("GET", "/schemas/tasks")
    async def tasks(self, req: Request) -> dict[str, Any]:
        return _list_of("tasks", {"name": "task", "properties": _STUB})


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
        "properties": {**properties, **_SHOWN},
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
