"""`Thing`: one resource of a stack, as its type sees it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aerostat.kernel.context import Context
from aerostat.kernel.db import Row
from aerostat.kernel.house import House

from . import model
from .leftovers import leave
from .plans import Plan

if TYPE_CHECKING:
    from .types.resource_type import ResourceType

Write = Callable[[Callable[[Any], Awaitable[object]]], Awaitable[None]]


class MadeTwice(Exception):
    """Another run made the resource too and was first, or nobody wants it any more."""


class Thing:
    """A resource row with its type. `properties` have defaults and the right types; every one is there.

    `data` is the type's own memory: assign keys, they are stored with the next result; `await keep()` stores
    them at once. `await claim(id)` writes down what was made outside.
    """

    def __init__(
        self,
        house: House,
        context: Context,
        stack: Row,
        plan: Plan,
        row: Row,
        kind: "ResourceType",
        properties: Mapping[str, Any],
        write: Write | None = None,
    ) -> None:
        self.house = house
        self.context = context
        self.stack = stack
        self.plan = plan
        self.row = row
        self.kind = kind
        self.properties = dict(properties)
        self.policy: dict[str, Any] = {}  # the resource's update_policy
        self.previous: dict[str, Any] = {}  # properties before an update
        self.data_of_run: dict[str, Any] = {}  # what a type found out and need not ask again
        self._write = write
        self._shown: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """Of the row; things of a stack are told apart by it even where names repeat."""
        return str(self.row.id)

    @property
    def name(self) -> str:
        return str(self.row.name)

    @property
    def physical_name(self) -> str:
        return str(self.row.physical_name)

    @property
    def physical_id(self) -> str | None:
        return self.row.physical_id  # type: ignore[no-any-return]

    @property
    def data(self) -> dict[str, Any]:
        return self.row.data  # type: ignore[no-any-return]

    @property
    def metadata(self) -> dict[str, Any]:
        return self.row.metadata or {}

    @property
    def db(self) -> Any:
        return self.house.store

    @property
    def named(self) -> str:
        """The `name` property, or the name chosen for it."""
        return self.properties.get("name") or self.physical_name

    def client(self, room: str) -> Any:
        """Another room, asked in the name of whoever asked for the stack."""
        return self.house.client(room, self.context)

    async def shown(self) -> dict[str, Any]:
        """What the type knows of it outside, asked once."""
        if self._shown is None:
            self._shown = await self.kind.show(self)
        return self._shown

    async def keep(self) -> None:
        """Store `data`, and the id outside if it is known, now."""
        values = {"physical_id": self.row.physical_id, "data": self.row.data}
        await self._store(lambda tx: tx.update(model.RESOURCES, {"id": self.row.id}, **values))

    async def claim(self, physical_id: str) -> None:
        """Write down now that the resource is this thing outside, with `data`. The first run that does has it.

        Raises `MadeTwice` for every other: what it made is a leftover, and will be deleted.
        """
        self.row.physical_id = physical_id
        values = {"physical_id": physical_id, "data": self.row.data}
        is_first = False

        async def store(tx: Any) -> None:
            nonlocal is_first
            known = await tx.find(model.RESOURCES, id=self.row.id)
            is_first = known is not None and known.physical_id in (None, physical_id)
            if is_first:
                await tx.update(model.RESOURCES, {"id": self.row.id}, **values)
            else:
                await leave(tx, self)

        await self._store(store)
        if not is_first:
            raise MadeTwice

    async def _store(self, write: Callable[[Any], Awaitable[object]]) -> None:
        if self._write is not None:
            await self._write(write)
        else:
            async with self.house.store.transaction() as tx:
                await write(tx)

    async def is_claimed(self, physical_id: str) -> bool:
        """Whether another resource of any stack is this thing outside."""
        rows = await self.house.store.all(model.RESOURCES, {"physical_id": physical_id})
        return any(row.id != self.row.id for row in rows)

    async def find_unclaimed(self, found: Iterable[dict[str, Any]], key: str = "id") -> str | None:
        """Of things outside that look like ours: one that is not older than our wish, and no other resource's."""
        since = self.row.created_at.strftime("%Y-%m-%dT%H:%M:%S")
        for one in found:
            made = one.get("created_at") or one.get("created")
            if (made is None or made[:19] >= since) and not await self.is_claimed(str(one[key])):
                return str(one[key])
        return None
