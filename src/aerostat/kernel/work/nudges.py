"""Nudges from processes that have no engine, handed over the bus to one that has."""

import asyncio
from collections.abc import Callable

from ..bus import Bus
from ..db import Store
from ..errors import DriverError
from .flows import NUDGE

TELL_LIMIT_S, TELL_PAUSE_S = 5.0, 1.0

WAKE_TOPIC = "engine-wake"
"""What engines serve: the body is the nudge's topic."""


def forward_nudges(store: Store, bus: Bus) -> Callable[[], None]:
    """In a process without an engine: hand the store's nudges to one over the bus; answers how to stop that.

    Of flows a nudge that is lost costs seconds: engines look by themselves every `IDLE`. Reconcilers and sweepers may
    sleep for long, so theirs are repeated until an engine has answered; many of one name become one.
    """
    untold: set[str] = set()
    telling: dict[str, asyncio.Task[None]] = {}

    def forward(topic: str) -> None:
        untold.add(topic)
        if topic not in telling:
            telling[topic] = asyncio.get_running_loop().create_task(tell(topic), name=f"nudge {topic}")

    async def tell(topic: str) -> None:
        try:
            while topic in untold:
                untold.discard(topic)
                if topic == NUDGE:
                    await bus.cast(WAKE_TOPIC, "wake", topic)
                    continue
                try:
                    await bus.call(WAKE_TOPIC, "wake", topic, timeout_s=TELL_LIMIT_S)
                except DriverError as error:
                    if not error.retry:
                        return  # the bus is closed, and so is this process
                    untold.add(topic)
                    await asyncio.sleep(TELL_PAUSE_S)
        finally:
            # Not when the task is done, which is later: what is to be told in between would be left to nobody.
            telling.pop(topic, None)

    stop_listening = store.listen(forward)

    def stop() -> None:
        stop_listening()
        for task in telling.values():
            task.cancel()

    return stop
