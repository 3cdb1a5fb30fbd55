"""OS::Neutron::RBACPolicy: a thing of one project that another may use.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Neutron::RBACPolicy
"""

from collections.abc import Mapping
from typing import Any

from ...errors import StackValidationFailed
from ...thing import Thing
from ..outside import given, id_of, unless_gone
from ..property import text
from ..resource_type import ResourceType

_ACTIONS = {"network": ("access_as_shared", "access_as_external"), "qos_policy": ("access_as_shared",)}


class RBACPolicy(ResourceType):
    name = "OS::Neutron::RBACPolicy"
    description = "A Resource for managing RBAC policy in Neutron."
    room = "network"
    properties = {
        "object_type": text("Type of the object that RBAC policy affects.", required=True),
        "target_tenant": text(
            "ID of the tenant to which the RBAC policy will be enforced.", required=True, update=True
        ),
        "action": text("Action for the RBAC policy.", required=True),
        "object_id": text("ID or name of the RBAC object.", required=True),
        "tenant_id": text(
            "The owner tenant ID. Only required if the caller has an administrative role and wants to create a RBAC"
            " for another tenant."
        ),
    }

    async def check(self, properties: Mapping[str, Any]) -> None:
        kind, action = properties["object_type"], properties["action"]
        if kind not in _ACTIONS:
            raise StackValidationFailed(f"Invalid object_type: {kind}. Valid object_type :{list(_ACTIONS)}")
        if action not in _ACTIONS[kind]:
            raise StackValidationFailed(
                f"Invalid action {action} for object type {kind}. Valid actions :{list(_ACTIONS[kind])}"
            )

    async def create(self, thing: Thing) -> str | None:
        body = given(thing.properties, "object_type", "target_tenant", "action", "tenant_id")
        body["object_id"] = await self._object(thing)
        return str((await thing.client("network").create_rbac_policy(**body))["id"])

    async def find_made(self, thing: Thing) -> str | None:
        """There is one policy for an object, an action and a project."""
        query = given(thing.properties, "object_type", "target_tenant", "action")
        found = await thing.client("network").list_rbac_policies(object_id=await self._object(thing), **query)
        return await thing.find_unclaimed(found)

    async def update(self, thing: Thing, changed: Mapping[str, Any]) -> None:
        await thing.client("network").update_rbac_policy(thing.physical_id, **changed)

    async def delete(self, thing: Thing) -> None:
        await unless_gone(thing.client("network").delete_rbac_policy(thing.physical_id))

    async def check_health(self, thing: Thing) -> None:
        await self.show(thing)

    async def show(self, thing: Thing) -> dict[str, Any]:
        return dict(await thing.client("network").get_rbac_policy(thing.physical_id))

    async def _object(self, thing: Thing) -> str | None:
        values = thing.properties
        if values["object_type"] == "network":
            return await id_of(thing, "network", values["object_id"])
        return str(values["object_id"])
