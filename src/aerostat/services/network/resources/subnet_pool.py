"""Subnet pools: prefixes out of which subnets take theirs.

https://docs.openstack.org/api-ref/network/v2/#subnet-pools-extension-subnetpools
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

from sqlalchemy import or_

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Policy, Term, admin, project_member, project_reader
from aerostat.kernel.resource import Conditions

from .. import model, values
from ..errors import (
    AddressScopeNotFound,
    AddressScopePrefixConflict,
    EmptySubnetPoolPrefixList,
    IllegalSubnetPoolPrefixBounds,
    IllegalSubnetPoolPrefixUpdate,
    IllegalSubnetPoolUpdate,
    InvalidInput,
    PrefixVersionMismatch,
    SubnetPoolDeleteError,
    SubnetPoolNotFound,
)
from ..resource import NetworkResource
from ..sight import SHARED, granted, may_use, open_to_all, sees_all

_MAY_SEE = admin | project_reader | Term("field:subnetpools:shared=True")
_LOWEST = {4: 8, 6: 64}


def _prefixes(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"'{value}' is not a list")
    found = [ipaddress.ip_network(values.cidr(one)) for one in value]
    if not found:
        raise EmptySubnetPoolPrefixList()
    if len({one.version for one in found}) > 1:
        raise PrefixVersionMismatch()
    return [str(one) for one in ipaddress.collapse_addresses(found)]  # type: ignore[type-var]


def _length(name: str) -> Field:
    """A prefix's length: a number in, a text out, as upstream has it."""
    return Field(
        int,
        create="optional",
        update="optional",
        minimum=0,
        maximum=128,
        compute=lambda row, req: str(row[name]),
    )


class SubnetPool(NetworkResource):
    singular, plural = "subnetpool", "subnetpools"
    table = model.SUBNET_POOLS
    not_found = SubnetPoolNotFound
    quota = "subnetpool"
    policy = Policy(
        "{verb}_subnetpool",
        verbs={"list": "get", "show": "get"},
        default=admin | project_member,
        list=_MAY_SEE,
        show=_MAY_SEE,
    )
    attribute_rules = {
        "create_subnetpool:shared": admin,
        "create_subnetpool:is_default": admin,
        "update_subnetpool:is_default": admin,
    }
    readers = {"prefixes": _prefixes, "address_scope_id": values.uuid_or_none, "tags": values.tags}

    name = Field(str, create="required", update="optional", length=(0, 255))
    prefixes = Field(list, create="required", update="optional")
    ip_version = Field(int)
    min_prefixlen = _length("min_prefixlen")
    max_prefixlen = _length("max_prefixlen")
    default_prefixlen = _length("default_prefixlen")
    default_quota = Field(int, create="optional", update="optional", nullable=True, minimum=0)
    shared = Field(bool, create="optional", default=False)
    is_default = Field(bool, create="optional", update="optional", default=False)
    address_scope_id = Field(str, create="optional", update="optional", nullable=True, default=None)

    def visible(self, req: Request) -> Conditions:
        if sees_all(req.context):
            return []
        pools = model.SUBNET_POOLS.c
        return [or_(pools.project_id == req.context.project_id, pools.id.in_(granted(req.context, SHARED)))]

    def target(self, row: Row) -> Mapping[str, Any]:
        return {**row, "shared": True}  # whoever sees a foreign pool was given it

    async def make(self, req: Request, tx: Transaction, new: dict[str, Any]) -> Row:
        version = new["ip_version"] = ipaddress.ip_network(new["prefixes"][0]).version
        new.setdefault("min_prefixlen", _LOWEST[version])
        new.setdefault("max_prefixlen", 32 if version == 4 else 128)
        new.setdefault("default_prefixlen", new["min_prefixlen"])
        _check_bounds(new)
        await self._check_default(tx, new, None)
        await self._check_scope(req, tx, new, None)
        row = await tx.insert(model.SUBNET_POOLS, **new)
        if row.shared:
            await open_to_all(tx, "subnetpool", row, SHARED)
        return row

    async def change(
        self, req: Request, tx: Transaction, row: Row, changes: dict[str, Any]
    ) -> dict[str, Any]:
        new = {**row, **changes}
        if "prefixes" in changes:
            _check_wider(row.prefixes, changes["prefixes"])
        _check_bounds(new)
        if changes.get("is_default"):
            await self._check_default(tx, new, row.id)
        if {"prefixes", "address_scope_id"} & set(changes):
            await self._check_scope(req, tx, new, row.id)
        return changes

    async def remove(self, req: Request, tx: Transaction, row: Row) -> None:
        if await tx.count(model.SUBNETS, subnetpool_id=row.id):
            raise SubnetPoolDeleteError(reason="Subnet pool has existing allocations")
        await tx.delete(model.RBAC, object_id=row.id)

    async def _check_default(self, tx: Transaction, new: Mapping[str, Any], own_id: str | None) -> None:
        if not new["is_default"]:
            return
        other = await tx.find(model.SUBNET_POOLS, is_default=True, ip_version=new["ip_version"])
        if other is not None and other.id != own_id:
            version = new["ip_version"]
            raise InvalidInput(
                error_message=f"A default subnetpool for IPv{version} has already been set. {other.id}"
            )

    async def _check_scope(
        self, req: Request, tx: Transaction, new: Mapping[str, Any], own_id: str | None
    ) -> None:
        """Within an address scope every prefix is there once."""
        scope_id = new["address_scope_id"]
        if scope_id is None:
            return
        scope = await may_use(tx, req.context, model.ADDRESS_SCOPES, scope_id)
        if scope is None:
            raise AddressScopeNotFound(id=scope_id)
        if own_id and scope.project_id != req.context.project_id and not sees_all(req.context):
            raise IllegalSubnetPoolUpdate(reason=f"address scope {scope_id} belongs to another project")
        if scope.ip_version != new["ip_version"]:
            raise InvalidInput(error_message=f"address scope {scope_id} is of IPv{scope.ip_version}")
        own: list[Any] = [ipaddress.ip_network(one) for one in new["prefixes"]]
        for pool in await tx.all(model.SUBNET_POOLS, {"address_scope_id": scope_id}):
            theirs = [ipaddress.ip_network(one) for one in pool.prefixes]
            if pool.id != own_id and any(one.overlaps(other) for one in own for other in theirs):
                raise AddressScopePrefixConflict()


def _check_bounds(new: Mapping[str, Any]) -> None:
    longest = 32 if new["ip_version"] == 4 else 128
    for low, high in (
        ("min_prefixlen", "max_prefixlen"),
        ("min_prefixlen", "default_prefixlen"),
        ("default_prefixlen", "max_prefixlen"),
    ):
        if new[low] > new[high]:
            raise IllegalSubnetPoolPrefixBounds(
                prefix_type=high, prefixlen=new[high], base_prefix_type=low, base_prefixlen=new[low]
            )
    if new["max_prefixlen"] > longest:
        raise IllegalSubnetPoolPrefixBounds(
            prefix_type="max_prefixlen",
            prefixlen=new["max_prefixlen"],
            base_prefix_type="ip_version_max",
            base_prefixlen=longest,
        )


def _check_wider(before: list[str], after: list[str]) -> None:
    wide: list[Any] = [ipaddress.ip_network(one) for one in after]
    old: list[Any] = [ipaddress.ip_network(one) for one in before]
    if not all(any(one.version == other.version and one.subnet_of(other) for other in wide) for one in old):
        raise IllegalSubnetPoolPrefixUpdate(msg="Existing prefixes must be a subset of the new prefixes")
