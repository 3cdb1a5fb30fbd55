"""Prefixes for subnets that take theirs out of a subnet pool."""

import ipaddress
from typing import Any

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.http import Request

from .errors import (
    InvalidInput,
    MaxPrefixSubnetAllocationError,
    MinPrefixSubnetAllocationError,
    SubnetAllocationError,
    SubnetPoolNotFound,
    SubnetPoolQuotaExceeded,
    refuse_body,
)
from .model import SUBNET_POOLS, SUBNETS
from .sight import may_use
from .values import Prefix


async def allocate_from_pool(req: Request, tx: Transaction, network: Row, new: dict[str, Any]) -> None:
    """Make sure that `new` has a `cidr`: its own, or one cut from the pool it names. Takes the pool's keys away."""
    length, by_default = new.pop("prefixlen", None), new.pop("use_default_subnetpool", False)
    pool_id = new.setdefault("subnetpool_id", None)
    version = new.get("ip_version")
    if by_default:
        if pool_id is not None:
            raise refuse_body("subnetpool_id and use_default_subnetpool cannot both be specified")
        found = await tx.find(SUBNET_POOLS, is_default=True, ip_version=version or 4)
        if found is None:
            raise refuse_body(f"No default subnetpool found for IPv{version or 4}")
        pool_id = new["subnetpool_id"] = found.id
    if pool_id is None:
        if not new.get("cidr"):
            raise refuse_body("a subnetpool must be specified in the absence of a cidr")
        if length is not None:
            raise refuse_body("prefixlen can only be specified with a subnetpool")
        return
    pool = await _pool(req, tx, pool_id)
    if version is not None and version != pool.ip_version:
        raise InvalidInput(error_message="The requested subnet's ip_version does not match the subnet pool's")
    new["ip_version"] = pool.ip_version
    await tx.lock(f"network.pool.{pool.id}")
    taken = [ipaddress.ip_network(one.cidr) for one in await tx.all(SUBNETS, {"subnetpool_id": pool.id})]
    if new.get("cidr"):
        prefix: Prefix = ipaddress.ip_network(new["cidr"])
        _check_free(pool, taken, prefix)
    else:
        prefix = _next(pool, taken, pool.default_prefixlen if length is None else length)
    await _check_quota(tx, pool, new["project_id"], prefix)
    new["cidr"] = str(prefix)


async def _pool(req: Request, tx: Transaction, pool_id: str) -> Row:
    pool = await may_use(tx, req.context, SUBNET_POOLS, pool_id)
    if pool is None:
        raise SubnetPoolNotFound(id=pool_id)
    return pool


def _check_length(pool: Row, length: int) -> None:
    if length < pool.min_prefixlen:
        raise MinPrefixSubnetAllocationError(prefixlen=length, min_prefixlen=pool.min_prefixlen)
    if length > pool.max_prefixlen:
        raise MaxPrefixSubnetAllocationError(prefixlen=length, max_prefixlen=pool.max_prefixlen)


def _check_free(pool: Row, taken: list[Any], prefix: Any) -> None:
    _check_length(pool, prefix.prefixlen)
    inside = any(
        prefix.version == within.version and prefix.subnet_of(within)
        for within in map(ipaddress.ip_network, pool.prefixes)
    )
    if not inside or any(prefix.overlaps(other) for other in taken):
        raise SubnetAllocationError(
            reason="Cannot allocate requested subnet from the available set of prefixes"
        )


def _next(pool: Row, taken: list[Any], length: int) -> Prefix:
    """The lowest free prefix of this length; what is taken is stepped over, not tried one by one."""
    _check_length(pool, length)
    for text in pool.prefixes:
        within: Any = ipaddress.ip_network(text)
        if length < within.prefixlen:
            continue
        size = 1 << (within.max_prefixlen - length)
        at = int(within.network_address)
        while at <= int(within.broadcast_address):
            candidate: Prefix = type(within)((at, length))
            blocking = [int(other.broadcast_address) for other in taken if candidate.overlaps(other)]
            if not blocking:
                return candidate
            at = max(at + size, (max(blocking) // size + 1) * size)
    raise SubnetAllocationError(reason=f"Insufficient prefix space to allocate subnet size /{length}")


async def _check_quota(tx: Transaction, pool: Row, project_id: str, prefix: Prefix) -> None:
    """A pool's quota counts addresses (IPv4) or /64 prefixes (IPv6) that one project has out of it."""
    if pool.default_quota is None:
        return
    owned = await tx.all(SUBNETS, {"subnetpool_id": pool.id, "project_id": project_id})
    units = [_units(ipaddress.ip_network(one.cidr)) for one in owned]
    if sum(units) + _units(prefix) > pool.default_quota:
        raise SubnetPoolQuotaExceeded()


def _units(prefix: Prefix) -> int:
    return prefix.num_addresses if prefix.version == 4 else max(1, prefix.num_addresses >> 64)
