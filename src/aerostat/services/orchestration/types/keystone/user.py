"""OS::Keystone::User.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Keystone::User
"""

from collections.abc import Mapping
from typing import Any

from ...thing import Thing
from ..identity_thing import DOMAIN, ROLES, IdentityThing, check_roles, set_roles
from ..outside import id_of, unless_gone
from ..property import Attribute, boolean, listing, text


class User(IdentityThing):
    name = "OS::Keystone::User"
    description = "Heat Template Resource for Keystone User."
    kind = "user"
    physical_name_length = 255
    properties = {
        "name": text("Name of keystone user.", update=True),
        "domain": DOMAIN,
        "description": text("Description of keystone user.", default="", update=True),
        "enabled": boolean("Keystone user is enabled or disabled.", default=True, update=True),
        "email": text("Email address of keystone user.", update=True),
        "password": text("Password of keystone user.", update=True, hidden=True),
        "default_project": text("Default project of keystone user.", update=True, custom="keystone.project"),
        "groups": listing(
            "Keystone user groups.", text("Keystone user group.", custom="keystone.group"), update=True
        ),
        "roles": ROLES,
    }
    attributes = {
        "name": Attribute("User name."),
        "default_project_id": Attribute("Default project id for user."),
        "domain_id": Attribute("Domain id for user."),
        "enabled": Attribute("Flag of enable user.", "boolean"),
        "password_expires_at": Attribute("Show user password expiration time."),
    }
    sent = {
        "name": "name",
        "domain": "domain_id",
        "description": "description",
        "enabled": "enabled",
        "email": "email",
        "password": "password",
        "default_project": "default_project_id",
    }
    named_by = {"domain": "domain", "default_project": "project"}

    async def check(self, properties: Mapping[str, Any]) -> None:
        check_roles(properties["roles"])

    async def complete(self, thing: Thing, before: Mapping[str, Any]) -> None:
        identity, user_id = thing.client("identity"), str(thing.physical_id)
        wanted = {str(await id_of(thing, "group", one)) for one in thing.properties["groups"] or ()}
        if wanted or before.get("groups"):
            now = {one["id"] for one in await identity.list_groups_of(user_id)}
            for group_id in wanted - now:
                await identity.add_to_group(group_id, user_id)
            for group_id in now - wanted:
                await unless_gone(identity.remove_from_group(group_id, user_id))
        await set_roles(thing, {"user": user_id}, thing.properties["roles"], before.get("roles"))
