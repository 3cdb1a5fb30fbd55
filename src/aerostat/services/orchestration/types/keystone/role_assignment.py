"""OS::Keystone::UserRoleAssignment and OS::Keystone::GroupRoleAssignment: roles for who is there already.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Keystone::UserRoleAssignment
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from ...errors import ResourceFailure
from ...thing import Thing
from ..identity_thing import ROLES, check_roles, set_roles
from ..outside import id_of
from ..property import text
from ..resource_type import ResourceType


class RoleAssignment(ResourceType):
    """Granting twice is granting once: nothing needs to be found again."""

    room = "identity"
    who: ClassVar[str] = ""

    async def check(self, properties: Mapping[str, Any]) -> None:
        check_roles(properties["roles"])

    async def create(self, thing: Thing) -> str | None:
        await set_roles(thing, await self._who(thing, thing.properties), thing.properties["roles"], None)
        return thing.id

    async def find_made(self, thing: Thing) -> str | None:
        return thing.id  # whatever was granted is taken back

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        if self.who in changed:
            await self._revoke(thing, thing.previous)
        before = None if self.who in changed else thing.previous["roles"]
        await set_roles(thing, await self._who(thing, thing.properties), thing.properties["roles"], before)

    async def delete(self, thing: Thing) -> None:
        await self._revoke(thing, thing.properties)

    async def _revoke(self, thing: Thing, values: Mapping[str, Any]) -> None:
        try:
            who = await self._who(thing, values)
        except ResourceFailure:
            return  # who is gone has no roles
        await set_roles(thing, who, None, values["roles"])

    async def _who(self, thing: Thing, values: Mapping[str, Any]) -> dict[str, str]:
        return {self.who: str(await id_of(thing, self.who, values[self.who]))}


class UserRoleAssignment(RoleAssignment):
    name = "OS::Keystone::UserRoleAssignment"
    description = "Resource for granting roles to a user."
    who = "user"
    properties = {
        "user": text("Name or id of keystone user.", required=True, update=True, custom="keystone.user"),
        "roles": ROLES,
    }


class GroupRoleAssignment(RoleAssignment):
    name = "OS::Keystone::GroupRoleAssignment"
    description = "Resource for granting roles to a group."
    who = "group"
    properties = {
        "group": text("Name or id of keystone group.", required=True, update=True, custom="keystone.group"),
        "roles": ROLES,
    }
