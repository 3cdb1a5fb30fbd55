"""Words for listings: every holder is told, and who was told is known. A slow one is told later, by the updater."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ..stores.protocol import DeviceVerbs
from .calls import FAULTS, Calls
from .layout import Layout, Target


class Heard(NamedTuple):
    """`told`: the keys of the holders that heard. `is_refused`: one said that it has nothing to write it into."""

    told: list[str]
    is_refused: bool


async def hear(
    calls: Calls, layout: Layout, part: int, verb: Callable[[DeviceVerbs], Awaitable[bool]]
) -> Heard:
    """Who does not answer soon after the first, or did not lately, is not among those who heard, though it may have."""
    holders = layout.holders(part)
    if len(holders) == 1:
        heard = await _heard(calls, holders[0], verb)
        return Heard([holders[0].key] if heard else [], heard is False)
    standings, patience = calls.standings, calls.patience
    prompt = [one for one in holders if not standings.is_shunned(one.key) and not standings.is_late(one.key)]
    running = {asyncio.create_task(_heard(calls, target, verb)): target for target in prompt or holders}
    told: list[str] = []
    is_refused = False
    deadline = standings.clock() + patience.answer_s
    while running:
        finished, _ = await asyncio.wait(
            running, timeout=max(0.0, deadline - standings.clock()), return_when=asyncio.FIRST_COMPLETED
        )
        if not finished:
            break
        for task in finished:
            target = running.pop(task)
            is_refused |= task.result() is False
            if task.result():
                told.append(target.key)
                deadline = min(deadline, standings.clock() + patience.linger_s)
    for task, target in running.items():
        calls.leave(target, task)
    return Heard(told, is_refused)


async def _heard(calls: Calls, target: Target, verb: Callable[[DeviceVerbs], Awaitable[bool]]) -> bool | None:
    """None when nobody knows."""
    try:
        return await calls.timed(target, verb(target.device))
    except FAULTS:
        return None


async def or_none(answer: Awaitable[bool]) -> bool | None:
    """False as nothing: so that it makes no quorum."""
    return await answer or None
