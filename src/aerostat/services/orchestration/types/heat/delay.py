"""OS::Heat::Delay: time that passes between other resources.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::Delay
"""

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from aerostat.kernel import clock

from ...thing import Thing
from ..property import listing, number
from ..resource_type import ResourceType


class Delay(ResourceType):
    name = "OS::Heat::Delay"
    description = "A resource that pauses for a configurable delay."
    outside = False
    properties = {
        "min_wait": number(
            "Minimum time in seconds to wait during the specified actions.",
            default=0,
            between=(0, None),
            update=True,
        ),
        "max_jitter": number(
            "Maximum jitter to add to the minimum wait time.", default=0, between=(0, None), update=True
        ),
        "jitter_multiplier": number(
            "Number of seconds to multiply the maximum jitter value by.",
            default=1.0,
            between=(0, None),
            update=True,
        ),
        "actions": listing(
            "Actions during which the delay will occur.",
            default=["CREATE"],
            allowed=("CREATE", "DELETE", "SUSPEND", "RESUME"),
            update=True,
        ),
    }

    async def create(self, thing: Thing) -> str | None:
        await _begin(thing, "CREATE")
        return thing.physical_name

    async def is_created(self, thing: Thing) -> bool:
        return _is_over(thing)

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        """It counts the next time."""

    async def delete(self, thing: Thing) -> None:
        await _begin(thing, "DELETE")

    async def is_deleted(self, thing: Thing) -> bool:
        return _is_over(thing)

    async def suspend(self, thing: Thing) -> None:
        await _begin(thing, "SUSPEND")

    async def is_suspended(self, thing: Thing) -> bool:
        return _is_over(thing)

    async def resume(self, thing: Thing) -> None:
        await _begin(thing, "RESUME")

    async def is_resumed(self, thing: Thing) -> bool:
        return _is_over(thing)


async def _begin(thing: Thing, action: str) -> None:
    """The end is thrown once and kept, however often the action is taken up again."""
    thing.data.pop("until", None)
    values = thing.properties
    if action in values["actions"]:
        wait_s = values["min_wait"] + values["max_jitter"] * values["jitter_multiplier"] * random.random()
        thing.data["until"] = (clock.now() + timedelta(seconds=wait_s)).isoformat()
    await thing.keep()


def _is_over(thing: Thing) -> bool:
    until = thing.data.get("until")
    return until is None or clock.now() >= datetime.fromisoformat(until)
