"""The copies of an account or a container: who has the newest is believed, and all are told what is said of it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from ..stores.protocol import DeviceVerbs, Place, Said
from ..timestamp import Timestamp
from .asking import quarantine
from .calls import Calls
from .gone import Gone, gone
from .hearing import or_none
from .layout import Layout
from .looking import Age, Looking
from .telling import tell


class Status(Protocol):
    """What accounts and containers tell of themselves alike."""

    @property
    def put_at(self) -> Timestamp: ...

    @property
    def deleted_at(self) -> Timestamp: ...

    @property
    def changed_at(self) -> Timestamp: ...


S = TypeVar("S", bound=Status)
Row = TypeVar("Row")
Asked = Callable[[DeviceVerbs], Awaitable[Row | None]]


class Copies(Generic[S]):
    """`store`: of accounts or of containers. `count`: how much a status says is in it; of two that are else alike the
    one with more is taken. `what` names it to whoever reads that too few could tell.
    """

    def __init__(self, calls: Calls, layout: Layout, store: str, count: Callable[[S], int]) -> None:
        self._calls, self._layout, self._store, self._count = calls, layout, store, count

    async def find(
        self,
        what: str,
        place: Place,
        ask: Asked[tuple[S, Said]],
        *,
        newest: bool = False,
        tells_deletion: bool = False,
    ) -> tuple[S, Said] | Gone | None:
        """Where only one device has it, that is asked for its deletion only if `tells_deletion`: others need to hear of
        it. `newest`: of all its devices.
        """
        is_alone = self._layout.holder_count(place.part) == 1 and not tells_deletion

        async def look(device: DeviceVerbs) -> tuple[S, Said] | Gone | None:
            found = await ask(device)
            return found if found is not None or is_alone else gone(await device.database(self._store, place))

        looking: Looking[tuple[S, Said] | Gone] = Looking(
            self._calls,
            self._layout,
            place.part,
            look,
            age=self._age,
            is_gone=lambda found: isinstance(found, Gone),
            on_damage=quarantine(self._calls, self._store, place),
            newest=newest,
        )
        return await looking.find(what)

    async def page(self, what: str, place: Place, ask: Asked[Sequence[Row]]) -> Sequence[Row] | None:
        """Of its listing; None when it is not there."""
        looking: Looking[Sequence[Row]] = Looking(
            self._calls,
            self._layout,
            place.part,
            ask,
            age=lambda _: (),
            on_damage=quarantine(self._calls, self._store, place),
        )
        return await looking.find(what)

    async def say(self, what: str, place: Place, verb: Callable[[DeviceVerbs], Awaitable[bool]]) -> bool:
        """Metadata beside what it has; False when it is not there."""
        told = await tell(self._calls, self._layout, place.part, lambda device: or_none(verb(device)))
        if told.is_nowhere(self._layout, place.part):
            return False
        told.check(what)
        return True

    def _age(self, found: tuple[S, Said] | Gone) -> Age:
        if isinstance(found, Gone):
            return (found.deleted_at, 0, 0, 0)
        status, _ = found
        return (max(status.put_at, status.deleted_at), 1, status.changed_at, self._count(status))
