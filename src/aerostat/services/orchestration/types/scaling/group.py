"""A group of members that are resources of a nested stack: what all scaling groups have in common.

A change goes in steps, each an update of the nested stack: the batches of a rolling update, then the new size.
What is still to do stands in the memory of the resource: whoever goes on after a death finds it there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from aerostat.kernel import ids
from aerostat.kernel.db import Row

from ... import model
from ...errors import StackValidationFailed
from ...plans import Source, load_source
from ...reading import OpenStack
from ...states import status_of
from ...template import Environment
from ...thing import Thing
from ..nested.child import ChildStack, of_member, template_of_members
from ..nested.pause import end_rest, is_rested
from .capacity import EXACT, Member, adjusted, batches, next_members
from .cooldown import is_cooling, note_scaling


@dataclass(frozen=True, slots=True)
class Rolling:
    """How members are renewed: so many at once, so many left alone, so long a rest between."""

    in_service: int
    batch: int
    pause_s: float


class ScalingGroup(ChildStack):
    """Types say what a member is, how many there may be, and how they are renewed."""

    scales: ClassVar[bool] = True  # whether it has a cooldown that begins when it is made

    async def member(self, thing: Thing) -> dict[str, Any]:
        """The definition of one member, all values known."""
        raise NotImplementedError

    def bounds(self, thing: Thing) -> tuple[int, int]:
        """The least and the most members."""
        raise NotImplementedError

    def desired(self, thing: Thing) -> int | None:
        """How many the template asks for; None: as many as there are, at first as few as may be."""
        raise NotImplementedError

    def rolling(self, thing: Thing) -> Rolling | None:
        """None: members that are there keep the definition that they were made with."""
        raise NotImplementedError

    def cooldown_s(self, thing: Thing) -> float:
        return 0.0

    def child_environment(self, thing: Thing) -> Environment:
        return thing.plan.environment.for_nested(thing.name)

    # Making and changing

    async def create(self, thing: Thing) -> str | None:
        least, most = self.bounds(thing)
        wanted = self.desired(thing)
        size = max(least, min(most, least if wanted is None else wanted))
        thing.data["step"] = [size, size]
        return await super().create(thing)

    async def is_created(self, thing: Thing) -> bool:
        if not await self.is_settled(thing):
            return False
        if self.scales:
            note_scaling(thing, self.cooldown_s(thing), f"{EXACT} : {thing.data['step'][0]}")
        return True

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        old, new = await self._members(thing), await self.member(thing)
        least, most = self.bounds(thing)
        wanted = self.desired(thing)
        size = adjusted(len(old), len(old) if wanted is None else wanted, EXACT, least, most)
        rolling = self.rolling(thing)
        steps: list[tuple[int, int]] = []
        if rolling is not None and any(definition != new for _, definition in old):
            steps = batches(len(old), len(old), rolling.batch, rolling.in_service)
        thing.data["steps"] = [*steps, (size, 0)]
        await self._take_step(thing)

    async def is_updated(self, thing: Thing) -> bool:
        if not await self.is_settled(thing):
            return False
        steps = thing.data.get("steps") or []
        if not steps:
            return True
        if len(steps) == 1 or self._is_rested(thing):  # before the last step, the new size, nobody rests
            await self._take_step(thing)
        return False

    def _is_rested(self, thing: Thing) -> bool:
        rolling = self.rolling(thing)
        return rolling is None or is_rested(thing, rolling.pause_s)

    async def _take_step(self, thing: Thing) -> None:
        first, *rest = thing.data["steps"]
        thing.data.update(step=list(first), steps=[list(one) for one in rest])
        end_rest(thing)
        await self.bring(thing)

    async def source(self, thing: Thing) -> Source:
        total, fresh = thing.data["step"]
        old = await self._members(thing) if thing.physical_id else []
        new = await self.member(thing)
        old.sort(key=lambda one: one[1] == new)  # those of an older definition go first
        resources = dict(next_members(old, new, total, fresh, _new_names()))
        return Source(template_of_members(resources), self.child_environment(thing), thing.plan.files)

    async def _members(self, thing: Thing) -> list[Member]:
        """Members as the child's template has them: broken ones first, then the oldest."""
        child = await self.child(thing)
        template = (await load_source(thing.db, child.template_id)).template
        rows = await thing.db.all(model.RESOURCES, {"stack_id": child.id, "current": True})
        place = {row.name: key for key, row in enumerate(_in_order(rows), start=1)}
        definitions = template.data.get("resources") or {}
        return sorted(definitions.items(), key=lambda one: place.get(one[0], 0))

    # Scaling

    async def adjust(
        self, thing: Thing, adjustment: float, kind: str, min_step: int | None, reason: str
    ) -> str | None:
        """Change the size, as a policy says. None when it is done; else why nothing was."""
        if is_cooling(thing, self.cooldown_s(thing)):
            return "the group's cooldown is not over"
        child = await self.child(thing)
        if status_of(child.state) == "IN_PROGRESS" or status_of(thing.row.state) == "IN_PROGRESS":
            return "the group is being changed"
        current = len(await self._members(thing))
        least, most = self.bounds(thing)
        size = adjusted(current, adjustment, kind, least, most, min_step)
        if size == current:
            return "there is no change in capacity"
        thing.data["step"] = [size, 0]
        note_scaling(thing, self.cooldown_s(thing), reason)
        await self.bring(thing)
        return None

    # Looking

    def reference(self, thing: Thing) -> Any:
        return thing.physical_name

    async def whole_members(self, thing: Thing) -> tuple[OpenStack, list[str]]:
        """The child, and the names of its members that are well, in order."""
        child = await self.open_child(thing)
        rows = [one.row for one in child.things.values()]
        return child, [row.name for row in _in_order(rows) if status_of(row.state) != "FAILED"]

    async def of_place(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        """`resource.0`, `resource.0.attribute`: members by their place, or their name."""
        child, names = await self.whole_members(thing)
        first, _, attribute = name.removeprefix("resource.").partition(".")
        if first.isdigit():
            if int(first) >= len(names):
                return None
            first = names[int(first)]
        return await of_member(child, f"{first}.{attribute}" if attribute else first, path)


def check_bounds(least: int, most: int, desired: int | None) -> None:
    """Raises `StackValidationFailed`."""
    if most < least:
        raise StackValidationFailed("MinSize can not be greater than MaxSize")
    if least < 0:
        raise StackValidationFailed("The size of AutoScalingGroup can not be less than zero")
    if desired is not None and not least <= desired <= most:
        raise StackValidationFailed("DesiredCapacity must be between MinSize and MaxSize")


def _in_order(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (status_of(row.state) != "FAILED", row.created_at, row.name))


def _new_names() -> Iterator[str]:
    while True:
        yield ids.short_id(12)
