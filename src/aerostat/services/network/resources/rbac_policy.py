"""RBAC policies: opening one's own network, group, pool or scope to a project, or to all.

https://docs.openstack.org/api-ref/network/v2/#rbac-policies
"""

from typing import Any

from sqlalchemy import Table, select

from aerostat.kernel.db import Duplicate, Row, Transaction
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Policy, admin, literal, project_member, project_reader

from .. import model, values
from ..errors import InvalidInput, RbacPolicyExists, RbacPolicyInUse, RbacPolicyNotFound, refuse_body
from ..ports import GATEWAY
from ..resource import NetworkResource
from ..sight import EVERYBODY, EXTERNAL, SHARED, sees_all

_TABLES: dict[str, tuple[Table, tuple[str, ...]]] = {
    "network": (model.NETWORKS, (SHARED, EXTERNAL)),
    "security_group": (model.SECURITY_GROUPS, (SHARED,)),
    "subnetpool": (model.SUBNET_POOLS, (SHARED,)),
    "address_scope": (model.ADDRESS_SCOPES, (SHARED,)),
}
_NOT_EVERYBODY = ~literal(EVERYBODY, "target_tenant")


class RbacPolicy(NetworkResource):
    path = "/rbac-policies/{id}"
    singular, plural = "rbac_policy", "rbac_policies"
    table = model.RBAC
    not_found = RbacPolicyNotFound
    quota = "rbac_policy"
    standard = ("id", "project_id", "tenant_id")
    policy = Policy(
        "{verb}_rbac_policy",
        verbs={"list": "get", "show": "get"},
        default=admin | project_member,
        list=admin | project_reader,
        show=admin | project_reader,
    )
    attribute_rules = {
        "create_rbac_policy:target_tenant": admin | _NOT_EVERYBODY,
        "update_rbac_policy:target_tenant": admin | _NOT_EVERYBODY,
    }
    readers = {"object_type": values.choice(*_TABLES), "object_id": values.uuid}

    object_type = Field(str, create="required")
    object_id = Field(str, create="required")
    action = Field(str, create="required", length=(1, 255))
    target_tenant = Field(str, create="required", update="optional", length=(1, 255))

    def missing(self, id: str) -> RbacPolicyNotFound:
        return RbacPolicyNotFound(id=id, object_type=None)

    async def make(self, req: Request, tx: Transaction, new: dict[str, Any]) -> Row:
        table, actions = _TABLES[new["object_type"]]
        if new["action"] not in actions:
            raise InvalidInput(
                error_message=f"Invalid action '{new['action']}' for object type '{new['object_type']}'. "
                f"Valid actions: {', '.join(actions)}"
            )
        thing = await tx.find(table, id=new["object_id"])
        if thing is None:
            raise self.missing(new["object_id"])
        if thing.project_id != req.context.project_id and not sees_all(req.context):
            raise InvalidInput(error_message="Only admins can manipulate policies on objects they do not own")
        if new["action"] == EXTERNAL and not sees_all(req.context):
            raise refuse_body("Only admins can manipulate policies on networks they do not own")
        try:
            row = await tx.insert(model.RBAC, **new)
        except Duplicate as error:
            raise RbacPolicyExists() from error
        await _show(tx, row)
        return row

    async def update(self, req: Request, row: Row, changes: dict[str, Any]) -> Row:
        await self._check_attributes(req, "update", changes, {**row, **changes})
        async with req.db.transaction() as tx:
            if changes.get("target_tenant", row.target_tenant) != row.target_tenant:
                await _check_unused(tx, row)
                await tx.update(model.RBAC, {"id": row.id}, **changes)
                await _show(tx, row)
            return await tx.get(model.RBAC, id=row.id)

    async def delete(self, req: Request, row: Row) -> None:
        async with req.db.transaction() as tx:
            await _check_unused(tx, row)
            await tx.delete(model.RBAC, id=row.id)
            await _show(tx, row)


async def _show(tx: Transaction, policy: Row) -> None:
    """Things that are open to everybody say so themselves."""
    key = {"object_id": policy.object_id, "action": policy.action, "target_tenant": EVERYBODY}
    column = "external" if policy.action == EXTERNAL else "shared"
    is_open = bool(await tx.count(model.RBAC, **key))
    await tx.update(_TABLES[policy.object_type][0], {"id": policy.object_id}, **{column: is_open})


async def _check_unused(tx: Transaction, policy: Row) -> None:
    """Whoever uses the thing by this policy alone keeps it."""
    details = await _users(tx, policy)
    if details:
        raise RbacPolicyInUse(object_id=policy.object_id, details=details)


async def _users(tx: Transaction, policy: Row) -> str:
    ports = model.PORTS.c
    thing = await tx.find(_TABLES[policy.object_type][0], id=policy.object_id)
    if thing is None:
        return ""
    if policy.object_type == "network" and policy.action == SHARED:
        users = select(ports.id).where(
            ports.network_id == thing.id, ports.project_id.notin_(("", thing.project_id))
        )
    elif policy.object_type == "network":
        users = select(ports.id).where(ports.network_id == thing.id, ports.device_owner == GATEWAY)
    elif policy.object_type == "security_group":
        wearing = select(model.PORT_GROUPS.c.port_id).where(model.PORT_GROUPS.c.security_group_id == thing.id)
        users = select(ports.id).where(ports.id.in_(wearing), ports.project_id != thing.project_id)
    else:
        return ""
    if policy.target_tenant != EVERYBODY and policy.action == SHARED:
        users = users.where(ports.project_id == policy.target_tenant)
    found = await tx.fetch(users.limit(3))
    return ", ".join(f"port {row.id}" for row in found)
