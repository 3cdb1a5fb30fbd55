"""Security groups: sets of rules that ports wear.

https://docs.openstack.org/api-ref/network/v2/#security-groups-security-groups
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import or_

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Policy, Term, admin, project_member, project_reader
from aerostat.kernel.resource import Conditions, Rows

from .. import model, values
from ..changes import touch
from ..default_group import NAME, add_egress_rules, ensure_default_group, ensure_in
from ..errors import (
    SecurityGroupCannotRemoveDefault,
    SecurityGroupCannotUpdateDefault,
    SecurityGroupDefaultAlreadyExists,
    SecurityGroupInUse,
    SecurityGroupNotFound,
)
from ..quotas import QUOTAS
from ..resource import NetworkResource
from ..sight import SHARED, granted, sees_all
from .security_group_rule import SecurityGroupRule

_MAY_SEE = admin | project_reader | Term("field:security_groups:shared=True")


class SecurityGroup(NetworkResource):
    path = "/security-groups/{id}"
    singular, plural = "security_group", "security_groups"
    table = model.SECURITY_GROUPS
    not_found = SecurityGroupNotFound
    quota = "security_group"
    policy = Policy(
        "{verb}_security_group",
        verbs={"list": "get", "show": "get"},
        default=admin | project_member,
        list=_MAY_SEE,
        show=_MAY_SEE,
    )
    readers = {"tags": values.tags}

    name = Field(str, create="optional", update="optional", length=(0, 255), default="")
    stateful = Field(bool, create="optional", update="optional", default=True)
    shared = Field(bool)
    security_group_rules = Field(list, compute=lambda row, req: row.rules)

    def visible(self, req: Request) -> Conditions:
        if sees_all(req.context):
            return []
        groups = model.SECURITY_GROUPS.c
        return [or_(groups.project_id == req.context.project_id, groups.id.in_(granted(req.context, SHARED)))]

    def target(self, row: Row) -> Mapping[str, Any]:
        return {**row, "shared": True}  # whoever sees a foreign group was given it

    async def list(self, req: Request) -> Any:
        await ensure_in(req.db, req.context.project_id)
        return await super().list(req)

    async def make(self, req: Request, tx: Transaction, new: dict[str, Any]) -> Row:
        if new["name"] == NAME:
            raise SecurityGroupDefaultAlreadyExists()
        await ensure_default_group(tx, new["project_id"])
        await QUOTAS.check(tx, new["project_id"], {"security_group_rule": 2})
        row = await tx.insert(model.SECURITY_GROUPS, **new)
        await add_egress_rules(tx, row)
        await touch(tx, "security_group", row.id)
        return row

    async def change(
        self, req: Request, tx: Transaction, row: Row, changes: dict[str, Any]
    ) -> dict[str, Any]:
        name = changes.get("name", row.name)
        if row.default_for is not None and name != row.name:
            raise SecurityGroupCannotUpdateDefault()
        if row.default_for is None and name == NAME:
            raise SecurityGroupDefaultAlreadyExists()
        turns = changes.get("stateful", row.stateful) != row.stateful
        if turns and await tx.count(model.PORT_GROUPS, security_group_id=row.id):
            raise SecurityGroupInUse(row.id)
        await touch(tx, "security_group", row.id)
        return changes

    async def remove(self, req: Request, tx: Transaction, row: Row) -> None:
        if row.default_for is not None and not req.context.is_admin:
            raise SecurityGroupCannotRemoveDefault()
        if await tx.count(model.PORT_GROUPS, security_group_id=row.id):
            raise SecurityGroupInUse(row.id)
        used_by = await tx.all(model.SECURITY_GROUP_RULES, {"remote_group_id": row.id})
        await tx.delete(model.SECURITY_GROUP_RULES, security_group_id=row.id)
        await tx.delete(model.SECURITY_GROUP_RULES, remote_group_id=row.id)
        await tx.delete(model.RBAC, object_id=row.id)
        await touch(tx, "security_group", row.id, *{rule.security_group_id for rule in used_by} - {row.id})

    async def prepare(self, req: Request, rows: Rows) -> None:
        """The rules of all of them, in one query."""
        by_id = {row.id: row for row in rows}
        for row in rows:
            row["rules"] = []
        if not rows:
            return
        views: SecurityGroupRule = self.service.resource(SecurityGroupRule)
        found = await req.db.all(
            model.SECURITY_GROUP_RULES, {"security_group_id": list(by_id)}, order="created_at"
        )
        for rule in found:
            by_id[rule.security_group_id]["rules"].append(views.whole_view(req, rule))
