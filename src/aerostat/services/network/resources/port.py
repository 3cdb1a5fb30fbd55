"""Ports: places on a network, with a MAC address, addresses, and what may pass.

https://docs.openstack.org/api-ref/network/v2/#ports
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.sql import ColumnElement

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Policy, Rule, Term, admin, project_member, project_reader, service
from aerostat.kernel.resource import Conditions, Rows

from .. import addresses, model, values
from ..changes import touch_ports
from ..config import NetworkConfig
from ..default_group import ensure_default_group
from ..errors import (
    AddressPairAndPortSecurityRequired,
    AllowedAddressPairExhausted,
    DeviceIDNotOwnedByTenant,
    DuplicateAddressPairInRequest,
    MacAddressInUse,
    NetworkNotFound,
    PortBound,
    PortNotFound,
    PortSecurityAndIPRequiredForSecurityGroups,
    PortSecurityPortHasSecurityGroup,
    SecurityGroupConflict,
    SecurityGroupNotFound,
    ServicePortInUse,
    refuse_value,
)
from ..ports import INTERFACE, MANAGED_OWNERS, MIGRATING_TO, delete_port, insert_port, release_floating
from ..resource import NetworkResource
from ..sight import may_use, sees_all, visible_networks, visible_ports

_NET_OWNER = Term("role:member") & Term("tenant_id:%(network:tenant_id)s")
_NET_READER = Term("role:reader") & Term("tenant_id:%(network:tenant_id)s")
_ADVSVC = Term("role:advsvc")
_SHARED = Term("field:networks:shared=True")
_ADMIN_OR_NET_OWNER = admin | service | _ADVSVC | _NET_OWNER
_GUARDED = ("mac_address", "fixed_ips", "port_security_enabled", "allowed_address_pairs")
_ADMIN_SEES = ("binding:host_id", "binding:profile", "binding:vif_type", "binding:vif_details")
# What a host must know to plug a port; the same for every port, since one engine carries them all.
_VIF_DETAILS = {
    "port_filter": True,
    "connectivity": "l2",
    "bridge_name": "br-int",
    "datapath_type": "system",
    "bound_drivers": {"0": "ovn"},
}


class Port(NetworkResource):
    singular, plural = "port", "ports"
    table = model.PORTS
    not_found = PortNotFound
    quota = "port"
    odd_filters = frozenset({"fixed_ips", "security_groups", "ip_allocation"})
    policy = Policy(
        "{verb}_port",
        verbs={"list": "get", "show": "get"},
        default=admin | service | _ADVSVC | project_member,
        list=admin | service | _ADVSVC | project_reader | _NET_READER,
        show=admin | service | _ADVSVC | project_reader | _NET_READER,
        delete=admin | service | _ADVSVC | project_member | _NET_OWNER,
    )
    extra_rules = (Rule(name="network_device", text="field:port:device_owner=~^network:"),)
    attribute_rules = {
        **{f"{verb}_port:{name}": _ADMIN_OR_NET_OWNER for verb in ("create", "update") for name in _GUARDED},
        **{
            f"{verb}_port:device_owner": ~Term("rule:network_device") | _ADMIN_OR_NET_OWNER
            for verb in ("create", "update")
        },
        **{
            f"{verb}_port:binding:{name}": admin | service
            for verb in ("create", "update")
            for name in ("host_id", "profile")
        },
        **{f"get_port:{name}": admin | service for name in _ADMIN_SEES},
        "update_port:mac_address": admin | _ADVSVC,
        "create_port:fixed_ips": _ADMIN_OR_NET_OWNER | _SHARED,
        "update_port:fixed_ips": _ADMIN_OR_NET_OWNER | _SHARED,
        "create_port:fixed_ips:ip_address": _ADMIN_OR_NET_OWNER,
        "update_port:fixed_ips:ip_address": _ADMIN_OR_NET_OWNER,
        "create_port:fixed_ips:subnet_id": _ADMIN_OR_NET_OWNER | _SHARED,
        "update_port:fixed_ips:subnet_id": _ADMIN_OR_NET_OWNER | _SHARED,
    }
    readers = {
        "network_id": values.uuid,
        "mac_address": values.mac,
        "fixed_ips": lambda value: None if value is None else values.fixed_ips(value),
        "security_groups": values.uuids,
        "allowed_address_pairs": values.address_pairs,
        "extra_dhcp_opts": values.dhcp_options,
        "dns_name": values.dns_label,
        "dns_domain": values.dns_domain,
        "tags": values.tags,
    }

    name = Field(str, create="optional", update="optional", length=(0, 255), default="")
    network_id = Field(str, create="required")
    mac_address = Field(str, create="optional", update="optional")
    admin_state_up = Field(bool, create="optional", update="optional", default=True)
    state = Field(str, wire="status", column="status")
    device_id = Field(str, create="optional", update="optional", length=(0, 255), default="")
    device_owner = Field(str, create="optional", update="optional", length=(0, 255), default="")
    fixed_ips = Field(list, create="optional", update="optional", nullable=True, stored=False)
    security_groups = Field(list, create="optional", update="optional", nullable=True, stored=False)
    port_security_enabled = Field(bool, create="optional", update="optional")
    allowed_address_pairs = Field(list, create="optional", update="optional", nullable=True, default=list)
    extra_dhcp_opts = Field(list, create="optional", update="optional", nullable=True, default=list)
    dns_name = Field(str, create="optional", update="optional", default="")
    dns_domain = Field(str, create="optional", update="optional", default="")
    dns_assignment = Field(list, compute=lambda row, req: _dns_assignment(row, req))
    ip_allocation = Field(str, compute=lambda row, req: "immediate" if row.fixed_ips else "none")
    vnic_type = Field(
        str,
        wire="binding:vnic_type",
        create="optional",
        update="optional",
        default="normal",
        choices=("normal", "direct", "macvtap", "baremetal", "direct-physical", "virtio-forwarder"),
    )
    host = Field(
        str,
        wire="binding:host_id",
        create="optional",
        update="optional",
        nullable=True,
        length=(0, 255),
        default="",
        policy="get_port:binding:host_id",
    )
    profile = Field(
        dict,
        wire="binding:profile",
        create="optional",
        update="optional",
        nullable=True,
        default=dict,
        policy="get_port:binding:profile",
    )
    vif_type = Field(
        str,
        wire="binding:vif_type",
        policy="get_port:binding:vif_type",
        compute=lambda row, req: "ovs" if row.host else "unbound",
    )
    vif_details = Field(
        dict,
        wire="binding:vif_details",
        policy="get_port:binding:vif_details",
        compute=lambda row, req: _VIF_DETAILS if row.host else {},
    )

    def visible(self, req: Request) -> Conditions:
        """One's own, and whatever stands on one's own networks."""
        return visible_ports(req.context)

    def filters(self, req: Request) -> Conditions:
        conditions = super().filters(req)
        if "security_groups" in req.query:
            groups = model.PORT_GROUPS.c
            members = select(groups.port_id).where(groups.security_group_id.in_(req.query["security_groups"]))
            conditions.append(model.PORTS.c.id.in_(members))
        if "fixed_ips" in req.query:
            conditions += _by_fixed_ips(req.query["fixed_ips"])
        return conditions

    async def find(self, req: Request, id: str) -> Row:
        row = await super().find(req, id)
        network = await req.db.find(model.NETWORKS, id=row.network_id)
        if network is not None:
            row.update(_parent(network))
        return row

    async def policy_target(self, req: Request, target: dict[str, Any]) -> Mapping[str, Any]:
        if "network:tenant_id" in target:
            return target
        network = await req.db.find(model.NETWORKS, id=target["network_id"])
        if network is None:
            raise NetworkNotFound(id=target["network_id"])
        return {**target, **_parent(network)}

    async def _check_attributes(
        self, req: Request, verb: Any, given: Mapping[str, Any], target: dict[str, Any]
    ) -> None:
        if given.get("fixed_ips") is None:
            given = {name: value for name, value in given.items() if name != "fixed_ips"}
        await super()._check_attributes(req, verb, given, target)
        for fixed in given.get("fixed_ips") or ():
            for name in fixed:
                req.check(f"{verb}_port:fixed_ips:{name}", await self.policy_target(req, target))

    async def make(self, req: Request, tx: Transaction, new: dict[str, Any]) -> Row:
        settings = req.house.config.section(NetworkConfig)
        network = await self._network(req, tx, new["network_id"])
        del new["network_id"]
        fixed, groups = new.pop("fixed_ips", None), new.pop("security_groups", None)
        _fill_nulls(new)
        new.setdefault("port_security_enabled", network.port_security_enabled)
        _check_pairs(settings, new["allowed_address_pairs"], new["port_security_enabled"])
        new["extra_dhcp_opts"] = [one for one in new["extra_dhcp_opts"] if one["opt_value"] is not None]
        await self._check_device(req, tx, new, new["project_id"])
        is_guest = not new["device_owner"].startswith("network:")
        if groups is None:
            protected = new["port_security_enabled"] and is_guest
            groups = [await ensure_default_group(tx, new["project_id"])] if protected else []
        elif groups and not new["port_security_enabled"]:
            raise PortSecurityAndIPRequiredForSecurityGroups()
        else:
            await self._check_groups(req, tx, groups)
        return await insert_port(tx, network, new, fixed=fixed, groups=groups, limit=settings.max_fixed_ips)

    async def change(
        self, req: Request, tx: Transaction, row: Row, changes: dict[str, Any]
    ) -> dict[str, Any]:
        settings = req.house.config.section(NetworkConfig)
        _fill_nulls(changes)
        fixed, groups = changes.pop("fixed_ips", None), changes.pop("security_groups", None)
        new = {**row, **changes}
        await self._check_device(req, tx, changes, row.project_id)
        if new["mac_address"] != row.mac_address:
            await self._check_mac(tx, row, new["mac_address"])
        if "extra_dhcp_opts" in changes:
            changes["extra_dhcp_opts"] = _merged_options(row.extra_dhcp_opts, changes["extra_dhcp_opts"])
        _check_pairs(settings, new["allowed_address_pairs"], new["port_security_enabled"])
        had = [one.security_group_id for one in await tx.all(model.PORT_GROUPS, {"port_id": row.id})]
        after = had if groups is None else groups
        if after and not new["port_security_enabled"]:
            if groups:
                raise PortSecurityAndIPRequiredForSecurityGroups()
            raise PortSecurityPortHasSecurityGroup()
        if groups is not None:
            await self._check_groups(req, tx, groups)
            await tx.delete(model.PORT_GROUPS, port_id=row.id)
            for group_id in groups:
                await tx.insert(model.PORT_GROUPS, port_id=row.id, security_group_id=group_id)
        if fixed is not None:
            await self._move(tx, settings, Row(new), fixed)
        if "host" in changes and changes["host"] not in (row.host, row.profile.get(MIGRATING_TO)):
            changes["status"] = (
                "DOWN"  # until the new host says that it carries the port; the next one does already
            )
        await touch_ports(tx, row)
        if new["device_id"] != row.device_id:
            await touch_ports(tx, Row(new))
        return changes

    async def remove(self, req: Request, tx: Transaction, row: Row) -> None:
        if row.device_owner in MANAGED_OWNERS and row.device_id:
            raise ServicePortInUse(id=row.id, reason=f"has device owner {row.device_owner}")
        await delete_port(tx, row)

    async def prepare(self, req: Request, rows: Rows) -> None:
        """Addresses and groups of all of them, two queries in all; what was made just now has both."""
        bare = [row for row in rows if "fixed_ips" not in row]
        if not bare:
            return
        ids = [row.id for row in bare]
        found = await addresses.fixed_ips(req.db, ids)
        groups: dict[str, list[str]] = {port_id: [] for port_id in ids}
        for one in await req.db.all(model.PORT_GROUPS, {"port_id": ids}):
            groups[one.port_id].append(one.security_group_id)
        for row in bare:
            row["fixed_ips"], row["security_groups"] = found[row.id], groups[row.id]

    async def _network(self, req: Request, tx: Transaction, network_id: str) -> Row:
        found = await tx.fetch(
            select(model.NETWORKS).where(model.NETWORKS.c.id == network_id, *visible_networks(req.context))
        )
        if not found:
            raise NetworkNotFound(id=network_id)
        return found[0]

    async def _check_groups(self, req: Request, tx: Transaction, ids: list[str]) -> None:
        kinds = set()
        for group_id in ids:
            group = await may_use(tx, req.context, model.SECURITY_GROUPS, group_id)
            if group is None:
                raise SecurityGroupNotFound(id=group_id)
            kinds.add(group.stateful)
        if len(kinds) > 1:
            raise SecurityGroupConflict(
                reason="cannot apply both stateful and stateless security groups on the same port"
            )

    async def _check_device(
        self, req: Request, tx: Transaction, new: Mapping[str, Any], project_id: str
    ) -> None:
        """Nobody may pass his port off as a leg of a stranger's router."""
        if new.get("device_owner") == INTERFACE and new.get("device_id") and not sees_all(req.context):
            router = await tx.find(model.ROUTERS, id=new["device_id"])
            if router is not None and router.project_id != project_id:
                raise DeviceIDNotOwnedByTenant(device_id=new["device_id"])

    async def _check_mac(self, tx: Transaction, row: Row, mac: str) -> None:
        if row.host:
            raise PortBound(port_id=row.id, vif_type="ovs", old_mac=row.mac_address, new_mac=mac)
        if await tx.count(model.PORTS, network_id=row.network_id, mac_address=mac):
            raise MacAddressInUse(net_id=row.network_id, mac=mac)

    async def _move(self, tx: Transaction, settings: NetworkConfig, port: Row, fixed: Any) -> None:
        """Give the port these addresses and no others; floating IPs of those it loses lead nowhere."""
        before = (await addresses.fixed_ips(tx, [port.id]))[port.id]
        await addresses.release(tx, port.id)
        wanted = []
        for one in fixed:
            old = next((old for old in before if _names(one, old)), None)
            if old is not None:
                before.remove(old)
            wanted.append(old or one)
        await addresses.assign(tx, port, wanted, limit=settings.max_fixed_ips)
        lost = {old["ip_address"] for old in before}
        for floating in await tx.all(model.FLOATING_IPS, {"port_id": port.id}):
            if floating.fixed_ip_address in lost:
                await release_floating(tx, floating)


