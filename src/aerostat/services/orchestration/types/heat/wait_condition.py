"""OS::Heat::WaitCondition: ready when enough signals came to its handle.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Heat::WaitCondition
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from aerostat.kernel import clock
from aerostat.kernel.db import Row

from ... import model
from ...errors import ResourceFailure
from ...template import select
from ...thing import Thing
from ..property import Attribute, integer, text
from ..resource_type import ResourceType
from .wait_condition_handle import SUCCESS


class WaitCondition(ResourceType):
    name = "OS::Heat::WaitCondition"
    description = "Resource for handling signals received by WaitConditionHandle."
    outside = False
    longest_wait_s = 5.0
    properties = {
        "handle": text(
            "A reference to the wait condition handle used to signal this wait condition.", required=True
        ),
        "timeout": integer(
            "The number of seconds to wait for the correct number of signals to arrive.",
            required=True,
            between=(1, 43200),
        ),
        "count": integer(
            "The number of success signals that must be received before the stack creation process continues.",
            default=1,
            between=(1, None),
            update=True,
        ),
    }
    attributes = {
        "data": Attribute(
            "JSON string containing data associated with wait condition signals sent to the handle."
        )
    }

    async def create(self, thing: Thing) -> str | None:
        await _handle(thing)
        return thing.physical_name

    async def is_created(self, thing: Thing) -> bool:
        return await enough_signals(thing, thing.properties["count"], thing.properties["timeout"])

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        """Another count: it is waited for anew."""

    async def is_updated(self, thing: Thing) -> bool:
        return await self.is_created(thing)

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        return select(await signal_data(thing), path) if name == "data" else None


async def enough_signals(thing: Thing, count: int, timeout_s: float) -> bool:
    """Whether `count` came. Raises `ResourceFailure` when one tells of a failure, or when time is over."""
    signals = await _signals(thing)
    failures = [one.reason for one in signals if one.status != SUCCESS]
    if failures:
        raise ResourceFailure(";".join(failures) or "a failure was signalled", "WaitConditionFailure")
    if len(signals) >= count:
        return True
    if clock.now() >= thing.row.begun_at + timedelta(seconds=timeout_s):
        raise ResourceFailure(f"{len(signals)} of {count} received", "WaitConditionTimeout")
    return False


async def signal_data(thing: Thing) -> str:
    """`{"1": "what the first said"}` as text."""
    return json.dumps({one.key: one.data for one in await _signals(thing)})


async def _signals(thing: Thing) -> list[Row]:
    handle = await _handle(thing)
    return await thing.db.all(model.SIGNALS, {"resource_id": handle.id}, order="created_at")  # type: ignore[no-any-return]


async def _handle(thing: Thing) -> Row:
    """The row of the handle: in the same stack, known by its reference."""
    reference = thing.properties.get("handle") or thing.properties.get("Handle")
    for row in await thing.db.all(model.RESOURCES, {"stack_id": thing.stack.id, "current": True}):
        if "WaitConditionHandle" in row.kind and reference in (row.physical_id, row.data.get("url")):
            return row  # type: ignore[no-any-return]
    raise ResourceFailure(f"{reference} is not a valid wait condition handle.", "ValueError")
