"""Creating, updating, rolling back and deleting a stack: the same work towards different templates.

Each flow has one step, `converge`, which runs until the resources are as the target says: see
`aerostat/services/orchestration/converge.py`. It waits by ending and being run again.
"""

from typing import Any

from aerostat.kernel.clock import hours
from aerostat.kernel.work import Fault, Flow, Outcome, Work

from .. import model
from ..converge import converge_stack
from ..endings import fail_stack
from ..states import STACK

# Stacks have deadlines of their own, which end with upstream's words; these only catch what slips through.
_LONGEST = hours(24 * 30)


async def _converge(work: Work, stack: Any) -> Outcome | None:
    if stack.generation != work.data["generation"]:
        return work.finish()  # something else was asked of the stack since
    return await converge_stack(work, stack)


async def _failed(work: Work, stack: Any, fault: Fault) -> None:
    """Something nobody foresaw: say so, and roll back if that was wanted."""
    if stack.generation == work.data["generation"]:
        work.also(lambda tx: fail_stack(tx, work, stack, fault.message))


def _flow(name: str) -> Flow:
    flow = Flow(name, on=model.STACKS, machine=STACK, deadline=_LONGEST, failed=_failed)

    @flow.step
    async def converge(work: Work, stack: Any) -> Outcome | None:
        return await _converge(work, stack)

    return flow


create = _flow("stack.create")
update = _flow("stack.update")
roll_back = _flow("stack.roll_back")
delete = _flow("stack.delete")
