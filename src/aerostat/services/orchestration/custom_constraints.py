"""Custom constraints: values that only the cloud can judge, such as `nova.flavor`.

A room that is not in this house judges nothing.
"""

import ipaddress
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from aerostat.kernel.client import RoomError
from aerostat.kernel.context import Context
from aerostat.kernel.house import House

from .lookup import NotThere, find_id

# constraint → (room, what is looked for, its name in messages)
_THINGS = {
    "nova.flavor": ("compute", "flavor", "Flavor"),
    "nova.keypair": ("compute", "keypair", "Key"),
    "nova.server": ("compute", "server", "Server"),
    "glance.image": ("image", "image", "Image"),
    "neutron.network": ("network", "network", "Network"),
    "neutron.subnet": ("network", "subnet", "Subnet"),
    "neutron.subnetpool": ("network", "subnet_pool", "Subnetpool"),
    "neutron.port": ("network", "port", "Port"),
    "neutron.router": ("network", "router", "Router"),
    "neutron.security_group": ("network", "security_group", "SecurityGroup"),
    "keystone.project": ("identity", "project", "KeystoneProject"),
    "keystone.user": ("identity", "user", "KeystoneUser"),
    "keystone.role": ("identity", "role", "KeystoneRole"),
    "keystone.group": ("identity", "group", "KeystoneGroup"),
    "keystone.domain": ("identity", "domain", "KeystoneDomain"),
    "keystone.service": ("identity", "service", "KeystoneService"),
    "keystone.region": ("identity", "region", "KeystoneRegion"),
}
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-]?)[0-9a-fA-F]{2}(\1[0-9a-fA-F]{2}){4}")
_DNS_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


def checker(house: House, context: Context) -> Callable[[str, Any], Awaitable[str | None]]:
    """`await check(name, value)`: the reason against the value, None when it may stand. Asks once about each."""
    known: dict[tuple[str, str], str | None] = {}

    async def check(name: str, value: Any) -> str | None:
        key = (name, str(value))
        if key not in known:
            known[key] = await _judge(house, context, name, value)
        return known[key]

    return check


async def _judge(house: House, context: Context, name: str, value: Any) -> str | None:
    if name in _THINGS:
        room, what, word = _THINGS[name]
        if room not in house.services or value in (None, ""):
            return None
        try:
            await find_id(house.client(room, context), what, str(value))
        except NotThere as error:
            return error.text(word, value)
        except RoomError as error:
            return error.text if error.status < 500 else None
        return None
    if name in _FORMS:
        return _FORMS[name](value)
    if name in _TAKEN_AS_GIVEN:
        return None
    raise LookupError(name)


def _ip_addr(value: Any) -> str | None:
    return _parsed(ipaddress.ip_address, value, "Invalid IP address")


def _net_cidr(value: Any) -> str | None:
    if "/" not in str(value):
        return f"Invalid net cidr {value}"
    return _parsed(lambda text: ipaddress.ip_network(text, strict=False), value, f"Invalid net cidr {value}")


def _ip_or_cidr(value: Any) -> str | None:
    return _parsed(lambda text: ipaddress.ip_network(text, strict=False), value, "Invalid IP or CIDR")


def _mac_addr(value: Any) -> str | None:
    return None if _MAC.fullmatch(str(value)) else "Invalid MAC address."


def _dns_name(value: Any) -> str | None:
    labels = str(value).rstrip(".").split(".")
    fine = len(str(value)) <= 255 and all(_DNS_LABEL.fullmatch(one) for one in labels)
    return None if fine else f"'{value}' is not a valid domain name."


def _timestamp(value: Any) -> str | None:
    return _parsed(datetime.fromisoformat, value, f"Invalid timestamp '{value}'")


def _parsed(parse: Callable[[str], Any], value: Any, complaint: str) -> str | None:
    try:
        parse(str(value))
    except ValueError:
        return complaint
    return None


_FORMS: dict[str, Callable[[Any], str | None]] = {
    "ip_addr": _ip_addr,
    "net_cidr": _net_cidr,
    "ip_or_cidr": _ip_or_cidr,
    "mac_addr": _mac_addr,
    "dns_name": _dns_name,
    "dns_domain": _dns_name,
    "rel_dns_name": _dns_name,
    "iso_8601": _timestamp,
    "expiration": _timestamp,
}
# Known upstream, about things that no room here has, or that the room itself judges when it is asked.
_TAKEN_AS_GIVEN = frozenset(
    {
        "cinder.volume",
        "cinder.snapshot",
        "cinder.backup",
        "cinder.vtype",
        "cinder.qos_specs",
        "nova.availability_zone",
        "nova.host",
        "neutron.qos_policy",
        "neutron.address_scope",
        "neutron.provider_network",
        "cron_expression",
        "timezone",
    }
)
