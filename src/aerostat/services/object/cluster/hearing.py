"""Words for listings: every holder is told, and who was told is known."""

import asyncio
from collections.abc import Awaitable, Callable

from ..stores.protocol import DeviceVerbs
from .calls import FAULTS, Calls
from .layout import Layout, Target


async def hear(
    calls: Calls, layout: Layout, part: int, verb: Callable[[DeviceVerbs], Awaitable[bool]]
) -> list[str]:
    """The keys of the holders that heard. One that does not answer soon is not among them, though it may have heard."""
    holders = layout.holders(part)
    if len(holders) == 1:
        return [holders[0].key] if await _heard(calls, holders[0], verb) else []
    running = {asyncio.create_task(_heard(calls, target, verb)): target for target in holders}
    finished, late = await asyncio.wait(running, timeout=calls.patience.answer_s)
    for task in late:
        calls.leave(running[task], task)
    return [running[task].key for task in finished if task.result()]


async def _heard(calls: Calls, target: Target, verb: Callable[[DeviceVerbs], Awaitable[bool]]) -> bool:
    try:
        return await calls.timed(target, verb(target.device))
    except FAULTS:
        return False


async def or_none(answer: Awaitable[bool]) -> bool | None:
    """False as nothing: so that it makes no quorum."""
    return await answer or None
