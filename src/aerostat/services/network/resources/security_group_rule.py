"""Rules of security groups: what may pass, in which direction. Everything else is dropped.

https://docs.openstack.org/api-ref/network/v2/#security-group-rules-security-group-rules
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

from sqlalchemy import or_, select

from aerostat.kernel.db import Row, Transaction
from aerostat.kernel.fields import Field
from aerostat.kernel.http import Request
from aerostat.kernel.policy import Policy, Term, admin, project_member, project_reader
from aerostat.kernel.resource import Conditions, Resource, View

from .. import model, values
from ..changes import touch
from ..errors import (
    SecurityGroupEthertypeConflictWithProtocol,
    SecurityGroupInvalidIcmpValue,
    SecurityGroupInvalidPortRange,
    SecurityGroupInvalidPortValue,
    SecurityGroupInvalidProtocolForPort,
    SecurityGroupMissingIcmpType,
    SecurityGroupNotFound,
    SecurityGroupProtocolRequiredWithPorts,
    SecurityGroupRemoteGroupAndRemoteIpPrefix,
    SecurityGroupRuleExists,
    SecurityGroupRuleInvalidEtherType,
    SecurityGroupRuleInvalidProtocol,
    SecurityGroupRuleNotFound,
    SecurityGroupRuleParameterConflict,
)
from ..resource import NetworkResource
from ..sight import sees_all

_PROTOCOLS = {
    "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "hopopt": 0, "icmp": 1, "igmp": 2, "ip": 0, "ipip": 4,
    "ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "icmpv6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60,
    "ipv6-route": 43, "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136,
    "vrrp": 112,
}  # fmt: skip
_WITH_PORTS = frozenset({"tcp", "udp", "sctp", "dccp", "udplite", "6", "17", "132", "33", "136"})
_ICMP = frozenset({"icmp", "1", "icmpv6", "ipv6-icmp", "58"})
_ONLY_V6 = frozenset(
    {"icmpv6", "ipv6-icmp", "ipv6-encap", "ipv6-frag", "ipv6-nonxt", "ipv6-opts", "ipv6-route"}
    | {"41", "43", "44", "58", "59", "60"}
)
_SAME = (
    "direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix", "remote_group_id",
)  # fmt: skip


def _protocol(value: Any) -> str | None:
    if value is None or str(value).lower() in ("any", ""):
        return None
    text = str(value).lower()
    if text in _PROTOCOLS or (text.isdigit() and int(text) <= 255):
        return text
    raise SecurityGroupRuleInvalidProtocol(protocol=value, values=[None, *sorted(_PROTOCOLS)])


def _ethertype(value: Any) -> str:
    for known in ("IPv4", "IPv6"):
        if isinstance(value, str) and value.lower() == known.lower():
            return known
    raise SecurityGroupRuleInvalidEtherType(ethertype=value, values=["IPv4", "IPv6"])


def _port(value: Any) -> int | None:
    if value is None or value == "":
        return None
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise SecurityGroupInvalidPortValue(port=value) from None
    if isinstance(value, bool) or not 0 <= number <= 65535:
        raise SecurityGroupInvalidPortValue(port=value)
    return number


class SecurityGroupRule(NetworkResource):
    path = "/security-group-rules/{id}"
    singular, plural = "security_group_rule", "security_group_rules"
    table = model.SECURITY_GROUP_RULES
    not_found = SecurityGroupRuleNotFound
    quota = "security_group_rule"
    verbs = ("list", "show", "create", "delete")
    standard = ("id", "project_id", "tenant_id", "revision_number", "created_at", "updated_at")
    policy = Policy(
        "{verb}_security_group_rule",
        verbs={"list": "get", "show": "get"},
        default=admin | project_member,
        list=admin | project_reader | Term("tenant_id:%(security_group:tenant_id)s"),
        show=admin | project_reader | Term("tenant_id:%(security_group:tenant_id)s"),
    )
    readers = {
        "security_group_id": values.uuid,
        "direction": values.choice("ingress", "egress"),
        "ethertype": _ethertype,
        "protocol": _protocol,
        "port_range_min": _port,
        "port_range_max": _port,
        "remote_ip_prefix": values.interface,
    }
    _ANYTHING: Mapping[str, Any] = {}

    security_group_id = Field(str, create="required")
    direction = Field(str, create="required", schema=_ANYTHING)
    ethertype = Field(str, create="optional", schema=_ANYTHING, default="IPv4")
    protocol = Field(str, create="optional", schema=_ANYTHING, default=None)
    port_range_min = Field(int, create="optional", schema=_ANYTHING, default=None)
    port_range_max = Field(int, create="optional", schema=_ANYTHING, default=None)
    remote_ip_prefix = Field(str, create="optional", nullable=True, default=None)
    remote_group_id = Field(str, create="optional", nullable=True, default=None)
    remote_address_group_id = Field(str, compute=lambda row, req: None)
    normalized_cidr = Field(str, compute=lambda row, req: values.prefix(row.remote_ip_prefix))
    description = Field(str, create="optional", nullable=True, length=(0, 255), default="")

    def visible(self, req: Request) -> Conditions:
        """One's own, and those of one's own groups whoever made them."""
        if sees_all(req.context):
            return []
        groups = model.SECURITY_GROUPS.c
        own = select(groups.id).where(groups.project_id == req.context.project_id)
        rules = model.SECURITY_GROUP_RULES.c
        return [or_(rules.project_id == req.context.project_id, rules.security_group_id.in_(own))]

    def whole_view(self, req: Request, row: Row) -> View:
        """The rule as part of its group: `fields=` is about the group."""
        return Resource.view(self, req, row)

    async def make(self, req: Request, tx: Transaction, new: dict[str, Any]) -> Row:
        group = await self._group(req, tx, new["security_group_id"])
        if new["remote_group_id"] is not None:
            await self._group(req, tx, new["remote_group_id"])
        _check_remote(new)
        _check_protocol(new)
        await tx.lock(f"network.rules.{group.id}")
        same = await tx.find(
            model.SECURITY_GROUP_RULES, security_group_id=group.id, **{name: new[name] for name in _SAME}
        )
        if same is not None:
            raise SecurityGroupRuleExists(id=same.id)
        row = await tx.insert(model.SECURITY_GROUP_RULES, **new)
        await self._count_up(tx, group)
        return row

    async def remove(self, req: Request, tx: Transaction, row: Row) -> None:
        group = await tx.find(model.SECURITY_GROUPS, id=row.security_group_id)
        if group is not None:
            await self._count_up(tx, group)

    async def _group(self, req: Request, tx: Transaction, group_id: str) -> Row:
        group = await tx.find(model.SECURITY_GROUPS, id=group_id)
        if group is None or not (group.project_id == req.context.project_id or sees_all(req.context)):
            raise SecurityGroupNotFound(id=group_id)
        return group

    async def _count_up(self, tx: Transaction, group: Row) -> None:
        """A group's rules are part of it: it has a new revision."""
        number = group.revision_number + 1
        await tx.update(model.SECURITY_GROUPS, {"id": group.id}, revision_number=number)
        await touch(tx, "security_group", group.id)


