"""OS::Keystone::Group.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Keystone::Group
"""

from collections.abc import Mapping
from typing import Any

from ...thing import Thing
from ..identity_thing import DOMAIN, ROLES, IdentityThing, check_roles, set_roles
from ..property import text


class Group(IdentityThing):
    name = "OS::Keystone::Group"
    description = "Heat Template Resource for Keystone Group."
    kind = "group"
    properties = {
        "name": text("Name of keystone group.", update=True),
        "domain": DOMAIN,
        "description": text("Description of keystone group.", default="", update=True),
        "roles": ROLES,
    }
    sent = {"name": "name", "domain": "domain_id", "description": "description"}
    named_by = {"domain": "domain"}

    async def check(self, properties: Mapping[str, Any]) -> None:
        check_roles(properties["roles"])

    async def complete(self, thing: Thing, before: Mapping[str, Any]) -> None:
        await set_roles(
            thing, {"group": str(thing.physical_id)}, thing.properties["roles"], before.get("roles")
        )
