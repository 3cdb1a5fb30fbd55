"""Stopping what is going on with a stack, and leaving it as it is: what `cancel_without_rollback` asks for."""

from typing import Any

from aerostat.kernel.clock import minutes
from aerostat.kernel.db import Transaction
from aerostat.kernel.work import Flow, Work

from .. import model
from ..endings import fail_stack
from ..ledger import add_resource_event
from ..states import STACK, action_of, failed, status_of

_REASON = "User cancelled operation"

stop = Flow("stack.stop", on=model.STACKS, machine=STACK, deadline=minutes(10))


@stop.step
async def mark(work: Work, stack: Any) -> None:
    """The flow that was at work has ended; whatever it had begun counts as failed."""
    if stack.generation != work.data["generation"]:
        return
    rows = await work.db.all(model.RESOURCES, {"stack_id": stack.id})

    async def write(tx: Transaction) -> None:
        for row in rows:
            if status_of(row.state) == "IN_PROGRESS":
                state = failed(action_of(row.state))
                reason = f"{action_of(row.state)} aborted ({_REASON})"
                await tx.update(model.RESOURCES, {"id": row.id}, state=state, state_reason=reason)
                await add_resource_event(tx, row, state, reason)
        await fail_stack(tx, work, stack, _REASON, final=True)

    work.also(write)