def _check_remote(new: Mapping[str, Any]) -> None:
    prefix = new["remote_ip_prefix"]
    if prefix is not None and new["remote_group_id"] is not None:
        raise SecurityGroupRemoteGroupAndRemoteIpPrefix()
    if prefix is not None and f"IPv{ipaddress.ip_interface(prefix).version}" != new["ethertype"]:
        raise SecurityGroupRuleParameterConflict(ethertype=new["ethertype"], cidr=prefix)


def _check_protocol(new: Mapping[str, Any]) -> None:
    protocol, low, high = new["protocol"], new["port_range_min"], new["port_range_max"]
    if protocol in _ONLY_V6 and new["ethertype"] == "IPv4":
        raise SecurityGroupEthertypeConflictWithProtocol(ethertype="IPv4", protocol=protocol)
    if low is None and high is None:
        return
    if protocol is None:
        raise SecurityGroupProtocolRequiredWithPorts()
    if protocol in _WITH_PORTS:
        if low is None or high is None or low > high:
            raise SecurityGroupInvalidPortRange()
        if low == 0 and protocol in ("tcp", "udp", "6", "17"):
            raise SecurityGroupInvalidPortValue(port=low)
    elif protocol in _ICMP:
        for value, word, attribute in ((low, "type", "port_range_min"), (high, "code", "port_range_max")):
            if value is not None and value > 255:
                raise SecurityGroupInvalidIcmpValue(field=word, attr=attribute, value=value)
        if low is None:
            raise SecurityGroupMissingIcmpType(value=high)
    else:
        raise SecurityGroupInvalidProtocolForPort(protocol=protocol)
