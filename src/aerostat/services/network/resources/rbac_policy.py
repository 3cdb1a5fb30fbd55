"""RBAC policies: opening one's own network, group, pool or scope to a project, or to all.

https://docs.openstack.org/api-ref/network/v2/#rbac-policies
"""

from typing import Any

from sqlalchemy import Table

from aerostat.kernel.db import Duplicate, Row, Transaction
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Policy, admin, literal, project_member, project_reader

from .. import model, values
from ..errors import InvalidInput, RbacPolicyExists, RbacPolicyInUse, RbacPolicyNotFound
from ..resource import NetworkResource
from ..sight import EVERYBODY, EXTERNAL, SHARED, sees_all

_TABLES: dict[str, tuple[Table, tuple[str, ...]]] = {
    "network": (model.NETWORKS, (SHARED, EXTERNAL)),
    "security_group": (model.SECURITY_GROUPS, (SHARED,)),
    "subnetpool": (model.SUBNET_POOLS, (SHARED,)),
    "address_scope": (model.ADDRESS_SCOPES, (SHARED,)),
}
_USED_BY: dict[tuple[str, str], tuple[tuple[Table, str, str], ...]] = {
    ("network", SHARED): ((model.PORTS, "network_id", "port"),),
    ("network", EXTERNAL): (
        (model.ROUTERS, "gateway_network_id", "router"),
        (model.FLOATING_IPS, "floating_network_id", "floating IP"),
    ),
    ("subnetpool", SHARED): ((model.SUBNETS, "subnetpool_id", "subnet"),),
    ("address_scope", SHARED): ((model.SUBNET_POOLS, "address_scope_id", "subnet pool"),),
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
        if new["object_type"] == "subnetpool":
            await _check_scope(tx, thing, new["target_tenant"])
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
                await _check_unused(tx, row, changes["target_tenant"])
                await tx.update(model.RBAC, {"id": row.id}, **changes)
                await _show(tx, row)
            return await tx.get(model.RBAC, id=row.id)

    async def delete(self, req: Request, row: Row) -> None:
        async with req.db.transaction() as tx:
            await _check_unused(tx, row)
            await tx.delete(model.RBAC, id=row.id)
            await _show(tx, row)


async def _show(tx: Transaction, policy: Row) -> None:
    """Things that are open say so themselves; who sees what has changed, so the thing has a new revision."""
    key = {"object_id": policy.object_id, "action": policy.action}
    if policy.action == SHARED:
        key["target_tenant"] = EVERYBODY
    column = "external" if policy.action == EXTERNAL else "shared"
    table = _TABLES[policy.object_type][0]
    thing = await tx.find(table, id=policy.object_id)
    if thing is not None:
        is_open = bool(await tx.count(model.RBAC, **key))
        number = thing.revision_number + 1
        await tx.update(table, {"id": thing.id}, **{column: is_open}, revision_number=number)


async def _check_scope(tx: Transaction, pool: Row, target: str) -> None:
    """A pool of an address scope is of no use to who may not use the scope."""
    scope = await tx.find(model.ADDRESS_SCOPES, id=pool.address_scope_id) if pool.address_scope_id else None
    if scope is None or scope.project_id == target:
        return
    if not await tx.count(
        model.RBAC, object_id=scope.id, action=SHARED, target_tenant=list({EVERYBODY, target})
    ):
        raise InvalidInput(
            error_message=f"subnetpool {pool.id} is in address scope {scope.id}, which is not shared with {target}"
        )


async def _check_unused(tx: Transaction, policy: Row, instead: str | None = None) -> None:
    """Nobody may lose what he uses: other policies must open it to all who do. `instead` is a new target."""
    thing = await tx.find(_TABLES[policy.object_type][0], id=policy.object_id)
    if thing is None:
        return
    others = await tx.all(model.RBAC, {"object_id": policy.object_id, "action": policy.action})
    kept = {other.target_tenant for other in others if other.id != policy.id} | {
        instead,
        thing.project_id,
        "",
    }
    if EVERYBODY in kept:
        return
    lost = [
        (project_id, user)
        for project_id, user in await _users(tx, policy, thing)
        if project_id not in kept and policy.target_tenant in (EVERYBODY, project_id)
    ]
    if lost:
        details = ", ".join(f"{user} of project {project_id}" for project_id, user in lost[:3])
        raise RbacPolicyInUse(object_id=policy.object_id, details=details)


async def _users(tx: Transaction, policy: Row, thing: Row) -> list[tuple[str, str]]:
    """Project and name of each thing that stands on this one."""
    if policy.object_type == "security_group":
        wearing = await tx.all(model.PORT_GROUPS, {"security_group_id": thing.id})
        rows = await tx.all(model.PORTS, {"id": [one.port_id for one in wearing]})
        return [(row.project_id, f"port {row.id}") for row in rows]
    found: list[tuple[str, str]] = []
    for table, column, kind in _USED_BY[policy.object_type, policy.action]:
        rows = await tx.all(table, {column: thing.id})
        found += [(row.project_id, f"{kind} {row.id}") for row in rows]
    return found
