"""Words for listings: every holder is told, and who was told is known. A slow one is told later, by the updater."""

import asyncio
from collections.abc import Awaitable, Callable

from ..stores.protocol import DeviceVerbs
from .calls import FAULTS, Calls
from .layout import Layout, Target


async def hear(
    calls: Calls, layout: Layout, part: int, verb: Callable[[DeviceVerbs], Awaitable[bool]]
) -> list[str]:
    """The keys of the holders that heard. Who does not answer soon after the first, or did not lately, is not among
    them, though it may have heard.
    """
    holders = layout.holders(part)
    if len(holders) == 1:
        return [holders[0].key] if await _heard(calls, holders[0], verb) else []
    standings, patience = calls.standings, calls.patience
    prompt = [one for one in holders if not standings.is_shunned(one.key) and not standings.is_late(one.key)]
    running = {asyncio.create_task(_heard(calls, target, verb)): target for target in prompt or holders}
    told: list[str] = []
    deadline = standings.clock() + patience.answer_s
    while running:
        finished, _ = await asyncio.wait(
            running, timeout=max(0.0, deadline - standings.clock()), return_when=asyncio.FIRST_COMPLETED
        )
        if not finished:
            break
        for task in finished:
            target = running.pop(task)
            if task.result():
                told.append(target.key)
                deadline = min(deadline, standings.clock() + patience.linger_s)
    for task, target in running.items():
        calls.leave(target, task)
    return told


async def _heard(calls: Calls, target: Target, verb: Callable[[DeviceVerbs], Awaitable[bool]]) -> bool:
    try:
        return await calls.timed(target, verb(target.device))
    except FAULTS:
        return False


async def or_none(answer: Awaitable[bool]) -> bool | None:
    """False as nothing: so that it makes no quorum."""
    return await answer or None
