"""Whether a template can stand, looked at before anything is made.

What only the running stack will know is left to the flow; everything else is refused here, with its place.
"""

import asyncio
import time
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
from .template.snippets import Call, size_of
from .types.nested.template_resource import TemplateResource
from .types.property import ask, check_names, read, read_one
from .types.resource_type import ResourceType

TOO_MUCH = "The properties of all resources are too large together."
MOST_CPU_S = 10.0
"""Of one look at a template and all that are nested in it, with what the process did meanwhile for others."""


async def check_plan(house: House, context: Context, plan: Plan) -> None:
    """Everything about a plan that can be known before it is made. Raises `BadRequest`, `EntityNotFound`."""
    await _Check(house, context).check(plan, values_needed=True)


async def check_template(house: House, context: Context, plan: Plan) -> None:
    """What can be said of a template whose parameters may have no values yet. Raises as `check_plan` does."""
    await _Check(house, context, template_only=True).check(plan, values_needed=False)


class _Check:
    """One look at a plan and all that are nested in it, which have one limit together."""

    def __init__(self, house: House, context: Context, *, template_only: bool = False) -> None:
        self.house = house
        self.template_only = template_only
        self.custom = checker(house, context)
        self.settings = house.config.section(OrchestrationConfig)
        self.resources = 0
        self.characters = 0
        self.began_s = time.thread_time()

    async def check(self, plan: Plan, *, values_needed: bool, depth: int = 0) -> None:
        """What is told quotes no hidden parameter: it goes into the operation record as well."""
        try:
            await self._check(plan, values_needed, depth)
        except ApiError as error:
            error.text = plan.parameters.conceal(error.text)
            raise

    async def _check(self, plan: Plan, values_needed: bool, depth: int) -> None:
        self.resources += len(plan.template.resources)
        check_size(self.settings, self.resources, depth)
        with refusing():
            plan.parameters.check(values_needed)
            await plan.parameters.check_custom(self.custom)
            unknown = frozenset(name for name in plan.template.schemas if not plan.parameters.has_value(name))
            if unknown:
                plan = placeholder_plan(plan)
            plan.blueprint.check()
            plan.graph  # noqa: B018  refuses circles
            for definition in plan.blueprint.resources.values():
                kind = _kind(self.house, plan, definition)
                self._check_time()
                if not (self.template_only and depth):
                    await self._check_resource(plan, definition, kind, unknown)
                if isinstance(kind, TemplateResource):
                    await self._check_nested(plan, definition, kind, unknown, depth)
                await asyncio.sleep(0)  # others may be answered between two resources of a large template
            _check_output_attributes(plan)

    def _check_time(self) -> None:
        """Each function of a template has its limit, but there may be many of them."""
        if time.thread_time() - self.began_s > MOST_CPU_S:
            raise RequestLimitExceeded(reason="The template takes too long to look through.")

    async def _check_resource(
        self, plan: Plan, definition: ResourceDefinition, kind: ResourceType, unknown: frozenset[str]
    ) -> None:
        await ask(_check_properties(plan, definition, kind, unknown), self.custom)
        snippet = definition.properties or {}
        if _is_known(plan, snippet, unknown):
            path = f"resources.{definition.name}.properties"
            given = plan.blueprint.resolve(snippet) or {}
            self.characters += size_of(given)
            if self.characters > self.settings.most_value_chars:
                raise RequestLimitExceeded(reason=TOO_MUCH)
            values, _ = read(kind.properties, given, path)
            await kind.check(values)
            await kind.check_here(self.house, values)
        _check_attributes(plan, definition)

    async def _check_nested(
        self,
        plan: Plan,
        definition: ResourceDefinition,
        kind: TemplateResource,
        unknown: frozenset[str],
        depth: int,
    ) -> None:
        """The nested template with the values that are known; the others are taken for well."""
        nested = nested_plan(plan, definition, kind, unknown)
        assert kind.template is not None
        given = set(nested.environment.parameter_defaults)
        if isinstance(definition.properties, dict):
            given |= set(definition.properties)
        if not isinstance(definition.properties, Call) and not self.template_only:
            for name, schema in kind.template.schemas.items():
                if schema.default is None and name not in given:
                    raise StackValidationFailed(
                        f"Property error: resources.{definition.name}.properties: Property {name} not assigned"
                    )
        await self.check(nested, values_needed=False, depth=depth + 1)


def check_size(settings: OrchestrationConfig, resources: int, depth: int) -> None:
    """Resources in a stack and all nested in it, and how deep they are. Raises `RequestLimitExceeded`."""
    if 0 <= settings.most_resources < resources:
        raise RequestLimitExceeded(reason="Maximum resources per stack exceeded.")
    if depth >= settings.most_nested:
        raise RequestLimitExceeded(reason=f"Recursion depth exceeds {settings.most_nested}.")


def nested_plan(
    plan: Plan, definition: ResourceDefinition, kind: TemplateResource, unknown: frozenset[str] = frozenset()
) -> Plan:
    """The plan of the stack that a resource will be, with the values that are known now."""
    assert kind.template is not None
    snippet = definition.properties if isinstance(definition.properties, dict) else {}
    known: Mapping[str, Any] = {
        name: plan.blueprint.resolve(value)
        for name, value in snippet.items()
        if name in kind.template.schemas and _is_known(plan, value, unknown)
    }
    environment = kind.environment(plan.environment, definition.name, known)
    return Plan(Source(kind.template, environment, plan.files), StackIdentity())


def _is_known(plan: Plan, snippet: Any, unknown: frozenset[str]) -> bool:
    """Whether the value is known for good: it needs nothing that is made, and no parameter without a value."""
    return not any(
        one.kind in ("resource", "attribute") or (one.kind == "param" and one.name in unknown)
        for one in plan.blueprint.references(snippet)
    )


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
    plan: Plan, definition: ResourceDefinition, kind: ResourceType, unknown: frozenset[str]
) -> list[tuple[str, str, Any]]:
    """Names of properties, and those values that are known. Answers the custom constraints to ask about."""
    path = f"resources.{definition.name}.properties"
    snippet = definition.properties or {}
    if isinstance(snippet, Call):
        if not _is_known(plan, snippet, unknown):
            return []
        snippet = plan.blueprint.resolve(snippet) or {}
    check_names(kind.properties, snippet, path)
    custom: list[tuple[str, str, Any]] = []
    for name, value in snippet.items():
        if _is_known(plan, value, unknown):
            custom += read_one(kind.properties[name], plan.blueprint.resolve(value), f"{path}.{name}")
    return custom


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
