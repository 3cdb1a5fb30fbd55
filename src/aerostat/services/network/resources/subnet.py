"""Subnets: address ranges of a network, and what their guests are told.

https://docs.openstack.org/api-ref/network/v2/#subnets
"""

import ipaddress
import itertools
from collections.abc import Mapping
from typing import Any

from sqlalchemy import or_, select

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Policy, Term, admin, project_member, project_reader
from aerostat.kernel.resource import Conditions

from .. import model, values
from ..addresses import add_automatic, is_automatic
from ..changes import touch, touch_ports
from ..config import NetworkConfig
from ..errors import (
    DNSNameServersExhausted,
    GatewayConflictWithAllocationPools,
    GatewayIpInUse,
    HostRoutesExhausted,
    InvalidAllocationPool,
    InvalidInput,
    NetworkNotFound,
    OutOfBoundsAllocationPool,
    OverlappingAllocationPools,
    SubnetInUse,
    SubnetNotFound,
)
from ..least_mtu import check_mtu
from ..ports import AUTOMATIC_OWNERS, GATEWAY, INTERFACE, fit_metadata_port
from ..resource import NetworkResource
from ..sight import EVERYBODY, SHARED, granted, sees_all, visible_networks
from ..subnet_allocation import allocate_from_pool
from ..values import Prefix

_NET_OWNER = admin | (Term("role:member") & Term("tenant_id:%(network:tenant_id)s"))
_MAY_SEE = admin | project_reader | Term("field:subnets:shared=True")
_MODES = ("slaac", "dhcpv6-stateful", "dhcpv6-stateless")


