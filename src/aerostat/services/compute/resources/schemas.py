"""JSON schemas of values that several bodies carry, as upstream limits them."""

from typing import Any

# Printable, without leading or trailing white space.
NAME: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^(?![\s])[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f]$",
}
NAME_OR_NONE: dict[str, Any] = {"oneOf": [NAME, {"type": "null"}]}
DESCRIPTION: dict[str, Any] = {
    "type": ["string", "null"],
    "minLength": 0,
    "maxLength": 255,
    "pattern": r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$",
}
BOOLEAN: dict[str, Any] = {
    "type": ["boolean", "string"],
    "enum": [True, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "y", "t",
             False, "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", "n", "f"],
}  # fmt: skip
POSITIVE: dict[str, Any] = {
    "type": ["integer", "string"],
    "pattern": "^[0-9]*$",
    "minimum": 1,
    "minLength": 1,
}
NATURAL: dict[str, Any] = {"type": ["integer", "string"], "pattern": "^[0-9]*$", "minimum": 0, "minLength": 1}
UUID: dict[str, Any] = {"type": "string", "format": "uuid"}
TAG: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[^,/]*$"}
METADATA: dict[str, Any] = {
    "type": "object",
    "patternProperties": {r"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": "string", "maxLength": 255}},
    "additionalProperties": False,
}
HOST: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^[a-zA-Z0-9-._]*$",
}
IP: dict[str, Any] = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
IPV4: dict[str, Any] = {"type": "string", "anyOf": [{"format": "ipv4"}, {"maxLength": 0}]}
IPV6: dict[str, Any] = {"type": "string", "anyOf": [{"format": "ipv6"}, {"maxLength": 0}]}
DISK_CONFIG: dict[str, Any] = {"type": "string", "enum": ["AUTO", "MANUAL"]}
PASSWORD: dict[str, Any] = {"type": "string"}
FLAVOR_REF: dict[str, Any] = {"type": ["string", "integer"], "minLength": 1}
BASE64: dict[str, Any] = {
    "type": "string",
    "maxLength": 65535,
    "pattern": r"^[A-Za-z0-9+/\s]*={0,2}\s*$",
}
NOTHING: dict[str, Any] = {"type": ["null", "object"], "maxProperties": 0}


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """An object with these properties and no others."""
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    return schema


def read_boolean(value: Any) -> bool:
    """A value that `BOOLEAN` let through."""
    return value if isinstance(value, bool) else value.lower() in ("true", "1", "on", "yes", "y", "t")
