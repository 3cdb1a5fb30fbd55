"""What types of OS::Keystone have in common: a thing of identity with a name, made and changed by its attributes."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..errors import ResourceFailure, StackValidationFailed
from ..thing import Thing
from .outside import id_of, unless_gone
from .property import Property, listing, mapping, text
from .resource_type import ResourceType

NAME_LENGTH = 64

ROLES = listing(
    "List of role assignments.",
    mapping(
        "Map between role with either project or domain.",
        {
            "role": text("Keystone role.", required=True, custom="keystone.role"),
            "project": text("Keystone project.", custom="keystone.project"),
            "domain": text("Keystone domain.", custom="keystone.domain"),
        },
    ),
    update=True,
)

DOMAIN: Property = text(
    "Name or id of keystone domain.", default="default", update=True, custom="keystone.domain"
)


class IdentityThing(ResourceType):
    """Types name their kind, and the attribute of identity that each of their properties is."""

    room = "identity"
    physical_name_length = NAME_LENGTH
    kind: ClassVar[str] = ""
    sent: ClassVar[Mapping[str, str]] = {}  # property → attribute
    named_by: ClassVar[Mapping[str, str]] = {}  # property → what it names, by name or id

    async def attributes_of(self, thing: Thing, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of properties as identity takes them."""
        body: dict[str, Any] = {}
        for name, attribute in self.sent.items():
            if name not in values:
                continue
            value = values[name]
            if name == "name":
                value = value or thing.physical_name
            elif name in self.named_by:
                value = await id_of(thing, self.named_by[name], value)
            body[attribute] = value
        return body

    async def create(self, thing: Thing) -> str | None:
        body = await self.attributes_of(thing, thing.properties)
        body = {name: value for name, value in body.items() if value is not None}
        return str((await thing.client("identity").create(self.kind, **body))["id"])

    async def complete(self, thing: Thing, before: Mapping[str, Any]) -> None:
        """What is made besides; `before` are the properties that were in force. May run twice."""

    async def find_made(self, thing: Thing) -> str | None:
        found = await thing.client("identity").list_of(self.kind, name=thing.named)
        return await thing.find_unclaimed(found)

    async def is_created(self, thing: Thing) -> bool:
        await self.complete(thing, {})  # its id is stored by now: a run that dies in here begins here again
        return True

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        if body := await self.attributes_of(thing, changed):
            await thing.client("identity").update(self.kind, thing.physical_id, **body)
        await self.complete(thing, thing.previous)

    async def delete(self, thing: Thing) -> None:
        await unless_gone(self._remove(thing))

    async def _remove(self, thing: Thing) -> None:
        identity = thing.client("identity")
        if self.kind == "domain":  # only what is switched off may be deleted
            await identity.update("domain", thing.physical_id, enabled=False)
        await identity.delete(self.kind, thing.physical_id)

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("identity").get(self.kind, thing.physical_id))


def check_roles(roles: Sequence[Mapping[str, Any]] | None) -> None:
    """Raises `StackValidationFailed`."""
    for one in roles or ():
        if one["project"] and one["domain"]:
            raise StackValidationFailed(
                "Cannot define the following properties at the same time: project, domain."
            )
        if not one["project"] and not one["domain"]:
            raise StackValidationFailed(f"Either project or domain must be specified for role {one['role']}")


async def set_roles(
    thing: Thing, who: Mapping[str, str], wanted: Sequence[Any] | None, before: Sequence[Any] | None
) -> None:
    """Grant what is wanted, take back what was and is not. `who` is `{"user": id}` or `{"group": id}`."""
    identity = thing.client("identity")
    new, old = await _resolved(thing, wanted), await _resolved(thing, before, lost_is_fine=True)
    for role, where in new:
        await identity.grant(role, **dict([where]), **who)
    for role, where in old:
        if (role, where) not in new:
            await unless_gone(identity.revoke(role, **dict([where]), **who))


async def _resolved(
    thing: Thing, roles: Sequence[Any] | None, *, lost_is_fine: bool = False
) -> list[tuple[str, tuple[str, str]]]:
    found: list[tuple[str, tuple[str, str]]] = []
    for one in roles or ():
        where = "project" if one["project"] else "domain"
        try:
            role, place = await id_of(thing, "role", one["role"]), await id_of(thing, where, one[where])
        except ResourceFailure:
            if not lost_is_fine:
                raise
            continue  # gone, and the grant with it
        found.append((str(role), (where, str(place))))
    return found
