"""What a mapping of federation looks like: the schema of its body, per `schema_version`.

https://docs.openstack.org/keystone/latest/admin/federation/configure_federation.html
"""

from typing import Any

import jsonschema_rs

from aerostat.kernel.fields import BodySchema

VERSIONS = ("1.0", "2.0", "3.0")
DEFAULT_VERSION = "1.0"


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_TEXT = {"type": "string"}
_DOMAIN = _object({"id": _TEXT, "name": _TEXT})
_ROLES = {"type": "array", "items": _object({"name": _TEXT}, "name")}
_CONDITIONS = ("any_one_of", "not_any_of", "blacklist", "whitelist")
_USER = _object(
    {
        "id": _TEXT,
        "name": _TEXT,
        "email": _TEXT,
        "domain": _DOMAIN,
        "type": {"enum": ["ephemeral", "local"]},
    }
)
_GROUP = {
    "oneOf": [_object({"id": _TEXT}, "id"), _object({"name": _TEXT, "domain": _DOMAIN}, "name", "domain")]
}
_REMOTE = {
    "oneOf": [
        _object({"type": _TEXT}, "type"),
        *(
            _object(
                {"type": _TEXT, condition: {"type": "array", "items": _TEXT}, "regex": {"type": "boolean"}},
                "type",
                condition,
            )
            for condition in _CONDITIONS
        ),
    ]
}


def _projects(version: str) -> dict[str, Any]:
    named: dict[str, Any] = {"name": _TEXT, "roles": _ROLES}
    if version != "1.0":
        named["domain"] = _DOMAIN
    return {"type": "array", "items": _object(named, "name", "roles")}


def _rules(version: str) -> dict[str, Any]:
    local: dict[str, Any] = {
        "user": _USER,
        "projects": _projects(version),
        "group": _GROUP,
        "groups": _TEXT,
        "group_ids": _TEXT,
        "domain": _DOMAIN,
    }
    if version == "3.0":
        local["projects_json"] = _TEXT
    rule = _object(
        {
            "local": {"type": "array", "items": _object(local)},
            "remote": {"type": "array", "minItems": 1, "items": _REMOTE},
        },
        "local",
        "remote",
    )
    return {"type": "array", "minItems": 1, "items": rule}


_WORDING = "Invalid input for field 'rules.%(path)s': %(reason)s"
SCHEMAS = {version: BodySchema(_rules(version), _WORDING) for version in VERSIONS}
PROJECTS_CHECK = jsonschema_rs.validator_for(_projects("2.0"))
"""Of projects that come as JSON in an attribute."""
