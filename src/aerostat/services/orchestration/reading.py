"""A stack as it stands, for those who only look: the API, and stacks that another is nested in."""

from collections.abc import Sequence
from typing import Any

from aerostat.kernel.context import Context
from aerostat.kernel.db import Row
from aerostat.kernel.house import House

from . import model
from .kinds import find_kind
from .live import LiveStack
from .plans import Plan, load_plan
from .template import TemplateError
from .thing import Thing
from .types.property import readable


class OpenStack:
    """Plan, rows and things of a stack. Only the rows that are current have a thing."""

    def __init__(self, stack: Row, plan: Plan, rows: Sequence[Row], things: dict[str, Thing]) -> None:
        self.stack = stack
        self.plan = plan
        self.rows = list(rows)
        self.things = things
        self.live = LiveStack(plan.blueprint, things)

    async def output(self, name: str) -> tuple[Any, str | None]:
        """An output's value, None while it is not known, and why it cannot be."""
        definition = self.plan.blueprint.outputs.get(name)
        if definition is None:
            return None, None
        try:
            return await self.live.resolve(definition.value), None
        except TemplateError as error:
            return None, error.message


async def open_stack(house: House, context: Context, stack: Row) -> OpenStack:
    """Read it. What its attributes need from other rooms is asked in the name of `context`."""
    plan = await load_plan(house, stack)
    rows = await house.store.all(model.RESOURCES, {"stack_id": stack.id}, order="id")
    things = {}
    for row in rows:
        if row.current:
            kind = find_kind(row.kind, plan.files)
            things[row.name] = Thing(
                house, context, stack, plan, row, kind, readable(kind.properties, row.properties)
            )
    return OpenStack(stack, plan, rows, things)
