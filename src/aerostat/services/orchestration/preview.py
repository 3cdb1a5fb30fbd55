"""What making or changing a stack would do, without doing it."""

from collections.abc import Mapping
from typing import Any

from aerostat.kernel.context import Context
from aerostat.kernel.db import Row
from aerostat.kernel.house import House

from .config import OrchestrationConfig
from .errors import StackValidationFailed, refusing
from .kinds import find_kind
from .plans import Plan, Source
from .reading import OpenStack, open_stack
from .template import ResourceDefinition, StackIdentity
from .types.heat.resource_group import ResourceGroup, member_names
from .types.nested.template_resource import TemplateResource
from .types.property import changed, read
from .types.resource_type import ResourceType
from .validation import check_size, nested_plan, placeholder_plan

Shown = dict[str, Any] | list[Any]


def preview_resources(house: House, plan: Plan, stack: Mapping[str, Any]) -> list[Shown]:
    """The resources that a stack would have, with properties as far as they are known.

    A resource that is a stack itself is shown as the list of its own resources. Raises `RequestLimitExceeded` when
    there are more than there may be.
    """
    with refusing():
        return _Preview(house.config.section(OrchestrationConfig)).of(plan, stack, 0)


class _Preview:
    def __init__(self, settings: OrchestrationConfig) -> None:
        self._settings = settings
        self._resources = 0

    def of(self, plan: Plan, stack: Mapping[str, Any], depth: int) -> list[Shown]:
        check_size(self._settings, self._resources + len(plan.template.resources), depth)
        self._resources += len(plan.template.resources)
        return [self._one(plan, name, stack, depth) for name in plan.graph]

    def _one(self, plan: Plan, name: str, stack: Mapping[str, Any], depth: int) -> Shown:
        definition = plan.blueprint.resources[name]
        kind = find_kind(plan.kind_of(definition.type, name), plan.files)
        members = self._members(plan, definition, kind, depth)
        if members is None:
            return _preview(plan, name, stack)
        inner = {**stack, "name": f"{stack['name']}-{name}", "parent_resource": name}
        return self.of(members, inner, depth + 1)

    def _members(
        self, plan: Plan, definition: ResourceDefinition, kind: ResourceType, depth: int
    ) -> Plan | None:
        """The plan of the stack that the resource would be; None when it is none, or cannot be known yet."""
        if isinstance(kind, TemplateResource):
            known = kind.template is not None
            return placeholder_plan(nested_plan(plan, definition, kind)) if known else None
        if not isinstance(kind, ResourceGroup):
            return None
        try:
            properties, _ = read(
                kind.properties, plan.blueprint.resolve(definition.properties) or {}, "properties"
            )
        except StackValidationFailed:
            return None
        check_size(self._settings, self._resources + properties["count"], depth + 1)
        template = kind.template_of(properties, member_names(properties["count"], ()))
        environment = plan.environment.for_nested(definition.name)
        return Plan(Source(template, environment, plan.files), StackIdentity())


def _preview(plan: Plan, name: str, stack: Mapping[str, Any]) -> dict[str, Any]:
    definition = plan.blueprint.resources[name]
    given = plan.blueprint.resolve(definition.properties) or {}
    kind = find_kind(plan.kind_of(definition.type, name), plan.files)
    try:
        properties, _ = read(kind.properties, given, "properties")
    except StackValidationFailed:  # some are not known yet
        properties = given
    whole = {
        "stack_name": stack["name"],
        "stack_id": stack["id"],
        "tenant": stack["project_id"],
        "path": "",
    }
    shown = {
        "resource_name": name,
        "resource_type": definition.type,
        "resource_status": "COMPLETE",
        "resource_status_reason": "",
        "resource_action": "INIT",
        "resource_identity": {**whole, "path": f"/resources/{name}"},
        "stack_name": stack["name"],
        "stack_identity": whole,
        "physical_resource_id": "",
        "description": definition.description,
        "properties": properties,
        "attributes": dict.fromkeys(kind.attributes),
        "metadata": plan.blueprint.resolve(definition.metadata) or {},
        "required_by": sorted(plan.graph.required_by(name)),
        "creation_time": None,
        "updated_time": None,
    }
    if "parent_resource" in stack:
        shown["parent_resource"] = stack["parent_resource"]
    return shown


async def preview_changes(house: House, context: Context, stack: Row, plan: Plan) -> dict[str, Any]:
    """Which resources an update would add, delete, change, replace or leave alone."""
    now = await open_stack(house, context, stack)
    changes: dict[str, list[dict[str, Any]]] = {
        word: [] for word in ("unchanged", "updated", "replaced", "added", "deleted")
    }
    for name in plan.graph:
        word = "added" if name not in now.things else await _fate(now, plan, name)
        changes[word].append(_preview(plan, name, stack))
    for name in now.things:
        if name not in plan.blueprint.resources:
            changes["deleted"].append(_preview(now.plan, name, stack))
    return changes


async def _fate(now: OpenStack, plan: Plan, name: str) -> str:
    definition = plan.blueprint.resources[name]
    thing = now.things[name]
    kind = find_kind(plan.kind_of(definition.type, name), plan.files)
    if thing.row.kind != plan.kind_of(definition.type, name) or thing.row.state in (
        "CREATE_FAILED",
        "CHECK_FAILED",
    ):
        return "replaced"
    live = type(now.live)(plan.blueprint, now.things)
    names = changed(thing.row.properties, await live.resolve(definition.properties) or {})
    if not names:
        return "unchanged"
    fixed = [one for one in names if one not in kind.properties or not kind.properties[one].update]
    return "replaced" if fixed else "updated"
