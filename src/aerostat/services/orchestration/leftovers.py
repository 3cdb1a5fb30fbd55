"""What was made in vain: two runs made one resource, and the stack has the other one's.

A run that was stopped for longer than its lease may go on beside the one that took over. Whichever thing is written
down second is a leftover. A flow deletes it, so that no death in between leaves it: see `flows/take_away_leftover.py`.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

from aerostat.kernel import clock
from aerostat.kernel.clock import hours
from aerostat.kernel.db import Transaction
from aerostat.kernel.work import Flow

from . import model

if TYPE_CHECKING:
    from .thing import Thing

LOOK_AFTER = timedelta(minutes=2)
"""When what an overtaken run had begun to make is there, or never will be."""

TAKE_AWAY = Flow("stack.take_away", on=model.LEFTOVERS, deadline=hours(24))


async def leave(tx: Transaction, thing: "Thing") -> None:
    """`thing.physical_id` is nobody's: have it deleted."""
    await _start(tx, thing, thing.physical_id)


def may_be_made_twice(thing: "Thing") -> bool:
    """Whether a second one can be, and can be told from what users made themselves: it has a name that we chose."""
    is_named_by_us = "name" in thing.kind.properties and not thing.properties.get("name")
    return thing.kind.outside and is_named_by_us


async def look_later(tx: Transaction, thing: "Thing") -> None:
    """An earlier run may yet make it too and die before it can tell: have things of its name looked for, later."""
    await _start(tx, thing, None)


async def _start(tx: Transaction, thing: "Thing", physical_id: str | None) -> None:
    row = thing.row
    left = await tx.insert(
        model.LEFTOVERS,
        stack_id=row.stack_id,
        name=row.name,
        kind=row.kind,
        physical_name=row.physical_name,
        physical_id=physical_id,
        properties=row.properties,
        metadata=row.metadata,
        data=row.data,
        created_at=row.created_at,
    )
    look_at = clock.now() + LOOK_AFTER
    await TAKE_AWAY.start(tx, left.id, context=thing.context, data={"look_at": look_at.isoformat()})
