"""Floating IPs: addresses of an external network that lead to a port behind a router.

https://docs.openstack.org/api-ref/network/v2/#floating-ips-floatingips
"""

from typing import Any

from sqlalchemy import select

from aerostat.kernel.db import Duplicate, Row, Transaction
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Policy, admin, project_member, project_reader
from aerostat.kernel.resource import Rows

from .. import addresses, model, values
from ..changes import touch, touch_ports
from ..errors import (
    BadFloatingIPRequest,
    ExternalGatewayForFloatingIPNotFound,
    ExternalIpAddressExhausted,
    FloatingIPNotFound,
    FloatingIPPortAlreadyAssociated,
    IpAddressGenerationFailure,
    NetworkNotFound,
    PortNotFound,
)
from ..ports import FLOATING, delete_port, insert_service_port
from ..resource import NetworkResource
from ..router_legs import router_for
from ..sight import sees_all, visible_networks, visible_ports


class FloatingIP(NetworkResource):
    singular, plural = "floatingip", "floatingips"
    table = model.FLOATING_IPS
    not_found = FloatingIPNotFound
    quota = "floatingip"
    policy = Policy(
        "{verb}_floatingip",
        verbs={"list": "get", "show": "get"},
        default=admin | project_member,
        list=admin | project_reader,
        show=admin | project_reader,
    )
    attribute_rules = {"create_floatingip:floating_ip_address": admin}
    readers = {
        "floating_network_id": values.uuid,
        "floating_ip_address": values.ip_or_none,
        "fixed_ip_address": values.ip_or_none,
        "port_id": values.uuid_or_none,
        "subnet_id": values.uuid_or_none,
        "dns_name": values.dns_label,
        "dns_domain": values.dns_domain,
        "tags": values.tags,
    }

    floating_network_id = Field(str, create="required")
    floating_ip_address = Field(str, create="optional", nullable=True, default=None)
    subnet_id = Field(str, create="optional", nullable=True, show=False, stored=False)
    port_id = Field(str, create="optional", update="optional", nullable=True, default=None)
    fixed_ip_address = Field(str, create="optional", update="optional", nullable=True, default=None)
    router_id = Field(str)
    state = Field(str, wire="status", column="status")
    dns_name = Field(str, create="optional", default="")
    dns_domain = Field(str, create="optional", default="")
    port_details = Field(dict, compute=lambda row, req: row.port_details)
    port_forwardings = Field(list, compute=lambda row, req: [])

    async def make(self, req: Request, tx: Transaction, new: dict[str, Any]) -> Row:
        network = await self._external_network(req, tx, new["floating_network_id"])
        asked, subnet_id = new.pop("floating_ip_address"), new.pop("subnet_id", None)
        port_id, fixed_ip = new.pop("port_id"), new.pop("fixed_ip_address")
        if fixed_ip and not port_id:
            raise BadFloatingIPRequest(msg="fixed_ip_address cannot be specified without a port_id")
        place = {name: value for name, value in (("ip_address", asked), ("subnet_id", subnet_id)) if value}
        try:
            own = await insert_service_port(
                tx, network, FLOATING, "PENDING", fixed=[place] if place else None
            )
        except IpAddressGenerationFailure as error:
            raise ExternalIpAddressExhausted(net_id=network.id) from error
        address = next((one["ip_address"] for one in own.fixed_ips if ":" not in one["ip_address"]), None)
        if address is None:
            raise BadFloatingIPRequest(msg=f"Network {network.id} does not contain any IPv4 subnet")
        target = await self._target(req, tx, network.id, port_id, fixed_ip, new["project_id"])
        try:
            row = await tx.insert(
                model.FLOATING_IPS, **new, floating_ip_address=address, floating_port_id=own.id, **target
            )
        except Duplicate as error:
            raise self._doubled(address, "", target, network.id) from error
        await tx.update(model.PORTS, {"id": own.id}, device_id=row.id)
        await self._tell_ports(tx, row.port_id)
        await touch(tx, "floating_ip", row.id)
        return row

    async def change(
        self, req: Request, tx: Transaction, row: Row, changes: dict[str, Any]
    ) -> dict[str, Any]:
        await touch(tx, "floating_ip", row.id)
        if not changes:
            changes["port_id"] = None  # an empty update has always meant this
        fixed_ip = changes.pop("fixed_ip_address", None)
        if "port_id" not in changes and fixed_ip is None:
            return changes
        port_id = changes.pop("port_id", row.port_id)
        if fixed_ip and not port_id:
            raise BadFloatingIPRequest(msg="fixed_ip_address cannot be specified without a port_id")
        target = await self._target(
            req, tx, row.floating_network_id, port_id, fixed_ip, row.project_id, row.id
        )
        if any(target[name] != row[name] for name in ("port_id", "fixed_ip_address", "router_id")):
            target["status"] = "DOWN"  # until the world knows
            await self._tell_ports(tx, row.port_id, port_id)
        return {**changes, **target}

    async def remove(self, req: Request, tx: Transaction, row: Row) -> None:
        await self._tell_ports(tx, row.port_id)
        port = await tx.find(model.PORTS, id=row.floating_port_id)
        if port is not None:
            await delete_port(tx, port)
        await touch(tx, "floating_ip", row.id)

    async def prepare(self, req: Request, rows: Rows) -> None:
        ids = [row.port_id for row in rows if row.port_id]
        ports = {port.id: port for port in await req.db.all(model.PORTS, {"id": ids})} if ids else {}
        for row in rows:
            port = ports.get(row.port_id)
            row["port_details"] = port and {
                name: port[name]
                for name in (
                    "name",
                    "network_id",
                    "mac_address",
                    "admin_state_up",
                    "status",
                    "device_id",
                    "device_owner",
                )
            }

    async def _tell_ports(self, tx: Transaction, *port_ids: str | None) -> None:
        known = [port_id for port_id in port_ids if port_id is not None]
        await touch_ports(tx, *await tx.all(model.PORTS, {"id": known}))

    async def _external_network(self, req: Request, tx: Transaction, network_id: str) -> Row:
        found = await tx.fetch(
            select(model.NETWORKS).where(model.NETWORKS.c.id == network_id, *visible_networks(req.context))
        )
        if not found:
            raise NetworkNotFound(id=network_id)
        if not found[0].external:
            raise BadFloatingIPRequest(msg=f"Network {network_id} is not a valid external network")
        return found[0]

    async def _target(
        self,
        req: Request,
        tx: Transaction,
        network_id: str,
        port_id: str | None,
        fixed_ip: str | None,
        project_id: str,
        own_id: str = "",
    ) -> dict[str, Any]:
        """Where it leads: columns of the port, its address and the router between."""
        if port_id is None:
            return {"port_id": None, "fixed_ip_address": None, "router_id": None}
        found = await tx.fetch(
            select(model.PORTS).where(model.PORTS.c.id == port_id, *visible_ports(req.context))
        )
        if not found:
            raise PortNotFound(id=port_id)
        port = found[0]
        if port.project_id != project_id and not sees_all(req.context):
            raise BadFloatingIPRequest(
                msg=f"Port {port_id} is associated with a different tenant than Floating IP {own_id} and therefore "
                "cannot be bound"
            )
        fixed = [
            one for one in (await addresses.fixed_ips(tx, [port_id]))[port_id] if ":" not in one["ip_address"]
        ]
        if fixed_ip is not None:
            fixed = [one for one in fixed if one["ip_address"] == fixed_ip]
            if not fixed:
                raise BadFloatingIPRequest(msg=f"Port {port_id} does not have fixed ip {fixed_ip}")
        elif not fixed:
            raise BadFloatingIPRequest(
                msg=f"Cannot add floating IP to port {port_id} that has no fixed IPv4 addresses"
            )
        elif len(fixed) > 1:
            raise BadFloatingIPRequest(
                msg=f"Port {port_id} has multiple fixed IPv4 addresses. Must provide a specific IPv4 address when "
                "assigning a floating IP"
            )
        place = fixed[0]
        router = await router_for(tx, place["subnet_id"], network_id)
        if router is None:
            raise ExternalGatewayForFloatingIPNotFound(
                external_network_id=network_id, subnet_id=place["subnet_id"], port_id=port_id
            )
        target = {"port_id": port_id, "fixed_ip_address": place["ip_address"], "router_id": router.id}
        for other in await tx.all(
            model.FLOATING_IPS, {"port_id": port_id, "fixed_ip_address": place["ip_address"]}
        ):
            if other.id != own_id and other.floating_network_id == network_id:
                raise self._doubled(other.floating_ip_address, other.id, target, network_id)
        return target

    def _doubled(
        self, address: str, id: str, target: dict[str, Any], network_id: str
    ) -> FloatingIPPortAlreadyAssociated:
        return FloatingIPPortAlreadyAssociated(
            floating_ip_address=address,
            fip_id=id,
            port_id=target["port_id"],
            fixed_ip=target["fixed_ip_address"],
            net_id=network_id,
        )