class Subnet(NetworkResource):
    singular, plural = "subnet", "subnets"
    table = model.SUBNETS
    not_found = SubnetNotFound
    quota = "subnet"
    odd_filters = frozenset({"shared"})
    policy = Policy(
        "{verb}_subnet",
        verbs={"list": "get", "show": "get"},
        default=admin | project_member | _NET_OWNER,
        list=_MAY_SEE,
        show=_MAY_SEE,
    )
    attribute_rules = {
        "create_subnet:service_types": admin | project_member | _NET_OWNER,
        "update_subnet:service_types": admin | project_member | _NET_OWNER,
    }
    readers = {
        "network_id": values.uuid,
        "cidr": values.cidr_or_none,
        "gateway_ip": values.ip_or_none,
        "allocation_pools": lambda value: None if value is None else values.pools(value),
        "dns_nameservers": values.nameservers,
        "host_routes": values.routes,
        "subnetpool_id": values.uuid_or_none,
        "ip_version": values.choice(4, 6),
        "ipv6_address_mode": values.choice(*_MODES, None),
        "ipv6_ra_mode": values.choice(*_MODES, None),
        "tags": values.tags,
    }

    name = Field(str, create="optional", update="optional", length=(0, 255), default="")
    network_id = Field(str, create="required")
    ip_version = Field(int, create="optional")
    cidr = Field(str, create="optional", nullable=True)
    gateway_ip = Field(str, create="optional", update="optional", nullable=True)
    enable_dhcp = Field(bool, create="optional", update="optional", default=True)
    allocation_pools = Field(list, create="optional", update="optional", nullable=True)
    dns_nameservers = Field(list, create="optional", update="optional", nullable=True, default=list)
    host_routes = Field(list, create="optional", update="optional", nullable=True, default=list)
    service_types = Field(list, create="optional", update="optional", default=list)
    dns_publish_fixed_ip = Field(bool, create="optional", update="optional", default=False)
    ipv6_address_mode = Field(str, create="optional", nullable=True)
    ipv6_ra_mode = Field(str, create="optional", nullable=True)
    subnetpool_id = Field(str, create="optional", nullable=True)
    prefixlen = Field(int, create="optional", show=False, stored=False)
    use_default_subnetpool = Field(bool, create="optional", show=False, stored=False, default=False)

    def visible(self, req: Request) -> Conditions:
        if sees_all(req.context):
            return []
        subnets = model.SUBNETS.c
        return [
            or_(
                subnets.project_id == req.context.project_id,
                subnets.network_id.in_(granted(req.context, SHARED)),
                subnets.network_id.in_(
                    select(model.NETWORKS.c.id).where(model.NETWORKS.c.project_id == req.context.project_id)
                ),
            )
        ]

    def filters(self, req: Request) -> Conditions:
        conditions = super().filters(req)
        if "shared" in req.query:
            shared = select(model.RBAC.c.object_id).where(
                model.RBAC.c.action == SHARED, model.RBAC.c.target_tenant == EVERYBODY
            )
            network_id = model.SUBNETS.c.network_id
            conditions.append(network_id.in_(shared) if req.flag("shared") else network_id.notin_(shared))
        return conditions

    def target(self, row: Row) -> Mapping[str, Any]:
        # Whoever sees a foreign subnet sees it because its network is shared, or his own.
        return {**row, "shared": True, "network:tenant_id": row.get("network_owner", "")}

    async def find(self, req: Request, id: str) -> Row:
        row = await super().find(req, id)
        network = await req.db.find(model.NETWORKS, id=row.network_id)
        row["network_owner"] = network.project_id if network else ""
        return row

    async def make(self, req: Request, tx: Transaction, new: dict[str, Any]) -> Row:
        settings = req.house.config.section(NetworkConfig)
        network = await self._network(req, tx, new["network_id"])
        if new["project_id"] != network.project_id and not sees_all(req.context):
            raise NetworkNotFound(id=network.id)
        gateway_given = "gateway_ip" in new
        pools = new.pop("allocation_pools", None)
        await tx.lock(f"network.subnets.{network.id}")
        await allocate_from_pool(req, tx, network, new)
        prefix = ipaddress.ip_network(new["cidr"])
        self._check_version(new, prefix)
        check_mtu(network.id, network.mtu, prefix.version)
        _check_modes(new, prefix)
        _check_prefix(prefix, new["enable_dhcp"])
        await self._check_overlap(tx, network, prefix)
        if not gateway_given:
            new["gateway_ip"] = str(prefix[1]) if prefix.num_addresses > 1 else str(prefix[0])
        _check_gateway(prefix, new["gateway_ip"])
        if pools is None:
            new["allocation_pools"] = whole_range(prefix, new["gateway_ip"])
        else:
            new["allocation_pools"] = check_pools(prefix, pools)
            _check_gateway_outside(new["gateway_ip"], pools)
        self._check_limits(settings, new, "new subnet", prefix)
        row = await tx.insert(model.SUBNETS, **new)
        await touch(tx, "subnet", row.id)
        if row.enable_dhcp and row.ip_version == 4:
            await fit_metadata_port(tx, network.id)
        elif is_automatic(row):
            await self._spread(tx, network, row)
        await self._revise_network(tx, network.id)
        return row

    async def change(
        self, req: Request, tx: Transaction, row: Row, changes: dict[str, Any]
    ) -> dict[str, Any]:
        settings = req.house.config.section(NetworkConfig)
        prefix = ipaddress.ip_network(row.cidr)
        new = {**row, **changes}
        if "gateway_ip" in changes and changes["gateway_ip"] != row.gateway_ip:
            _check_gateway(prefix, new["gateway_ip"])
            if row.gateway_ip:
                await self._check_gateway_free(tx, row)
        if changes.get("allocation_pools") is None:
            changes.pop("allocation_pools", None)
            new["allocation_pools"] = row.allocation_pools
        else:
            changes["allocation_pools"] = check_pools(prefix, changes["allocation_pools"])
        if "allocation_pools" in changes or "gateway_ip" in changes:
            _check_gateway_outside(new["gateway_ip"], new["allocation_pools"])
        if changes.get("enable_dhcp") is False and (row.ipv6_ra_mode or row.ipv6_address_mode):
            raise InvalidInput(error_message="Cannot disable enable_dhcp with ipv6 attributes set")
        self._check_limits(settings, new, row.id, prefix)
        await tx.update(model.SUBNETS, {"id": row.id}, **changes)
        if "enable_dhcp" in changes and row.ip_version == 4:
            await fit_metadata_port(tx, row.network_id)
            ports = [one.id for one in await tx.all(model.PORTS, {"network_id": row.network_id})]
            await touch(tx, "port", *ports)
        await touch(tx, "subnet", row.id)
        await self._revise_network(tx, row.network_id)
        if "gateway_ip" in changes:
            gateways = await tx.all(model.ROUTERS, {"gateway_network_id": row.network_id})
            await touch(tx, "router", *[router.id for router in gateways])
        return changes

    async def remove(self, req: Request, tx: Transaction, row: Row) -> None:
        await tx.lock(f"network.addresses.{row.network_id}")
        taken = await tx.all(model.ADDRESSES, {"subnet_id": row.id})
        users = await tx.all(model.PORTS, {"id": [one.port_id for one in taken]}) if taken else []
        for port in users:
            leaves = port.device_owner in AUTOMATIC_OWNERS
            if not leaves and not (is_automatic(row) and port.device_owner not in (INTERFACE, GATEWAY)):
                raise SubnetInUse(row.id)
        await tx.delete(model.ADDRESSES, subnet_id=row.id)
        await tx.delete(model.SUBNETS, id=row.id)
        await fit_metadata_port(tx, row.network_id)
        await touch_ports(tx, *users)
        await touch(tx, "subnet", row.id)
        await self._revise_network(tx, row.network_id)

    async def _revise_network(self, tx: Transaction, network_id: str) -> None:
        """A network's subnets are part of it."""
        network = await tx.get(model.NETWORKS, id=network_id)
        await tx.update(model.NETWORKS, {"id": network_id}, revision_number=network.revision_number + 1)

    async def _network(self, req: Request, tx: Transaction, network_id: str) -> Row:
        found = await tx.fetch(
            select(model.NETWORKS).where(model.NETWORKS.c.id == network_id, *visible_networks(req.context))
        )
        if not found:
            raise NetworkNotFound(id=network_id)
        return found[0]

    def _check_version(self, new: dict[str, Any], prefix: Prefix) -> None:
        if new.setdefault("ip_version", prefix.version) != prefix.version:
            raise InvalidInput(
                error_message=f"cidr {prefix} does not match the ip_version '{new['ip_version']}'"
            )

    async def _check_overlap(self, tx: Transaction, network: Row, prefix: Prefix) -> None:
        for other in await tx.all(model.SUBNETS, {"network_id": network.id, "ip_version": prefix.version}):
            if prefix.overlaps(ipaddress.ip_network(other.cidr)):
                raise InvalidInput(
                    error_message=f"Requested subnet with cidr: {prefix} for network: {network.id} overlaps with "
                    "another subnet"
                )

    async def _check_gateway_free(self, tx: Transaction, row: Row) -> None:
        used = await tx.find(model.ADDRESSES, subnet_id=row.id, ip_address=row.gateway_ip)
        port = await tx.find(model.PORTS, id=used.port_id) if used else None
        if port is not None and port.device_owner == INTERFACE:
            raise GatewayIpInUse(ip_address=row.gateway_ip, port_id=port.id)

    def _check_limits(
        self, settings: NetworkConfig, new: Mapping[str, Any], name: str, prefix: Prefix
    ) -> None:
        if len(new["dns_nameservers"]) > settings.max_dns_nameservers:
            raise DNSNameServersExhausted(subnet_id=name, quota=settings.max_dns_nameservers)
        if len(new["host_routes"]) > settings.max_routes:
            raise HostRoutesExhausted(subnet_id=name, quota=settings.max_routes)
        for server in new["dns_nameservers"]:
            _check_same_version("dns_nameserver", server, prefix)
        for route in new["host_routes"]:
            _check_same_version("nexthop", route["nexthop"], prefix)
            if ipaddress.ip_network(route["destination"]).version != prefix.version:
                raise InvalidInput(
                    error_message=f"destination '{route['destination']}' does not match the ip_version "
                    f"'{prefix.version}'"
                )

    async def _spread(self, tx: Transaction, network: Row, subnet: Row) -> None:
        """Ports that were there before an automatic subnet get their addresses in it."""
        for port in await tx.all(model.PORTS, {"network_id": network.id}):
            if port.device_owner.startswith("network:"):
                continue
            if await add_automatic(tx, port, subnet) is not None:
                await touch_ports(tx, port)


