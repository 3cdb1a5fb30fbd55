"""What a resource type is: tables of properties and attributes, and a few verbs.

A verb may run twice and may die anywhere. What is made outside gets `thing.physical_name` where it has no name
of its own, so that `find_made` sees what a run made that died before it could tell.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from aerostat.kernel.client import RoomError

from ..errors import ResourceActionNotSupported
from ..template import ResourceDefinition, select
from .property import SHOW, Attribute, Property

if TYPE_CHECKING:
    from aerostat.kernel.house import House

    from ..plans import Plan
    from ..thing import Thing


class Replace(Exception):
    """The change cannot be made in place: make another one, then delete this."""


class ResourceType:
    """One type. Instances are made once and keep no state; a `Thing` is the resource they work on."""

    name: ClassVar[str] = ""
    description: str = ""
    properties: Mapping[str, Property] = {}
    attributes: Mapping[str, Attribute] = {}
    room: ClassVar[str | None] = None  # the room it needs
    outside: ClassVar[bool] = True  # whether something is made that a lost row would leave behind
    always_updates: ClassVar[bool] = False  # whether it must look by itself if anything changed
    physical_name_length: ClassVar[int] = 255
    longest_wait_s: ClassVar[float] = (
        2.0  # between two looks at what takes time; more where something wakes us
    )
    deaf_during: ClassVar[tuple[str, ...]] = ("SUSPEND", "DELETE")  # actions during which signals are refused
    is_nested: ClassVar[bool] = False  # whether it is a stack of its own, shown below its parent
    support: ClassVar[Mapping[str, str]] = {}  # `status`, `message`, `version` where they are not the usual

    async def check(self, properties: Mapping[str, Any]) -> None:
        """What the tables cannot say about properties whose values are all known. Raises `BadRequest`."""

    async def check_here(self, house: "House", properties: Mapping[str, Any]) -> None:
        """The same for what depends on this cloud. Raises `BadRequest`."""

    def requires_besides(self, definition: ResourceDefinition, plan: "Plan") -> Iterable[str]:
        """Names of resources that must be there first though the template does not say so."""
        return ()

    async def take_over(self, thing: "Thing", replaced_id: str) -> None:
        """Before it is made in another one's place: have that one let go of what only one of them can have.

        Raises `Unavailable` as long as it holds on; the other one is then not whole any more. May run many times.
        """

    async def give_back(self, thing: "Thing", takers: Collection[str]) -> bool:
        """Used again after all, it gets back what `take_over` took from it; `takers` are the ids outside of those
        that were made in its place, and will be deleted. Answers whether it has everything; may run many times.
        """
        return True

    async def create(self, thing: "Thing") -> str | None:
        """Make it; answers its id outside."""
        return thing.physical_name

    async def is_created(self, thing: "Thing") -> bool:
        """Whether it is ready. Raises `ResourceFailure` when it never will be."""
        return True

    async def find_made(self, thing: "Thing") -> str | None:
        """The id of what an earlier run made for this very row."""
        return None

    async def update(self, thing: "Thing", changed: Mapping[str, Any]) -> None:
        """Change it in place; `changed` are new values by name, all of them allowed to change. `thing.properties`
        are the new ones already. May raise `Replace`.
        """
        raise Replace

    async def is_updated(self, thing: "Thing") -> bool:
        return True

    async def delete(self, thing: "Thing") -> None:
        """Begin to delete it; what is gone already is success."""

    async def is_deleted(self, thing: "Thing") -> bool:
        return True

    async def check_health(self, thing: "Thing") -> None:
        """Whether it is there and well. Raises `ResourceFailure`, `RoomError`."""

    async def signal(self, thing: "Thing", details: Any) -> str | None:
        """Take a signal; answers the reason that the event shows, None when there was nothing to do."""
        raise ResourceActionNotSupported(action="SIGNAL")

    async def suspend(self, thing: "Thing") -> None:
        """Begin to suspend it."""

    async def is_suspended(self, thing: "Thing") -> bool:
        return True

    async def resume(self, thing: "Thing") -> None:
        """Begin to resume it."""

    async def is_resumed(self, thing: "Thing") -> bool:
        return True

    def reference(self, thing: "Thing") -> Any:
        """What get_resource gives."""
        return thing.physical_id or thing.physical_name

    async def show(self, thing: "Thing") -> dict[str, Any]:
        """All that is known of it outside."""
        return {}

    async def metadata(self, thing: "Thing") -> dict[str, Any]:
        """What whoever reads the resource's metadata is told."""
        return thing.metadata

    def knows_attribute(self, name: str) -> bool:
        return name == "show" or name in self.attributes

    async def attribute(self, thing: "Thing", name: str, path: Sequence[str | int]) -> Any:
        """An attribute, `path` followed. By default a key of what `show` answers."""
        shown = await thing.shown()
        return select(shown if name == "show" else shown.get(name), path)

    @property
    def all_attributes(self) -> dict[str, Attribute]:
        return {**self.attributes, "show": SHOW}


def is_gone(error: RoomError) -> bool:
    return error.status in (404, 410)
