"""Quotas as resources: how much of a room's things a project may have. For administrators.

Deleting one lets the project have the usual limits again; there is one such resource for a project, or they fight.
"""

from collections.abc import Mapping
from typing import Any

from ..errors import StackValidationFailed
from ..thing import Thing
from .outside import id_of, unless_gone
from .property import Property, integer, text
from .resource_type import ResourceType

PROJECT = text("Name or id of the project to set the quota for.", required=True, custom="keystone.project")


def limit(what: str, unlimited: str = "Setting -1 means unlimited.") -> Property:
    return integer(f"Quota for the {what}. {unlimited}", between=(-1, None), update=True)


class Quota(ResourceType):
    """Setting the same limits twice is no harm, so nothing needs to be found again but the wish itself."""

    async def check(self, properties: Mapping[str, Any]) -> None:
        if all(value is None for name, value in properties.items() if name != "project"):
            names = ", ".join(sorted(set(properties) - {"project"}))
            raise StackValidationFailed(
                f"At least one of the following properties must be specified: {names}."
            )

    async def create(self, thing: Thing) -> str | None:
        await self._set(thing, thing.properties)
        return thing.physical_name

    async def find_made(self, thing: Thing) -> str | None:
        return thing.physical_name  # whatever was set is taken back

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        await self._set(thing, thing.properties)

    async def delete(self, thing: Thing) -> None:
        project = await id_of(thing, "project", thing.properties["project"])
        await unless_gone(thing.client(str(self.room)).reset_quota(project))

    async def _set(self, thing: Thing, values: Mapping[str, Any]) -> None:
        limits = {name: value for name, value in values.items() if name != "project" and value is not None}
        project = await id_of(thing, "project", values["project"])
        await thing.client(str(self.room)).set_quota(project, **limits)