def whole_range(prefix: Prefix, gateway_ip: str | None) -> list[dict[str, str]]:
    """All addresses a host may have, less the gateway's."""
    narrow = prefix.num_addresses <= 2
    first = int(prefix[0]) + (0 if narrow else 1)
    last = int(prefix[-1]) - (0 if narrow or prefix.version == 6 else 1)
    gateway = int(ipaddress.ip_address(gateway_ip)) if gateway_ip else -1
    ranges = [(first, gateway - 1), (gateway + 1, last)] if first <= gateway <= last else [(first, last)]
    kind = type(prefix[0])
    return [{"start": str(kind(low)), "end": str(kind(high))} for low, high in ranges if low <= high]


def check_pools(prefix: Prefix, pools: list[dict[str, str]]) -> list[dict[str, str]]:
    """The pools in order. Raises for what lies outside of the prefix, is turned round or overlaps."""
    ranges = []
    for pool in pools:
        low, high = ipaddress.ip_address(pool["start"]), ipaddress.ip_address(pool["end"])
        shown = f"{low}-{high}"
        if low.version != prefix.version or high.version != prefix.version or low > high:  # type: ignore[operator]
            raise InvalidAllocationPool(pool=shown)
        inner = whole_range(prefix, None)[0]
        if int(low) < int(ipaddress.ip_address(inner["start"])) or int(high) > int(
            ipaddress.ip_address(inner["end"])
        ):
            raise OutOfBoundsAllocationPool(pool=shown, subnet_cidr=str(prefix))
        ranges.append((int(low), int(high), shown))
    ranges.sort()
    for before, after in itertools.pairwise(ranges):
        if after[0] <= before[1]:
            raise OverlappingAllocationPools(pool_1=before[2], pool_2=after[2], subnet_cidr=str(prefix))
    return sorted(pools, key=lambda pool: int(ipaddress.ip_address(pool["start"])))


