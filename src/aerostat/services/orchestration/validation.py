"""Whether a template can stand, looked at before anything is made.

What only the running stack will know is left to the flow; everything else is refused here, with its place.
"""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel.context import Context
from aerostat.kernel.errors import ApiError
from aerostat.kernel.house import House

from .config import OrchestrationConfig
from .custom_constraints import checker
from .errors import (
    EntityNotFound,
    InvalidTemplateAttribute,
    RequestLimitExceeded,
    StackValidationFailed,
    refusing,
)
from .kinds import find_kind
from .plans import Plan, Source
from .template import ResourceDefinition, StackIdentity
from .template.snippets import Call
from .types.nested.template_resource import TemplateResource
from .types.property import ask, check_names, read, read_one
from .types.resource_type import ResourceType


async def check_plan(
    house: House, context: Context, plan: Plan, *, depth: int = 0, values_needed: bool = True
) -> None:
    """Everything about a plan that can be known now. Raises `BadRequest`, `EntityNotFound`.

    What is told quotes no hidden parameter: it goes into the operation record as well.
    """
    try:
        await _check_plan(house, context, plan, depth=depth, values_needed=values_needed)
    except ApiError as error:
        error.text = plan.parameters.conceal(error.text)
        raise


async def _check_plan(house: House, context: Context, plan: Plan, *, depth: int, values_needed: bool) -> None:
    settings = house.config.section(OrchestrationConfig)
    if 0 <= settings.most_resources < len(plan.template.resources):
        raise RequestLimitExceeded(reason="Maximum resources per stack exceeded.")
    if depth >= settings.most_nested:
        raise RequestLimitExceeded(reason=f"Recursion depth exceeds {settings.most_nested}.")
    custom = checker(house, context)
    with refusing():
        plan.parameters.check(values_needed)
        await plan.parameters.check_custom(custom)
        if not values_needed:
            plan = placeholder_plan(plan)
        plan.blueprint.check()
        plan.graph  # noqa: B018  refuses circles
        for definition in plan.blueprint.resources.values():
            kind = _kind(house, plan, definition)
            await ask(_check_properties(plan, definition, kind), custom)
            await _check_as_a_whole(plan, definition, kind)
            _check_attributes(plan, definition)
            if isinstance(kind, TemplateResource):
                await _check_nested(house, context, plan, definition, kind, depth)
        _check_output_attributes(plan)


def placeholder_plan(plan: Plan) -> Plan:
    """The plan with neutral values for parameters that have none."""
    looked_at = Plan(plan.source, StackIdentity())
    looked_at.parameters = plan.parameters.with_placeholders()
    looked_at.blueprint = type(plan.blueprint)(plan.template, looked_at.parameters, plan.files)
    return looked_at


def _kind(house: House, plan: Plan, definition: ResourceDefinition) -> ResourceType:
    name = plan.kind_of(definition.type, definition.name)
    kind = find_kind(name, plan.files)
    if isinstance(kind, TemplateResource) and kind.template is None:
        raise StackValidationFailed(
            f'resources.{definition.name}: Could not fetch remote template "{name}": it is not among the files'
        )
    if kind.room is not None and kind.room not in house.services:
        raise EntityNotFound(entity="Resource Type", name=name)
    return kind


def _check_properties(
    plan: Plan, definition: ResourceDefinition, kind: ResourceType
) -> list[tuple[str, str, Any]]:
    """Names of properties, and those values that are known. Answers the custom constraints to ask about."""
    path = f"resources.{definition.name}.properties"
    snippet = definition.properties or {}
    if isinstance(snippet, Call):
        if not plan.blueprint.is_constant(snippet):
            return []
        snippet = plan.blueprint.resolve(snippet) or {}
    check_names(kind.properties, snippet, path)
    custom: list[tuple[str, str, Any]] = []
    for name, value in snippet.items():
        if plan.blueprint.is_constant(value):
            custom += read_one(kind.properties[name], plan.blueprint.resolve(value), f"{path}.{name}")
    return custom


async def _check_as_a_whole(plan: Plan, definition: ResourceDefinition, kind: ResourceType) -> None:
    snippet = definition.properties or {}
    if plan.blueprint.is_constant(snippet):
        path = f"resources.{definition.name}.properties"
        values, _ = read(kind.properties, plan.blueprint.resolve(snippet) or {}, path)
        await kind.check(values)


def _check_attributes(plan: Plan, definition: ResourceDefinition) -> None:
    for snippet in (definition.properties, definition.metadata):
        _check_snippet_attributes(plan, snippet)


def _check_output_attributes(plan: Plan) -> None:
    for output in plan.blueprint.outputs.values():
        _check_snippet_attributes(plan, output.value)


def _check_snippet_attributes(plan: Plan, snippet: Any) -> None:
    for one in plan.blueprint.references(snippet):
        if one.kind != "attribute" or one.attribute is None:
            continue
        definition = plan.blueprint.resources[one.name]
        kind = find_kind(plan.kind_of(definition.type, one.name), plan.files)
        if not kind.knows_attribute(one.attribute):
            raise InvalidTemplateAttribute(resource=one.name, key=one.attribute)


async def _check_nested(
    house: House,
    context: Context,
    plan: Plan,
    definition: ResourceDefinition,
    kind: TemplateResource,
    depth: int,
) -> None:
    """The nested template with the values that are known; the others are taken for well."""
    assert kind.template is not None
    snippet = definition.properties if not isinstance(definition.properties, Call) else None
    known: Mapping[str, Any] = {
        name: plan.blueprint.resolve(value)
        for name, value in (snippet or {}).items()
        if plan.blueprint.is_constant(value)
    }
    environment = kind.environment(plan.environment, definition.name, known)
    nested = Plan(Source(kind.template, environment, plan.files), StackIdentity())
    given = set(snippet or ()) | set(environment.parameter_defaults)
    for name, schema in kind.template.schemas.items():
        if schema.default is None and name not in given and definition.properties is snippet:
            raise StackValidationFailed(
                f"Property error: resources.{definition.name}.properties: Property {name} not assigned"
            )
    await check_plan(house, context, nested, depth=depth + 1, values_needed=False)
