"""How an action on a stack ends: complete, failed, or failed and rolled back."""

from typing import Any

from sqlalchemy import delete, select

from aerostat.kernel import clock
from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.work import Work
from aerostat.kernel.work.flows import wake

from . import model
from .config import OrchestrationConfig
from .ledger import add_stack_event
from .stacks import ask
from .states import STACK, action_of

_CAN_ROLL_BACK = ("CREATE", "UPDATE")


async def complete_stack(tx: Transaction, work: Work, stack: Row) -> None:
    """The action is done; a deleted stack gives its name back."""
    if not await _is_ours(tx, work, stack):
        return
    action = action_of(stack.state)
    reason = f"Stack {action} completed successfully"
    columns: dict[str, Any] = {"state_reason": reason, "deadline_at": None, "previous_template_id": None}
    if action == "DELETE":
        columns.update(live_name=None, deleted_at=clock.now())
    moved = await STACK.move(tx, model.STACKS, stack.id, "finish", **columns)
    await add_stack_event(tx, stack, moved.state, reason)
    await tx.execute(
        delete(model.TEMPLATES).where(
            model.TEMPLATES.c.stack_id == stack.id, model.TEMPLATES.c.id != stack.template_id
        )
    )
    await _forget_old_events(tx, work, stack)
    await _tell_parent(tx, stack)


async def fail_stack(tx: Transaction, work: Work, stack: Row, reason: str, *, final: bool = False) -> None:
    """The action failed. Unless `final`, a create or update is rolled back where the user did not forbid it."""
    if not await _is_ours(tx, work, stack):
        return
    action = action_of(stack.state)
    if action in _CAN_ROLL_BACK and not stack.disable_rollback and not final:
        await _roll_back(tx, work, stack, reason)
        return
    moved = await STACK.move(tx, model.STACKS, stack.id, "fail", state_reason=reason, deadline_at=None)
    await add_stack_event(tx, stack, moved.state, reason)
    await _tell_parent(tx, stack)


async def _is_ours(tx: Transaction, work: Work, stack: Row) -> bool:
    """Whether nothing else was asked of the stack since this flow began."""
    return bool(await tx.count(model.STACKS, id=stack.id, generation=work.data["generation"]))


async def _roll_back(tx: Transaction, work: Work, stack: Row, reason: str) -> None:
    """Back to the template before; a stack that was only being made goes back to nothing."""
    await add_stack_event(tx, stack, f"{action_of(stack.state)}_FAILED", reason)
    before = stack.previous_template_id if action_of(stack.state) == "UPDATE" else None
    columns = {"template_id": before, "previous_template_id": None} if before else {}
    await ask(
        tx,
        work.house,
        work.context,
        stack,
        "roll_back",
        {"to_nothing": before is None},
        state_reason=reason,
        **columns,
    )


async def _tell_parent(tx: Transaction, stack: Row) -> None:
    if stack.parent_id is not None:
        await wake(tx, model.STACKS, stack.parent_id)


async def _forget_old_events(tx: Transaction, work: Work, stack: Row) -> None:
    most = work.house.config.section(OrchestrationConfig).most_events
    events = model.EVENTS
    if await tx.count(events, stack_id=stack.id) <= most:
        return
    newest = select(events.c.id).where(events.c.stack_id == stack.id).order_by(events.c.id.desc()).limit(most)
    await tx.execute(delete(events).where(events.c.stack_id == stack.id, events.c.id.not_in(newest)))