def _check_prefix(prefix: Prefix, dhcp: bool) -> None:
    if prefix.is_multicast or prefix.is_loopback:
        raise InvalidInput(error_message=f"'{prefix}' is not a valid IP subnet")
    if dhcp and prefix.version == 4 and prefix.prefixlen > 30:
        raise InvalidInput(
            error_message=f"Subnet has a prefix length that is incompatible with DHCP service enabled: {prefix}"
        )
    if dhcp and prefix.version == 6 and prefix.prefixlen > 126:
        raise InvalidInput(
            error_message=f"Subnet has a prefix length that is incompatible with DHCP service enabled: {prefix}"
        )
    if prefix.prefixlen == 0:
        raise InvalidInput(error_message="0 is not allowed as CIDR prefix length")


def _check_gateway(prefix: Prefix, gateway_ip: str | None) -> None:
    if gateway_ip is None:
        return
    gateway = ipaddress.ip_address(gateway_ip)
    _check_same_version("gateway_ip", gateway_ip, prefix)
    on_edge = prefix.version == 4 and prefix.prefixlen < 31 and gateway in (prefix[0], prefix[-1])
    if on_edge or gateway.is_multicast or gateway.is_loopback or gateway.is_unspecified:
        raise InvalidInput(error_message="Gateway is not valid on subnet")


def _check_gateway_outside(gateway_ip: str | None, pools: list[dict[str, str]]) -> None:
    if gateway_ip is None:
        return
    gateway = int(ipaddress.ip_address(gateway_ip))
    for pool in pools:
        if int(ipaddress.ip_address(pool["start"])) <= gateway <= int(ipaddress.ip_address(pool["end"])):
            raise GatewayConflictWithAllocationPools(
                ip_address=gateway_ip, pool=f"{pool['start']}-{pool['end']}"
            )


def _check_modes(new: Mapping[str, Any], prefix: Prefix) -> None:
    address_mode, ra_mode = new.get("ipv6_address_mode"), new.get("ipv6_ra_mode")
    if not address_mode and not ra_mode:
        return
    if prefix.version == 4:
        raise InvalidInput(
            error_message="ipv6_ra_mode or ipv6_address_mode cannot be set when ip_version is set to 4"
        )
    if not new["enable_dhcp"]:
        raise InvalidInput(
            error_message="ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False"
        )
    if address_mode and ra_mode and address_mode != ra_mode:
        raise InvalidInput(
            error_message=f"ipv6_ra_mode set to '{ra_mode}' with ipv6_address_mode set to '{address_mode}' is not "
            "valid. If both attributes are set, they must be the same value"
        )
    if address_mode in ("slaac", "dhcpv6-stateless") and prefix.prefixlen != 64:
        raise InvalidInput(
            error_message=f"Invalid CIDR {prefix} for IPv6 address mode. OpenStack uses the EUI-64 address format, "
            "which requires the prefix to be /64"
        )


def _check_same_version(name: str, address: str, prefix: Prefix) -> None:
    if ipaddress.ip_address(address).version != prefix.version:
        raise InvalidInput(
            error_message=f"{name} '{address}' does not match the ip_version '{prefix.version}'"
        )
