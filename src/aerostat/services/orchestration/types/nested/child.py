"""A resource that is a stack of its own: made, changed and deleted by that stack's own flows.

The child tells its parent when it is done, by waking the parent's flow; the parent looks at the child's row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aerostat.kernel.db import Row

from ... import model
from ...config import OrchestrationConfig
from ...errors import RequestLimitExceeded, ResourceFailure
from ...failures import parse_reason
from ...nesting import check_room
from ...plans import Source, arn_of
from ...reading import OpenStack, open_stack
from ...stacks import ask, ask_delete, ask_update, insert_stack
from ...states import action_of, status_of
from ...template import Template, TemplateOutputError, parse
from ...template import select as follow
from ...thing import Thing
from ..resource_type import ResourceType

_VERSION = "2018-08-31"  # of templates that are made here


class ChildStack(ResourceType):
    """What types that are nested stacks have in common: they say of which source the child is made."""

    always_updates = True
    longest_wait_s = 20.0
    is_nested = True  # whether users are shown the way from the resource to its stack

    async def source(self, thing: Thing) -> Source:
        """The child's template, environment and files. Raises `TemplateError`."""
        raise NotImplementedError

    async def create(self, thing: Thing) -> str | None:
        source = await self.source(thing)
        settings = thing.house.config.section(OrchestrationConfig)
        if thing.stack.depth + 1 >= settings.most_nested:
            raise RequestLimitExceeded(reason=f"Recursion depth exceeds {settings.most_nested}.")
        async with thing.db.transaction() as tx:
            await check_room(tx, thing.house, thing.stack.root_id, len(source.template.resources))
            child = await insert_stack(
                tx,
                thing.house,
                thing.context,
                source,
                name=thing.physical_name,
                parent=thing.stack,
                parent_resource=thing.id,
                timeout_mins=self.timeout_mins(thing),
            )
            # In one transaction: there is never a child that nobody knows.
            thing.row.physical_id = child.id
            await tx.update(model.RESOURCES, {"id": thing.id}, physical_id=child.id, data=thing.data)
        return str(child.id)

    def timeout_mins(self, thing: Thing) -> int | None:
        minutes: int | None = thing.stack.timeout_mins
        return minutes

    async def is_created(self, thing: Thing) -> bool:
        return await self.is_settled(thing)

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        await self.bring(thing)

    async def bring(self, thing: Thing) -> None:
        """Let the child become what `source` says now. `thing.data` is stored with it."""
        source = await self.source(thing)
        async with thing.db.transaction() as tx:
            await check_room(tx, thing.house, thing.stack.root_id, len(source.template.resources))
            child = await self.child(thing, tx)
            await ask_update(
                tx, thing.house, thing.context, child, source, timeout_mins=self.timeout_mins(thing)
            )
            await tx.update(model.RESOURCES, {"id": thing.id}, data=thing.data, metadata=thing.metadata)
        thing.data_of_run.pop("child", None)

    async def is_updated(self, thing: Thing) -> bool:
        return await self.is_settled(thing)

    async def delete(self, thing: Thing) -> None:
        async with thing.db.transaction() as tx:
            child = await tx.find(model.STACKS, id=thing.physical_id)
            if child is not None and child.state != "DELETE_COMPLETE":
                await ask_delete(tx, thing.house, thing.context, child)

    async def is_deleted(self, thing: Thing) -> bool:
        child = await thing.db.find(model.STACKS, id=thing.physical_id)
        if child is None or child.state == "DELETE_COMPLETE":
            return True
        if child.state == "DELETE_FAILED":
            raise parse_reason(child.state_reason)
        return False

    async def check_health(self, thing: Thing) -> None:
        child = await self.child(thing)
        if status_of(child.state) == "FAILED":
            raise parse_reason(child.state_reason)

    async def suspend(self, thing: Thing) -> None:
        await self._ask(thing, "suspend")

    async def is_suspended(self, thing: Thing) -> bool:
        return await self.is_settled(thing)

    async def resume(self, thing: Thing) -> None:
        await self._ask(thing, "resume")

    async def is_resumed(self, thing: Thing) -> bool:
        return await self.is_settled(thing)

    def reference(self, thing: Thing) -> Any:
        if thing.physical_id is None:
            return None
        return arn_of(
            {
                "project_id": thing.stack.project_id,
                "name": thing.physical_name,
                "id": thing.physical_id,
            }
        )

    async def open_child(self, thing: Thing) -> OpenStack:
        """The child as it stands, read once."""
        known = thing.data_of_run.get("child")
        if known is None:
            known = await open_stack(thing.house, thing.context, await self.child(thing))
            thing.data_of_run["child"] = known
        return known

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        child = await self.open_child(thing)
        if name == "outputs":
            outputs = {one: (await child.output(one))[0] for one in child.plan.blueprint.outputs}
            return follow(outputs, path)
        if name.startswith("resource."):
            return await of_member(child, name.removeprefix("resource."), path)
        value, problem = await child.output(name)
        if problem is not None:
            raise TemplateOutputError(f"Error in {thing.name} output {name}: {problem}")
        return follow(value, path)

    def knows_attribute(self, name: str) -> bool:
        return name in ("show", "outputs") or name in self.attributes or name.startswith("resource.")

    async def is_settled(self, thing: Thing) -> bool:
        """Whether the child is done with what was asked of it. Raises `ResourceFailure`."""
        child = await self.child(thing)
        if status_of(child.state) == "FAILED":
            raise parse_reason(child.state_reason)
        thing.data_of_run.pop("child", None)
        return status_of(child.state) == "COMPLETE" and action_of(child.state) != "DELETE"

    async def _ask(self, thing: Thing, event: str) -> None:
        async with thing.db.transaction() as tx:
            await ask(tx, thing.house, thing.context, await self.child(thing, tx), event)

    async def child(self, thing: Thing, db: Any = None) -> Row:
        """The row of the child. Raises `ResourceFailure`."""
        child = await (db or thing.db).find(model.STACKS, id=thing.physical_id)
        if child is None or child.deleted_at is not None:
            raise ResourceFailure("The nested stack is gone.", "NotFound")
        found: Row = child
        return found


def template_of_members(members: Mapping[str, Any]) -> Template:
    """The template of a stack that has these resources, by name, and nothing else. Raises `TemplateError`."""
    return parse({"heat_template_version": _VERSION, "resources": dict(members)})


async def of_member(child: OpenStack, name: str, path: Sequence[str | int]) -> Any:
    """What get_attr gives of one resource of a child: its reference, or with a path one of its attributes."""
    member, _, attribute = name.partition(".")
    steps = [*attribute.split("."), *path] if attribute else list(path)
    thing = child.things.get(member)
    reference = child.live.reference_id(member)
    if thing is None or reference is None:  # absent, or still being made
        return None
    if not steps:
        return reference
    return await thing.kind.attribute(thing, str(steps[0]), steps[1:])
