"""Template versions, their functions, and validation of templates.

https://docs.openstack.org/api-ref/orchestration/v1/#templates
"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from ..errors import EntityNotFound
from ..kinds import find_kind
from ..plans import Plan
from ..template import StackIdentity, find_version, functions_view, is_template_name, versions_view
from ..types.nested.template_resource import TemplateResource
from ..validation import check_template, nested_plan, placeholder_plan
from .body import read_body, read_source
from .scope import READER, own_project

_BASE = "/v1/{project_id}"


class Templates(Resource):
    below_bases = False

    @route("GET", _BASE + "/template_versions", policy="stacks:list_template_versions", default=READER)
    async def versions(self, req: Request, project_id: str) -> dict[str, Any]:
        own_project(req, project_id)
        return {"template_versions": versions_view()}

    @route(
        "GET",
        _BASE + "/template_versions/{template_version}/functions",
        policy="stacks:list_template_functions",
        default=READER,
    )
    async def functions(self, req: Request, project_id: str, template_version: str) -> dict[str, Any]:
        own_project(req, project_id)
        version = find_version(template_version)
        if version is None:
            raise EntityNotFound(entity="Template version", name=template_version)
        return {"template_functions": functions_view(version, req.flag("with_condition_func"))}

    @route("POST", _BASE + "/validate", policy="stacks:validate_template", default=READER)
    async def validate(self, req: Request, project_id: str) -> dict[str, Any]:
        own_project(req, project_id)
        source = read_source(await read_body(req))
        plan = Plan(source, StackIdentity(project_id=project_id))
        await check_template(req.house, req.context, plan)
        answer: dict[str, Any] = {
            "Description": source.template.description,
            "Parameters": plan.parameters.views(),
            "Environment": _environment(plan),
        }
        if source.template.parameter_groups:
            answer["ParameterGroups"] = source.template.parameter_groups
        if req.flag("show_nested"):
            answer["NestedParameters"] = _nested(plan)
        return answer


def _environment(plan: Plan) -> dict[str, Any]:
    """As the client sent it, with the templates that stand for themselves among the types."""
    shown = plan.environment.view()
    del shown["encrypted_param_names"]
    own = {one.type: one.type for one in plan.template.resources.values() if is_template_name(one.type)}
    shown["resource_registry"] = own | shown["resource_registry"]
    return shown


def _nested(plan: Plan) -> dict[str, Any]:
    """Parameters of the templates that resources stand for, and of those in them."""
    shown: dict[str, Any] = {}
    plan = placeholder_plan(plan)
    for name, definition in plan.blueprint.resources.items():
        kind = find_kind(plan.kind_of(definition.type, name), plan.files)
        if isinstance(kind, TemplateResource) and kind.template is not None:
            inner = nested_plan(plan, definition, kind)
            shown[name] = {
                "Type": definition.type,
                "Description": kind.template.description,
                "Parameters": inner.parameters.views(),
            }
            if deeper := _nested(inner):
                shown[name]["NestedParameters"] = deeper
    return shown
