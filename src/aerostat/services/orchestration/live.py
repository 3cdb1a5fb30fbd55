"""`LiveStack`: what functions of a template learn about the stack's resources.

The template engine asks synchronously. What is not known yet is noted, fetched, and the engine asked again:
so nothing is fetched that no function wants, and paths that are worked out late are found as well.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aerostat.kernel.client import RoomError
from aerostat.kernel.log import get_logger

from .errors import ResourceFailure
from .states import status_of
from .template import Blueprint, TemplateError
from .thing import Thing

log = get_logger(__name__)

_UNKNOWN = object()
_Key = tuple[str, str | None, tuple[str | int, ...]]


class LiveStack:
    """The things of one stack by name; those that are made are spoken of, the others are None."""

    def __init__(
        self,
        blueprint: Blueprint,
        things: Mapping[str, Thing],
        facade: Mapping[str, Any] | None = None,
        zones: Sequence[str] = ("nova",),
    ) -> None:
        self._blueprint = blueprint
        self._things = things
        self._facade = facade or {}
        self._zones = zones
        self._values: dict[_Key, Any] = {}
        self._wanted: dict[_Key, Thing] = {}

    async def resolve(self, snippet: Any) -> Any:
        """The snippet's value with everything fetched that it asks for."""
        while True:
            value = self._blueprint.resolve(snippet, self)
            if not self._wanted:
                return value
            wanted, self._wanted = self._wanted, {}
            for key, thing in wanted.items():
                self._values[key] = await _fetch(thing, key[1], key[2])

    def forget(self, thing: Thing) -> None:
        """What was fetched of it may have changed."""
        self._values = {key: value for key, value in self._values.items() if key[0] != thing.id}

    def reference_id(self, resource: str) -> Any:
        thing = self._things.get(resource)
        return thing.kind.reference(thing) if thing is not None and _is_made(thing) else None

    def attribute(self, resource: str, name: str | None, path: Sequence[str | int]) -> Any:
        thing = self._things.get(resource)
        if thing is None or not _is_made(thing):
            return None
        key = (thing.id, name, tuple(path))
        value = self._values.get(key, _UNKNOWN)
        if value is _UNKNOWN:
            self._wanted[key] = thing
            return None
        return value

    def facade(self, kind: str) -> Any:
        return self._facade.get(kind)

    def zones(self) -> list[str]:
        return list(self._zones)


async def read_attribute(thing: Thing, name: str, path: Sequence[str | int] = ()) -> Any:
    """One attribute of a thing that is made; None when it cannot be had. Raises `TemplateError`."""
    try:
        return await thing.kind.attribute(thing, name, path)
    except (RoomError, ResourceFailure, LookupError, TypeError, ValueError) as error:
        log.info("attribute.none", resource=thing.name, attribute=name, reason=str(error))
        return None


async def read_or_none(thing: Thing, name: str) -> Any:
    """The same for those who only look: None as well for an output that contradicts itself."""
    try:
        return await read_attribute(thing, name)
    except TemplateError:
        return None


async def _fetch(thing: Thing, name: str | None, path: tuple[str | int, ...]) -> Any:
    if name is not None:
        return await read_attribute(thing, name, path)
    return {one: await read_attribute(thing, one) for one in thing.kind.attributes}


def _is_made(thing: Thing) -> bool:
    """Whether it came to be: things that failed to change, or are being changed, still stand."""
    state = thing.row.state
    if state.startswith(("INIT", "DELETE")):
        return False
    return not state.startswith("CREATE") or status_of(state) == "COMPLETE"
