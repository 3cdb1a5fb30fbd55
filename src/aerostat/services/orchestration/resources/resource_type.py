"""Resource types and their schemas. https://docs.openstack.org/api-ref/orchestration/v1/#resource-types"""

import re
from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from ..errors import BadBody, EntityNotFound
from ..kinds import available_kinds
from ..types.property import ANY, BOOLEAN, INTEGER, LIST, MAP, NUMBER, STRING
from ..types.resource_type import ResourceType
from .scope import READER, own_project

_BASE = "/v1/{project_id}/resource_types"
_PARAMETERS = {
    STRING: "string",
    INTEGER: "number",
    NUMBER: "number",
    BOOLEAN: "boolean",
    LIST: "comma_delimited_list",
    MAP: "json",
    ANY: "json",
}
_CFN_PARAMETERS = {
    "string": "String",
    "number": "Number",
    "boolean": "Boolean",
    "comma_delimited_list": "CommaDelimitedList",
    "json": "Json",
}


class ResourceTypes(Resource):
    below_bases = False

    @route("GET", _BASE, policy="stacks:list_resource_types", default=READER)
    async def list(self, req: Request, project_id: str) -> dict[str, Any]:
        own_project(req, project_id)
        kinds = available_kinds(req.house.services)
        pattern = req.argument("name")
        if pattern:
            try:
                kinds = {
                    name: kind
                    for name, kind in kinds.items()
                    if re.match(re.escape(pattern).replace(r"\.\*", ".*"), name)
                }
            except re.error:
                raise BadBody(f"Invalid filter: {pattern}") from None
        status = req.argument("support_status")
        kinds = {name: kind for name, kind in kinds.items() if _is_listed(kind, status)}
        if req.flag("with_description"):
            return {
                "resource_types": [
                    {"resource_type": name, "description": kind.description} for name, kind in kinds.items()
                ]
            }
        return {"resource_types": [*kinds]}

    @route("GET", _BASE + "/{type_name}", policy="stacks:resource_schema", default=READER)
    async def show(self, req: Request, project_id: str, type_name: str) -> dict[str, Any]:
        own_project(req, project_id)
        kind = _kind(req, type_name)
        shown = {
            "resource_type": type_name,
            "properties": {name: one.view() for name, one in kind.properties.items()},
            "attributes": {name: one.view() for name, one in kind.all_attributes.items()},
            "support_status": {
                "status": "SUPPORTED",
                "message": None,
                "version": None,
                "previous_status": None,
                **kind.support,
            },
        }
        if req.flag("with_description"):
            shown["description"] = kind.description
        return shown

    @route("GET", _BASE + "/{type_name}/template", policy="stacks:generate_template", default=READER)
    async def template(self, req: Request, project_id: str, type_name: str) -> dict[str, Any]:
        """A template that makes one resource of the type, with a parameter for each property."""
        own_project(req, project_id)
        kind = _kind(req, type_name)
        form = (req.argument("template_type") or "cfn").lower()
        if form not in ("hot", "cfn"):
            raise BadBody(f"Template type is not supported: {form}")
        return _hot_template(type_name, kind) if form == "hot" else _cfn_template(type_name, kind)


def _kind(req: Request, name: str) -> ResourceType:
    kind = available_kinds(req.house.services).get(name)
    if kind is None:
        raise EntityNotFound(entity="Resource Type", name=name)
    return kind


def _is_listed(kind: ResourceType, status: str | None) -> bool:
    """Hidden types are for old templates alone: they can be used and shown, and are never listed."""
    own = kind.support.get("status", "SUPPORTED")
    return own != "HIDDEN" and status in (None, "", own)


def _label(name: str) -> str:
    return name.rsplit("::", 1)[-1]


def _hot_template(name: str, kind: ResourceType) -> dict[str, Any]:
    label = _label(name)
    parameters: dict[str, Any] = {}
    for one, schema in kind.properties.items():
        parameters[one] = {"type": _PARAMETERS[schema.type]}
        if schema.description:
            parameters[one]["description"] = schema.description
        if schema.default is not None:
            parameters[one]["default"] = schema.default
        constraints = schema.view().get("constraints")
        if constraints:
            parameters[one]["constraints"] = constraints
    return {
        "heat_template_version": "2016-10-14",
        "description": f"Initial template of {label}",
        "parameters": parameters,
        "resources": {
            label: {"type": name, "properties": {one: {"get_param": one} for one in kind.properties}}
        },
        "outputs": {
            one: {"value": {"get_attr": [label, one]}, "description": attribute.description}
            for one, attribute in kind.all_attributes.items()
        },
    }


def _cfn_template(name: str, kind: ResourceType) -> dict[str, Any]:
    label = _label(name)
    hot = _hot_template(name, kind)
    parameters = {}
    for one, schema in hot["parameters"].items():
        parameters[one] = {"Type": _CFN_PARAMETERS[schema["type"]]}
        if "description" in schema:
            parameters[one]["Description"] = schema["description"]
        if "default" in schema:
            parameters[one]["Default"] = schema["default"]
    return {
        "HeatTemplateFormatVersion": "2012-12-12",
        "Description": hot["description"],
        "Parameters": parameters,
        "Resources": {label: {"Type": name, "Properties": {one: {"Ref": one} for one in kind.properties}}},
        "Outputs": {
            one: {"Value": {"Fn::GetAtt": [label, one]}, "Description": attribute.description}
            for one, attribute in kind.all_attributes.items()
        },
    }
