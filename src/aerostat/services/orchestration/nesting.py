"""Stacks below a stack."""

from sqlalchemy import func, select

from aerostat.kernel.db import Row, Store, Transaction
from aerostat.kernel.errors import BadRequest
from aerostat.kernel.house import House
from aerostat.kernel.http import Request

from . import model
from .config import OrchestrationConfig
from .errors import RequestLimitExceeded

_EVERYTHING = 100


def read_depth(req: Request) -> int:
    """The `nested_depth` argument: how many levels below are shown too. Raises `BadRequest`."""
    text = req.argument("nested_depth")
    if not text:
        return 0
    try:
        return min(max(int(text), 0), _EVERYTHING)
    except ValueError:
        if text.lower() in ("true", "yes"):
            return _EVERYTHING
        raise BadRequest(f"Only integer is acceptable by 'nested_depth', not '{text}'.") from None


async def nested_stacks(db: Store, stack: Row, depth: int) -> list[Row]:
    """Living stacks up to `depth` levels below this one."""
    rows = await db.all(model.STACKS, {"root_id": stack.root_id, "deleted_at": None})
    below: list[Row] = []
    parents = {stack.id}
    for _ in range(depth):
        level = [row for row in rows if row.parent_id in parents]
        if not level:
            break
        below += level
        parents = {row.id for row in level}
    return below


async def check_room(tx: Transaction, house: House, root_id: str, more: int) -> None:
    """Stacks in stacks grow fast: all together have one limit. Raises `RequestLimitExceeded`.

    Looked at when a nested stack is asked for and again when its rows are written: many are asked for at once.
    """
    most = house.config.section(OrchestrationConfig).most_resources
    stacks, resources = model.STACKS, model.RESOURCES
    rows = await tx.fetch(
        select(func.count().label("total"))
        .select_from(resources.join(stacks, resources.c.stack_id == stacks.c.id))
        .where(stacks.c.root_id == root_id)
    )
    if 0 <= most < rows[0].total + more:
        raise RequestLimitExceeded(reason="Maximum resources per stack exceeded.")
