"""Groups whose members have names that are known beforehand: an index, a server.

`batch_create` and `rolling_update` of the resource's update policy make and renew members a few at a time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ...plans import Source
from ...template import Template
from ...thing import Thing
from .child import ChildStack, template_of_members
from .pause import end_rest, is_rested


class NamedGroup(ChildStack):
    """Types say which members there are, and what each of them is."""

    def names(self, thing: Thing) -> list[str]:
        raise NotImplementedError

    def definition(self, values: Mapping[str, Any], name: str) -> dict[str, Any]:
        """One member as these properties of the group have it."""
        raise NotImplementedError

    def is_renewed(self, thing: Thing) -> bool:
        """Whether members that are there have another definition than before."""
        raise NotImplementedError

    async def create(self, thing: Thing) -> str | None:
        thing.data["size"] = _batch(thing, "batch_create") or len(self.names(thing))
        return await super().create(thing)

    async def is_created(self, thing: Thing) -> bool:
        if not await super().is_created(thing):
            return False
        if thing.data["size"] >= len(self.names(thing)):
            return True
        if _is_rested(thing, "batch_create"):
            end_rest(thing)
            thing.data["size"] += _batch(thing, "batch_create")
            await self.bring(thing)
        return False

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        thing.data["size"] = len(self.names(thing))
        thing.data.pop("rolled", None)
        end_rest(thing)
        if (batch := _batch(thing, "rolling_update")) and self.is_renewed(thing):
            thing.data["rolled"] = batch  # so many have the new definition; the others keep the old one
        await self.bring(thing)

    async def is_updated(self, thing: Thing) -> bool:
        if not await super().is_updated(thing):
            return False
        rolled = thing.data.get("rolled")
        if rolled is None:
            return True
        if rolled >= len(self.names(thing)):
            del thing.data["rolled"]
            return True
        if _is_rested(thing, "rolling_update"):
            end_rest(thing)
            thing.data["rolled"] = rolled + _batch(thing, "rolling_update")
            await self.bring(thing)
        return False

    async def source(self, thing: Thing) -> Source:
        names = self.names(thing)[: thing.data.get("size")]
        rolled = thing.data.get("rolled", len(names))
        template = self.template_of(thing.properties, names, rolled, thing.previous)
        return Source(template, thing.plan.environment.for_nested(thing.name), thing.plan.files)

    def template_of(
        self,
        values: Mapping[str, Any],
        names: Sequence[str],
        rolled: int | None = None,
        previous: Mapping[str, Any] | None = None,
    ) -> Template:
        """The group's stack; after the first `rolled` members, those that are still as in `previous`."""
        resources = {
            name: self.definition(values if rolled is None or place < rolled else previous or values, name)
            for place, name in enumerate(names)
        }
        return template_of_members(resources)


def _batch(thing: Thing, policy: str) -> int:
    """How many at once; 0: all."""
    settings = thing.policy.get(policy) or {}
    return max(0, int(settings.get("max_batch_size", 1))) if settings else 0


def _is_rested(thing: Thing, policy: str) -> bool:
    return is_rested(thing, float((thing.policy.get(policy) or {}).get("pause_time", 0)))
