"""What is asked of stacks, as rows: made, updated, deleted. Each starts a flow in the same transaction."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from aerostat.kernel import clock, ids
from aerostat.kernel.context import Context
from aerostat.kernel.db import Duplicate, Row, Transaction
from aerostat.kernel.house import House
from aerostat.kernel.work import Flow
from aerostat.kernel.work.flows import wake

from . import model
from .config import OrchestrationConfig
from .errors import ActionInProgress, NotSupported, StackExists
from .ledger import add_stack_event
from .plans import Source
from .states import STACK, action_of, complete, progress, status_of


def deadline(house: House, timeout_mins: int | None) -> Any:
    seconds = (
        timeout_mins * 60 if timeout_mins else house.config.section(OrchestrationConfig).action_timeout_s
    )
    return clock.now() + timedelta(seconds=seconds)


async def insert_stack(
    tx: Transaction,
    house: House,
    context: Context,
    source: Source,
    *,
    id: str | None = None,
    name: str,
    timeout_mins: int | None = None,
    disable_rollback: bool = True,
    tags: list[str] | None = None,
    parent: Row | None = None,
    parent_resource: str | None = None,
    adopted: Mapping[str, Any] | None = None,
) -> Row:
    """A new stack, being created. Raises `StackExists`."""
    id = id or ids.new_id()
    template = await insert_template(tx, id, source)
    action = "ADOPT" if adopted is not None else "CREATE"
    reason = f"Stack {action} started"
    try:
        stack = await tx.insert(
            model.STACKS,
            id=id,
            name=name,
            live_name=name,
            project_id=parent.project_id if parent else context.project_id,
            user_id=context.user_id,
            user_name=context.user_name,
            parent_id=parent.id if parent else None,
            parent_resource=parent_resource,
            root_id=parent.root_id if parent else id,
            depth=parent.depth + 1 if parent else 0,
            state=progress(action),
            state_reason=reason,
            template_id=template.id,
            deadline_at=deadline(house, timeout_mins),
            description=source.template.description,
            timeout_mins=timeout_mins,
            disable_rollback=disable_rollback,
            tags=tags,
        )
    except Duplicate:
        raise StackExists(name=name) from None
    await add_stack_event(tx, stack, stack.state, reason)
    data: dict[str, Any] = {"generation": 1}
    if adopted:  # the memory of resources that were abandoned; there may be secrets in it
        data["adopted"] = house.store.seal.close(adopted)
    await flow("stack.create").start(tx, id, context=context, data=data)
    return stack


async def insert_template(tx: Transaction, stack_id: str, source: Source) -> Row:
    row = await tx.insert(model.TEMPLATES, stack_id=stack_id, **source.stored())
    source.keep(row.id)
    return row


async def ask_update(
    tx: Transaction,
    house: House,
    context: Context,
    stack: Row,
    source: Source,
    *,
    timeout_mins: int | None = None,
    disable_rollback: bool | None = None,
    tags: list[str] | None = None,
) -> None:
    """Let the stack become what `source` says."""
    if action_of(stack.state) == "DELETE":
        raise NotSupported(feature="Updating a stack when it is deleting")
    if action_of(stack.state) == "SUSPEND":
        raise NotSupported(feature="Updating a stack when it is suspended")
    template = await insert_template(tx, stack.id, source)
    good = status_of(stack.state) == "COMPLETE" or stack.previous_template_id is None
    await ask(
        tx,
        house,
        context,
        stack,
        "update",
        template_id=template.id,
        previous_template_id=stack.template_id if good else stack.previous_template_id,
        description=source.template.description,
        timeout_mins=timeout_mins,
        disable_rollback=stack.disable_rollback if disable_rollback is None else disable_rollback,
        tags=tags,
        changed_at=clock.now(),
    )


async def ask_delete(tx: Transaction, house: House, context: Context, stack: Row) -> None:
    """Delete wins over everything that is going on. A stack that is being deleted already goes on with that."""
    if stack.state in (progress("DELETE"), complete("DELETE")):
        return
    await ask(tx, house, context, stack, "delete", {"to_nothing": True})


async def ask(
    tx: Transaction,
    house: House,
    context: Context,
    stack: Row,
    event: str,
    data: Mapping[str, Any] | None = None,
    **columns: Any,
) -> None:
    """Move the stack by `event` of its machine and start the flow of that name, which supersedes others."""
    generation = stack.generation + 1
    target = STACK.target(stack.state, event) or stack.state
    action = action_of(target)
    reason = columns.pop("state_reason", None) or f"Stack {action} started"
    columns["generation"] = generation
    columns["state_reason"] = reason
    columns.setdefault("deadline_at", deadline(house, columns.get("timeout_mins") or stack.timeout_mins))
    busy = ActionInProgress(name=stack.name, action=action_of(stack.state))
    if STACK.target(stack.state, event) is None and stack.state != progress(action_named(event)):
        raise busy
    # Only the state that was looked at may be left: what another asked for meanwhile stands.
    guard = {"id": stack.id, "state": stack.state, "generation": stack.generation}
    if not await tx.update(model.STACKS, guard, state=target, **columns):
        raise busy
    await add_stack_event(tx, stack, target, reason)
    await flow(f"stack.{event}").start(
        tx, stack.id, context=context, data={"generation": generation, **(data or {})}, supersede=True
    )
    await wake(tx, model.STACKS, stack.id)


async def ask_stop(tx: Transaction, context: Context, stack: Row) -> None:
    """Leave the stack as it is now, in the middle of what is going on."""
    generation = stack.generation + 1
    guard = {"id": stack.id, "state": stack.state, "generation": stack.generation}
    if not await tx.update(model.STACKS, guard, generation=generation):
        raise ActionInProgress(name=stack.name, action=action_of(stack.state))
    await flow("stack.stop").start(
        tx, stack.id, context=context, data={"generation": generation}, supersede=True
    )
    await wake(tx, model.STACKS, stack.id)


def action_named(event: str) -> str:
    return {"roll_back": "ROLLBACK"}.get(event, event.upper())


def flow(name: str) -> Flow:
    """A flow of this room by its name; flows know stacks, so they are looked up late."""
    from .flows import FLOWS

    return FLOWS[name]
