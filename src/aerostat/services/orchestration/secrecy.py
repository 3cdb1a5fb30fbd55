"""Messages without the values of hidden parameters: reasons are stored, logged and shown in clear."""

from aerostat.kernel.db import Row
from aerostat.kernel.house import House

from . import model
from .plans import Plan, load_plan


async def conceal(house: House, stack: Row, plan: Plan, text: str) -> str:
    """The text free of what is hidden in this stack and in those that it is nested in: they may have passed it on."""
    text = plan.parameters.conceal(text)
    parent_id = stack.parent_id
    while parent_id is not None:
        parent = await house.store.find(model.STACKS, id=parent_id)
        if parent is None:
            break
        text = (await load_plan(house, parent)).parameters.conceal(text)
        parent_id = parent.parent_id
    return text
