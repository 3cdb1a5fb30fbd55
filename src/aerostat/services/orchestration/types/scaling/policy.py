"""Scaling policies: a signal that changes the size of a group."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ... import model
from ...errors import BadBody, EntityNotFound, StackValidationFailed
from ...owner import stack_owner
from ...reading import open_stack
from ...signals import new_token, signal_url
from ...template import select
from ...thing import Thing
from ..resource_type import ResourceType
from .capacity import PERCENT
from .cooldown import is_cooling, note_scaling
from .group import ScalingGroup


class Policy(ResourceType):
    """What OS::Heat's and AWS's have in common; they differ in the words for the same things."""

    outside = False
    # The property for `group`, `adjustment`, `kind`, `cooldown`, `step`.
    words: ClassVar[Mapping[str, str]] = {}
    kinds: ClassVar[Mapping[str, str]] = {}  # their words for the kinds of adjustment
    # Attributes that are addresses; whether the address carries the token.
    urls: ClassVar[Mapping[str, bool]] = {}

    def value(self, thing: Thing, what: str) -> Any:
        return thing.properties[self.words[what]]

    async def check(self, properties: Mapping[str, Any]) -> None:
        kind, step = self.words["kind"], self.words["step"]
        percent = next(word for word, meaning in self.kinds.items() if meaning == PERCENT)
        if properties[step] is not None and properties[kind] != percent:
            raise StackValidationFailed(
                f"{step} property should only be specified for {kind} with value {percent}."
            )

    async def create(self, thing: Thing) -> str | None:
        new_token(thing.row)
        return thing.physical_name

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        """The next signal finds what stands in the row."""

    async def attribute(self, thing: Thing, name: str, path: Sequence[str | int]) -> Any:
        return select(self.url(thing, with_token=self.urls[name]), path) if name in self.urls else None

    def url(self, thing: Thing, *, with_token: bool) -> str:
        url = signal_url(thing.house, thing.stack, thing.name)
        return f"{url}?token={new_token(thing.row)}" if with_token else url

    async def signal(self, thing: Thing, details: Any) -> str | None:
        """An alarm tells its state as `current` or `state`; only the state `alarm` scales."""
        details = {} if details is None else details
        if not isinstance(details, dict):
            raise BadBody("A signal to a scaling policy is an object.")
        state = str(details.get("current", details.get("state", "alarm"))).lower()
        cooldown_s = float(self.value(thing, "cooldown") or 0.0)
        if state != "alarm" or is_cooling(thing, cooldown_s):
            return None
        group = await self._group(thing)
        assert isinstance(group.kind, ScalingGroup)
        adjustment, kind = self.value(thing, "adjustment"), self.value(thing, "kind")
        reason = f"{kind} : {adjustment}"
        refused = await group.kind.adjust(
            group, adjustment, self.kinds[kind], self.value(thing, "step"), reason
        )
        if refused is not None:
            return None
        note_scaling(thing, cooldown_s, reason)
        async with thing.db.transaction() as tx:
            await tx.update(model.RESOURCES, {"id": thing.id}, metadata=thing.metadata)
        return f"alarm state changed to {state}: {group.name} is scaled, {reason}"

    async def _group(self, thing: Thing) -> Thing:
        reference = self.value(thing, "group")
        owner = await stack_owner(thing.house, thing.stack, thing.context.request_id)
        opened = await open_stack(thing.house, owner, thing.stack)
        for other in opened.things.values():
            if isinstance(other.kind, ScalingGroup) and reference in (
                other.kind.reference(other),
                other.physical_id,
                other.physical_name,
            ):
                return other
        raise EntityNotFound(entity="scaling group", name=reference)
