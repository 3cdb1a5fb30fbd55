"""Address scopes: sets of subnet pools whose prefixes do not overlap.

https://docs.openstack.org/api-ref/network/v2/#address-scopes
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import or_

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Policy, Term, admin, project_member, project_reader
from aerostat.kernel.resource import Conditions

from .. import model, values
from ..errors import AddressScopeInUse, AddressScopeNotFound, AddressScopeUpdateError
from ..resource import NetworkResource
from ..sight import SHARED, granted, open_to_all, sees_all

_MAY_SEE = admin | project_reader | Term("field:address_scopes:shared=True")


class AddressScope(NetworkResource):
    path = "/address-scopes/{id}"
    singular, plural = "address_scope", "address_scopes"
    table = model.ADDRESS_SCOPES
    not_found = AddressScopeNotFound
    standard = ("id", "project_id", "tenant_id")
    policy = Policy(
        "{verb}_address_scope",
        verbs={"list": "get", "show": "get"},
        default=admin | project_member,
        list=_MAY_SEE,
        show=_MAY_SEE,
    )
    attribute_rules = {"create_address_scope:shared": admin, "update_address_scope:shared": admin}
    readers = {"ip_version": values.choice(4, 6)}

    name = Field(str, create="optional", update="optional", length=(0, 255), default="")
    ip_version = Field(int, create="required")
    shared = Field(bool, create="optional", update="optional", default=False)

    def visible(self, req: Request) -> Conditions:
        if sees_all(req.context):
            return []
        scopes = model.ADDRESS_SCOPES.c
        return [or_(scopes.project_id == req.context.project_id, scopes.id.in_(granted(req.context, SHARED)))]

    def target(self, row: Row) -> Mapping[str, Any]:
        return {**row, "shared": True}  # whoever sees a foreign scope was given it

    async def make(self, req: Request, tx: Transaction, new: dict[str, Any]) -> Row:
        row = await tx.insert(model.ADDRESS_SCOPES, **new)
        if row.shared:
            await open_to_all(tx, "address_scope", row, SHARED)
        return row

    async def change(
        self, req: Request, tx: Transaction, row: Row, changes: dict[str, Any]
    ) -> dict[str, Any]:
        if changes.get("shared") is False and row.shared:
            raise AddressScopeUpdateError(id=row.id, reason="Shared address scope can't be unshared")
        if changes.get("shared", row.shared) != row.shared:
            await open_to_all(tx, "address_scope", row, SHARED, is_open=changes["shared"])
        return changes

    async def remove(self, req: Request, tx: Transaction, row: Row) -> None:
        if await tx.count(model.SUBNET_POOLS, address_scope_id=row.id):
            raise AddressScopeInUse(id=row.id)
        await tx.delete(model.RBAC, object_id=row.id)
