"""JSON schemas of metadata definitions: bodies are checked against them, and clients may read them.

https://docs.openstack.org/api-ref/image/v2/metadefs-index.html#metadata-definition-schemas
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from aerostat.kernel.errors import BadRequest, NotFound
from aerostat.kernel.fields import BodySchema
from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from .finding import check_writable

_TYPES = ["array", "boolean", "integer", "number", "object", "string", None]
_TEXT: dict[str, Any] = {"type": "string"}
_NAME: dict[str, Any] = {"type": "string", "maxLength": 80}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}
_COUNT: dict[str, Any] = {"$ref": "#/definitions/positiveInteger"}
_COUNT_FROM_0: dict[str, Any] = {"$ref": "#/definitions/positiveIntegerDefault0"}
_STRINGS: dict[str, Any] = {"$ref": "#/definitions/stringArray"}
_SHOWN: dict[str, Any] = {"type": "string", "readOnly": True}

_DEFINITION: dict[str, Any] = {
    "name": _NAME,
    "title": _TEXT,
    "description": _TEXT,
    "operators": _TEXTS,
    "type": {"type": "string", "enum": _TYPES},
    "required": _STRINGS,
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "maxLength": _COUNT,
    "minLength": _COUNT_FROM_0,
    "pattern": {"type": "string", "format": "regex"},
    "enum": {"type": "array"},
    "readonly": {"type": "boolean"},
    "default": {},
    "items": {
        "type": "object",
        "properties": {"type": {"type": "string", "enum": _TYPES}, "enum": {"type": "array"}},
    },
    "maxItems": _COUNT,
    "minItems": _COUNT_FROM_0,
    "uniqueItems": {"type": "boolean", "default": False},
    "additionalItems": {"type": "boolean"},
}
_DEFINITIONS: dict[str, Any] = {
    "positiveInteger": {"type": "integer", "minimum": 0},
    "positiveIntegerDefault0": {"allOf": [_COUNT, {"default": 0}]},
    "stringArray": {**_TEXTS, "uniqueItems": True},
    "property": {
        "type": "object",
        "propertyNames": {"maxLength": 80},
        "additionalProperties": {
            "type": "object",
            "required": ["title", "type"],
            "properties": _DEFINITION,
        },
    },
}
_PROPERTIES: dict[str, Any] = {"$ref": "#/definitions/property"}


def _moments(what: str) -> dict[str, Any]:
    return {
        "created_at": {**_SHOWN, "description": f"Date and time of {what} creation", "format": "date-time"},
        "updated_at": {
            **_SHOWN,
            "description": f"Date and time of the last {what} modification",
            "format": "date-time",
        },
    }


def _list_of(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "object", "required": ["name"], "properties": properties}}


def _schema(
    name: str, properties: dict[str, Any], *required: str, definitions: bool = False
) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "name": name,
        "properties": properties,
        "additionalProperties": False,
        "required": list(required),
    }
    if definitions:
        schema["definitions"] = _DEFINITIONS
    return schema


TAG = _schema("tag", {"name": _NAME, **_moments("tag")}, "name")
TAGS = {"name": "tags", "properties": {"tags": _list_of({"name": _NAME})}, "required": ["tags"]}
OBJECT = _schema(
    "object",
    {
        "name": _NAME,
        "description": _TEXT,
        "required": _STRINGS,
        "properties": _PROPERTIES,
        "schema": _SHOWN,
        "self": _SHOWN,
        **_moments("object"),
    },
    "name",
    definitions=True,
)
PROPERTY = _schema("property", _DEFINITION, "type", "title", "name", definitions=True)
ASSOCIATION = _schema(
    "resource_type_association",
    {
        "name": {**_NAME, "description": "A resource type, named as the orchestration service names it."},
        "prefix": {
            **_NAME,
            "description": "What stands before the namespace's properties when they are given to such a resource, with "
            "its separator.",
        },
        "properties_target": {
            **_NAME,
            "description": "Which of the resource's groups of key and value pairs is meant, where it has several.",
        },
        **_moments("resource type association"),
    },
    "name",
)
NAMESPACE = _schema(
    "namespace",
    {
        "namespace": {**_NAME, "minLength": 1, "description": "The unique namespace text."},
        "display_name": {**_NAME, "description": "The name that user interfaces show, if there is one."},
        "description": {"type": "string", "maxLength": 500, "description": "What the namespace is about."},
        "visibility": {
            "type": "string",
            "enum": ["public", "private"],
            "description": "Scope of namespace accessibility.",
        },
        "protected": {"type": "boolean", "description": "If true, namespace will not be deletable."},
        "owner": {"type": "string", "maxLength": 255, "description": "Owner of the namespace."},
        "schema": _SHOWN,
        "self": _SHOWN,
        **_moments("namespace"),
        "resource_type_associations": _list_of({"name": _NAME, "prefix": _NAME, "properties_target": _NAME}),
        "properties": _PROPERTIES,
        "objects": _list_of(
            {"name": _NAME, "description": _TEXT, "required": _STRINGS, "properties": _PROPERTIES}
        ),
        "tags": _list_of({"name": _NAME}),
    },
    "namespace",
    definitions=True,
)
_PROPERTY_OF_MANY = {**PROPERTY, "required": ["type", "title"]}


def read_body(req: Request, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The body, which the kernel has decoded. Raises `BadRequest`, `ReadOnly`."""
    body = req.body
    if not isinstance(body, dict):
        raise BadRequest("Body expected in request.")
    if schema is not PROPERTY:
        check_writable(body)
    _checker(schema["name"]).check(body)
    return body


@cache
def _checker(name: str) -> BodySchema:
    schema = next(one for one in (NAMESPACE, OBJECT, PROPERTY, ASSOCIATION, TAG, TAGS) if one["name"] == name)
    wording = f"Provided object does not match schema '{name}': %(reason)s (%(path)s: %(value)s)"
    return BodySchema({"type": "object", **schema}, wording)


class MetadefSchemas(Resource):
    @route("GET", "/schemas/metadefs/{name}")
    async def show_schema(self, req: Request, name: str) -> dict[str, Any]:
        found = _SCHEMAS.get(name)
        if found is None:
            raise NotFound(f"There is no schema metadefs/{name}")
        return found


def _collection(name: str, item: dict[str, Any], *, by_name: bool = False) -> dict[str, Any]:
    """The schema of a list; its definitions stand at the top, where references look for them."""
    inner = {key: value for key, value in item.items() if key != "definitions"}
    listed = (
        {"type": "object", "additionalProperties": inner} if by_name else {"type": "array", "items": inner}
    )
    schema: dict[str, Any] = {
        "name": name,
        "properties": {name: listed, "first": _TEXT, "next": _TEXT, "schema": _TEXT},
        "links": [
            {"rel": "first", "href": "{first}"},
            {"rel": "next", "href": "{next}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }
    if "definitions" in item:
        schema["definitions"] = item["definitions"]
    return schema


_SCHEMAS = {
    "namespace": NAMESPACE,
    "namespaces": _collection("namespaces", NAMESPACE),
    "resource_type": ASSOCIATION,
    "resource_types": _collection("resource_type_associations", ASSOCIATION),
    "object": OBJECT,
    "objects": _collection("objects", OBJECT),
    "property": PROPERTY,
    "properties": _collection("properties", _PROPERTY_OF_MANY, by_name=True),
    "tag": TAG,
    "tags": _collection("tags", TAG),
}
