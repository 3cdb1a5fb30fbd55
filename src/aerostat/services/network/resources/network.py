"""Networks: layer 2 segments, of a project, shared, or external.

https://docs.openstack.org/api-ref/network/v2/#networks
"""

import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table, select

from aerostat.kernel.db import Duplicate, Row, Transaction
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Policy, Term, admin, field, project_member, project_reader
from aerostat.kernel.resource import Conditions, Rows

from .. import model, values
from ..changes import touch
from ..config import NetworkConfig
from ..errors import (
    FlatNetworkInUse,
    InvalidInput,
    InvalidSharedSetting,
    NetworkInUse,
    NetworkNotFound,
    TunnelIdInUse,
    VlanIdInUse,
)
from ..host.protocol import Kind
from ..least_mtu import check_mtu
from ..ports import AUTOMATIC_OWNERS, GATEWAY, delete_port
from ..resource import NetworkResource
from ..sight import EXTERNAL, SHARED, open_to_all, sees_all, visible_networks

_MAY_SEE = (
    admin
    | project_reader
    | field("networks", "shared", True)
    | field("networks", "router:external", True)
    | Term("role:advsvc")
)
_MOST_TUNNELS = (1 << 24) - 1
_PROVIDER = ("provider:network_type", "provider:physical_network", "provider:segmentation_id")


def _is_shared(row: Row, req: Request) -> bool:
    """To everybody, or to the one who asks: others see a foreign network only when it is shared or external."""
    foreign = row.project_id != req.context.project_id and not sees_all(req.context)
    return bool(row.shared or (foreign and not row.external))


