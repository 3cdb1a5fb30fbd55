"""Deleting what was made in vain, whichever process dies meanwhile; see `leftovers.py`."""

from datetime import datetime
from typing import Any

from aerostat.kernel.db import Row
from aerostat.kernel.work import Outcome, Work

from .. import model
from ..kinds import find_kind
from ..leftovers import TAKE_AWAY
from ..plans import load_plan
from ..thing import Thing
from ..types.property import readable

_POLL_S = 1.0

take_away = TAKE_AWAY


@take_away.step(attempts=1000)
async def remove(work: Work, leftover: Any) -> Outcome | None:
    """Find it if it has to be found, delete it, and look whether there is another."""
    stack = await work.db.find(model.STACKS, id=leftover.stack_id)
    if stack is None:  # long gone, and all that it had with it
        return _forget(work, leftover)
    plan = await load_plan(work.house, stack)
    kind = find_kind(leftover.kind, plan.files)
    properties = readable(kind.properties, leftover.properties)
    thing = Thing(work.house, work.context, stack, plan, leftover, kind, properties)
    is_looked_for = leftover.physical_id is None
    if is_looked_for:
        wait_s = work.left_s(datetime.fromisoformat(work.data["look_at"]))
        if wait_s > 0:
            return work.again(wait_s)
        leftover.physical_id = await kind.find_made(thing)
        if leftover.physical_id is None:
            return _forget(work, leftover)
    await kind.delete(thing)
    is_gone = await kind.is_deleted(thing)
    if is_looked_for:
        leftover.physical_id = None
    if is_looked_for or not is_gone:
        return work.again(_POLL_S)
    return _forget(work, leftover)


def _forget(work: Work, leftover: Row) -> Outcome:
    work.also(lambda tx: tx.delete(model.LEFTOVERS, id=leftover.id))
    return work.finish()