def _parent(network: Row) -> dict[str, Any]:
    """What rules about ports ask of the network; that the caller may use it at all is checked apart."""
    return {"network:tenant_id": network.project_id, "shared": network.shared or not network.external}


def _names(asked: Mapping[str, str], had: Mapping[str, str]) -> bool:
    """Whether what is asked for is an address that the port has."""
    return all(had.get(name) == value for name, value in asked.items())


def _fill_nulls(values: dict[str, Any]) -> None:
    """Null means nothing."""
    for name, nothing in (
        ("allowed_address_pairs", []),
        ("extra_dhcp_opts", []),
        ("profile", {}),
        ("host", ""),
    ):
        if name in values and values[name] is None:
            values[name] = nothing


def _merged_options(had: list[dict[str, Any]], asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Options are changed one by one; one without value is taken away."""
    merged = {(one["opt_name"], one["ip_version"]): one for one in [*had, *asked]}
    return [one for one in merged.values() if one["opt_value"] is not None]


def _check_pairs(settings: NetworkConfig, pairs: list[dict[str, str]], secured: bool) -> None:
    if not pairs:
        return
    if not secured:
        raise AddressPairAndPortSecurityRequired()
    if len(pairs) > settings.max_allowed_address_pairs:
        raise AllowedAddressPairExhausted(quota=settings.max_allowed_address_pairs)
    seen = set()
    for pair in pairs:
        key = (pair["ip_address"], pair.get("mac_address"))
        if key in seen:
            raise DuplicateAddressPairInRequest(mac_address=key[1], ip_address=key[0])
        seen.add(key)


def _dns_assignment(row: Row, req: Request) -> list[dict[str, str]]:
    domain = row.dns_domain or req.house.config.section(NetworkConfig).dns_domain
    assigned = []
    for fixed in row.fixed_ips:
        address = fixed["ip_address"]
        hostname = row.dns_name or "host-" + address.replace(".", "-").replace(":", "-")
        fqdn = hostname if hostname.endswith(".") else f"{hostname}.{domain}"
        assigned.append({"ip_address": address, "hostname": hostname, "fqdn": fqdn})
    return assigned


def _by_fixed_ips(asked: list[str]) -> list[ColumnElement[bool]]:
    """`fixed_ips=ip_address=10.0.0.5`, `…subnet_id=…`, `…ip_address_substr=0.5`: each must hold for some address."""
    having: dict[str, list[str]] = {}
    for text in asked:
        name, _, value = text.partition("=")
        if name not in ("ip_address", "subnet_id", "ip_address_substr"):
            raise refuse_value(
                "fixed_ips", f"'{text}' is not ip_address=…, subnet_id=… or ip_address_substr=…"
            )
        having.setdefault(name, []).append(value)
    table = model.ADDRESSES.c
    tests: list[ColumnElement[bool]] = []
    if "subnet_id" in having:
        tests.append(table.subnet_id.in_(having["subnet_id"]))
    if "ip_address" in having:
        tests.append(table.ip_address.in_([_canonical(value) for value in having["ip_address"]]))
    if "ip_address_substr" in having:
        parts = having["ip_address_substr"]
        tests.append(or_(*(table.ip_address.contains(part, autoescape=True) for part in parts)))
    return [model.PORTS.c.id.in_(select(table.port_id).where(*tests))]


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address
