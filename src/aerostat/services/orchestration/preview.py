"""What making or changing a stack would do, without doing it."""

from typing import Any

from aerostat.kernel.context import Context
from aerostat.kernel.db import Row
from aerostat.kernel.house import House

from .errors import StackValidationFailed
from .kinds import find_kind
from .plans import Plan
from .reading import OpenStack, open_stack
from .types.property import changed, read


def preview_resources(house: House, plan: Plan, stack_name: str) -> list[dict[str, Any]]:
    """The resources that a stack would have, with properties as far as they are known."""
    return [_preview(plan, name, stack_name, "None") for name in plan.graph]


def _preview(plan: Plan, name: str, stack_name: str, stack_id: str) -> dict[str, Any]:
    definition = plan.blueprint.resources[name]
    given = plan.blueprint.resolve(definition.properties) or {}
    kind = find_kind(plan.kind_of(definition.type, name), plan.files)
    try:
        properties, _ = read(kind.properties, given, "properties")
    except StackValidationFailed:  # some are not known yet
        properties = given
    return {
        "resource_name": name,
        "resource_type": definition.type,
        "resource_status": "INIT_COMPLETE",
        "resource_status_reason": "",
        "resource_action": "INIT",
        "resource_identity": {"stack_name": stack_name, "stack_id": stack_id, "path": f"/resources/{name}"},
        "stack_name": stack_name,
        "stack_identity": {"stack_name": stack_name, "stack_id": stack_id},
        "physical_resource_id": "",
        "description": definition.description,
        "properties": properties,
        "attributes": dict.fromkeys(kind.attributes),
        "metadata": plan.blueprint.resolve(definition.metadata) or {},
        "required_by": sorted(plan.graph.required_by(name)),
        "creation_time": None,
        "updated_time": None,
    }


async def preview_changes(house: House, context: Context, stack: Row, plan: Plan) -> dict[str, Any]:
    """Which resources an update would add, delete, change, replace or leave alone."""
    now = await open_stack(house, context, stack)
    changes: dict[str, list[dict[str, Any]]] = {
        word: [] for word in ("unchanged", "updated", "replaced", "added", "deleted")
    }
    for name in plan.graph:
        word = "added" if name not in now.things else await _fate(now, plan, name)
        changes[word].append(_preview(plan, name, stack.name, stack.id))
    for name in now.things:
        if name not in plan.blueprint.resources:
            changes["deleted"].append(_preview(now.plan, name, stack.name, stack.id))
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