class Network(NetworkResource):
    singular, plural = "network", "networks"
    table = model.NETWORKS
    not_found = NetworkNotFound
    quota = "network"
    policy = Policy(
        "{verb}_network",
        verbs={"list": "get", "show": "get"},
        default=admin | project_member,
        list=_MAY_SEE,
        show=_MAY_SEE,
    )
    attribute_rules = {
        **{
            f"{verb}_network:{name}": admin
            for verb in ("create", "update")
            for name in ("shared", "router:external", "is_default", *_PROVIDER)
        },
        **{f"get_network:{name}": admin for name in _PROVIDER},
        "create_network:port_security_enabled": admin | project_member,
        "update_network:port_security_enabled": admin | project_member,
    }
    readers = {"dns_domain": values.dns_domain, "tags": values.tags}

    name = Field(str, create="optional", update="optional", length=(0, 255), default="")
    admin_state_up = Field(bool, create="optional", update="optional", default=True)
    state = Field(str, wire="status", column="status")
    shared = Field(bool, create="optional", update="optional", default=False, compute=_is_shared)
    external = Field(bool, wire="router:external", create="optional", update="optional", default=False)
    is_default = Field(bool, create="optional", update="optional", default=False)
    mtu = Field(int, create="optional", update="optional", minimum=0, maximum=65535)
    port_security_enabled = Field(bool, create="optional", update="optional", default=True)
    dns_domain = Field(str, create="optional", update="optional", default="")
    network_type = Field(
        str, wire=_PROVIDER[0], create="optional", policy="get_network:provider:network_type"
    )
    physical_network = Field(
        str,
        wire=_PROVIDER[1],
        create="optional",
        nullable=True,
        length=(1, 64),
        policy="get_network:provider:physical_network",
    )
    segmentation_id = Field(
        int,
        wire=_PROVIDER[2],
        create="optional",
        nullable=True,
        policy="get_network:provider:segmentation_id",
    )
    availability_zone_hints = Field(list, create="optional", default=list)
    availability_zones = Field(
        list, compute=lambda row, req: [req.house.config.section(NetworkConfig).availability_zone]
    )
    ipv4_address_scope = Field(str, compute=lambda row, req: row.scopes.get(4))
    ipv6_address_scope = Field(str, compute=lambda row, req: row.scopes.get(6))
    subnets = Field(list, compute=lambda row, req: row.subnets)

    def visible(self, req: Request) -> Conditions:
        return visible_networks(req.context)

    def target(self, row: Row) -> Mapping[str, Any]:
        # Whoever sees a foreign network that is not external was given it.
        return {**row, "shared": row.shared or not row.external, "router:external": row.external}

    async def make(self, req: Request, tx: Transaction, new: dict[str, Any]) -> Row:
        settings = req.house.config.section(NetworkConfig)
        await self._choose_segment(tx, settings, new)
        most = settings.external_mtu if new["physical_network"] else settings.mtu
        new["mtu"] = new.get("mtu") or most
        if new["mtu"] > most:
            raise InvalidInput(error_message=f"Requested MTU is too big, maximum is {most}")
        try:
            row = await tx.insert(model.NETWORKS, **new)
        except Duplicate as error:
            raise _taken(new) from error
        for is_open, action in ((new["shared"], SHARED), (new["external"], EXTERNAL)):
            if is_open:
                await open_to_all(tx, "network", row, action)
        await touch(tx, "network", row.id)
        return row

    async def change(
        self, req: Request, tx: Transaction, row: Row, changes: dict[str, Any]
    ) -> dict[str, Any]:
        settings = req.house.config.section(NetworkConfig)
        most = settings.external_mtu if row.physical_network else settings.mtu
        if changes.get("mtu", 0) > most:
            raise InvalidInput(error_message=f"Requested MTU is too big, maximum is {most}")
        if "mtu" in changes:
            for subnet in await tx.all(model.SUBNETS, {"network_id": row.id}):
                check_mtu(row.id, changes["mtu"], subnet.ip_version)
        if changes.get("shared") is False and row.shared and await self._used_by_others(tx, row):
            raise InvalidSharedSetting(network=row.name)
        leaves = changes.get("external") is False and row.external
        if leaves and await tx.count(model.PORTS, network_id=row.id, device_owner=GATEWAY):
            raise NetworkInUse(id=row.id)
        for attribute, action in (("shared", SHARED), ("external", EXTERNAL)):
            if attribute in changes and changes[attribute] != row[attribute]:
                await open_to_all(tx, "network", row, action, is_open=changes[attribute])
        await touch(tx, "network", row.id)
        if "mtu" in changes or "dns_domain" in changes:
            parts: tuple[tuple[Kind, Table], ...] = (("subnet", model.SUBNETS), ("port", model.PORTS))
            for kind, table in parts:
                await touch(tx, kind, *[one.id for one in await tx.all(table, {"network_id": row.id})])
        return changes

    async def remove(self, req: Request, tx: Transaction, row: Row) -> None:
        for floating in await tx.all(model.FLOATING_IPS, {"floating_network_id": row.id, "port_id": None}):
            # An address that leads nowhere is no reason to stay.
            await delete_port(tx, await tx.get(model.PORTS, id=floating.floating_port_id))
            await tx.delete(model.FLOATING_IPS, id=floating.id)
        ports = await tx.all(model.PORTS, {"network_id": row.id})
        if any(port.device_owner not in AUTOMATIC_OWNERS for port in ports):
            raise NetworkInUse(id=row.id)
        for port in ports:
            await delete_port(tx, port)
        for subnet in await tx.all(model.SUBNETS, {"network_id": row.id}):
            await tx.delete(model.ADDRESSES, subnet_id=subnet.id)
            await tx.delete(model.SUBNETS, id=subnet.id)
            await touch(tx, "subnet", subnet.id)
        await tx.delete(model.RBAC, object_id=row.id)
        await touch(tx, "network", row.id)

    async def prepare(self, req: Request, rows: Rows) -> None:
        """The ids of their subnets, and the address scopes of the pools those came from."""
        by_id = {row.id: row for row in rows}
        for row in rows:
            row.subnets, row.scopes = [], {}
        if not rows:
            return
        subnets = model.SUBNETS
        found = await req.db.fetch(
            select(subnets.c.id, subnets.c.network_id, subnets.c.ip_version, subnets.c.subnetpool_id)
            .where(subnets.c.network_id.in_(list(by_id)))
            .order_by(subnets.c.created_at)
        )
        pool_ids = {one.subnetpool_id for one in found if one.subnetpool_id}
        pools = await req.db.all(model.SUBNET_POOLS, {"id": sorted(pool_ids)}) if pool_ids else []
        scopes = {pool.id: pool.address_scope_id for pool in pools}
        for one in found:
            network = by_id[one.network_id]
            network.subnets.append(one.id)
            if scope := scopes.get(one.subnetpool_id):
                network.scopes[one.ip_version] = scope

    async def _choose_segment(self, tx: Transaction, settings: NetworkConfig, new: dict[str, Any]) -> None:
        """Fill in type, wire and number, and the key that keeps segments apart."""
        kind = new.get("network_type") or ("flat" if new.get("physical_network") else "geneve")
        wire, number = new.get("physical_network"), new.get("segmentation_id")
        if kind not in ("geneve", "flat", "vlan"):
            raise InvalidInput(error_message=f"network_type value '{kind}' not supported")
        if kind == "geneve" and wire:
            raise InvalidInput(error_message="provider:physical_network specified for geneve network")
        if kind != "geneve":
            if not wire:
                raise InvalidInput(error_message=f"physical_network required for {kind} provider network")
            if wire != settings.external_physical_network:
                raise InvalidInput(
                    error_message=f"physical_network '{wire}' unknown for {kind} provider network"
                )
        if kind == "flat" and number is not None:
            raise InvalidInput(error_message="segmentation_id prohibited for flat provider network")
        if kind == "vlan" and not (number is not None and 1 <= number <= 4094):
            raise InvalidInput(
                error_message=f"segmentation_id out of range (1 through 4094) for vlan: {number}"
            )
        if kind == "geneve":
            if number is None:
                number = 1 + secrets.randbelow(_MOST_TUNNELS)
                while await tx.count(model.NETWORKS, segment_key=f"geneve:{number}"):
                    number = 1 + secrets.randbelow(_MOST_TUNNELS)
            elif not 1 <= number <= _MOST_TUNNELS:
                raise InvalidInput(error_message=f"segmentation_id out of range for geneve: {number}")
        new.update(
            network_type=kind,
            physical_network=wire,
            segmentation_id=number,
            segment_key=f"geneve:{number}" if kind == "geneve" else f"{wire}:{number or 'flat'}",
        )

    async def _used_by_others(self, tx: Transaction, row: Row) -> bool:
        others = select(model.PORTS.c.id).where(
            model.PORTS.c.network_id == row.id, model.PORTS.c.project_id.notin_(("", row.project_id))
        )
        return bool(await tx.fetch(others.limit(1)))


def _taken(new: dict[str, Any]) -> FlatNetworkInUse | VlanIdInUse | TunnelIdInUse:
    if new["network_type"] == "flat":
        return FlatNetworkInUse(physical_network=new["physical_network"])
    if new["network_type"] == "vlan":
        return VlanIdInUse(vlan_id=new["segmentation_id"], physical_network=new["physical_network"])
    return TunnelIdInUse(tunnel_id=new["segmentation_id"])
