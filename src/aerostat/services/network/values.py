"""Values of bodies: addresses, prefixes, MAC addresses and lists of them, read and put into canonical form.

Each function takes what a client sent and answers what is stored. Raises `ValueError` with upstream's reason, which
the resource words as «Invalid input for <attribute>. Reason: <reason>.»
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from aerostat.kernel import ids

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Prefix = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)


def ip(value: Any) -> str:
    try:
        return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
    except ValueError:
        raise ValueError(f"'{value}' is not a valid IP address") from None


def ip_or_none(value: Any) -> str | None:
    return None if value is None else ip(value)


def cidr(value: Any) -> str:
    """A subnet's prefix. Host bits are cleared, as upstream does."""
    if isinstance(value, str) and "/" in value:
        try:
            return str(ipaddress.ip_network(value, strict=False))
        except ValueError:
            pass
    raise ValueError(f"'{value}' is not a valid IP subnet")


def cidr_or_none(value: Any) -> str | None:
    return None if value is None else cidr(value)


def prefix(value: Any) -> str | None:
    """An address or a prefix, as a prefix; nothing becomes None."""
    if value in (None, ""):
        return None
    try:
        return str(ipaddress.ip_network(value if isinstance(value, str) else "", strict=False))
    except ValueError:
        raise ValueError(f"Invalid CIDR {value} given as IP prefix") from None


def interface(value: Any) -> str | None:
    """An address with the length of its prefix, as it was given; nothing becomes None."""
    if prefix(value) is None:
        return None
    return str(ipaddress.ip_interface(value))


def mac(value: Any) -> str:
    text = str(value).lower().replace("-", ":")
    if not _MAC.fullmatch(text) or text == "00:00:00:00:00:00":
        raise ValueError(f"'{value}' is not a valid MAC address")
    return text


def uuid(value: Any) -> str:
    if not ids.is_uuid(value):
        raise ValueError(f"'{value}' is not a valid UUID")
    return str(value)


def uuid_or_none(value: Any) -> str | None:
    return None if value is None else uuid(value)


def uuids(value: Any) -> list[str]:
    """Distinct ids, in the order given."""
    if value is None:
        return []
    for one in _items(value):
        uuid(one)
    if len(set(value)) != len(value):
        raise ValueError(f"Duplicate items in the list: '{_duplicates(value)}'")
    return list(value)


def nameservers(value: Any) -> list[str]:
    found = [_nameserver(one) for one in _items(value or [])]
    if len(set(found)) != len(found):
        raise ValueError(f"Duplicate nameserver '{_duplicates(found)}'")
    return found


def routes(value: Any) -> list[dict[str, str]]:
    """`[{"destination": …, "nexthop": …}]`"""
    found: list[dict[str, str]] = []
    for one in _items(value or []):
        if not isinstance(one, dict) or set(one) != {"destination", "nexthop"}:
            raise ValueError(f"Invalid data format for hostroute: '{one}'")
        route = {"destination": cidr(one["destination"]), "nexthop": ip(one["nexthop"])}
        if route in found:
            raise ValueError(f"Duplicate hostroute '{route}'")
        found.append(route)
    return found


def pools(value: Any) -> list[dict[str, str]]:
    """`[{"start": …, "end": …}]`"""
    found = []
    for one in _items(value):
        if not isinstance(one, dict) or set(one) != {"start", "end"}:
            raise ValueError(f"Invalid data format for IP pool: '{one}'")
        found.append({"start": ip(one["start"]), "end": ip(one["end"])})
    return found


def fixed_ips(value: Any) -> list[dict[str, str]]:
    """`[{"subnet_id": …, "ip_address": …}]`, each with one of the two or both."""
    found: list[dict[str, str]] = []
    for one in _items(value):
        if not isinstance(one, dict) or set(one) - {"subnet_id", "ip_address"}:
            raise ValueError(f"Invalid data format for fixed IP: '{one}'")
        fixed = {}
        if one.get("subnet_id") is not None:
            fixed["subnet_id"] = uuid(one["subnet_id"])
        if one.get("ip_address") is not None:
            fixed["ip_address"] = ip(one["ip_address"])
            if any(other.get("ip_address") == fixed["ip_address"] for other in found):
                raise ValueError(f"Duplicate IP address '{fixed['ip_address']}'")
        found.append(fixed)
    return found


def address_pairs(value: Any) -> list[dict[str, str]]:
    """`[{"ip_address": address or prefix, "mac_address": optional}]`"""
    found = []
    for one in _items(value or []):
        if not isinstance(one, dict) or "ip_address" not in one:
            raise ValueError("AllowedAddressPair must contain ip_address")
        if unknown := set(one) - {"ip_address", "mac_address"}:
            raise ValueError(f"Unrecognized attribute(s) '{', '.join(sorted(unknown))}'")
        text = one["ip_address"]
        pair = {"ip_address": cidr(text) if "/" in str(text) else ip(text)}
        if one.get("mac_address") is not None:
            pair["mac_address"] = mac(one["mac_address"])
        found.append(pair)
    return found


def dhcp_options(value: Any) -> list[dict[str, Any]]:
    """`[{"opt_name": …, "opt_value": …, "ip_version": 4 or 6}]`; a value of None takes the option away."""
    found = []
    for one in _items(value or []):
        if not isinstance(one, dict) or not isinstance(one.get("opt_name"), str) or not one["opt_name"]:
            raise ValueError(f"Invalid data format for extra DHCP option: '{one}'")
        if set(one) - {"opt_name", "opt_value", "ip_version"}:
            raise ValueError(f"Invalid data format for extra DHCP option: '{one}'")
        version = one.get("ip_version", 4)
        if str(version) not in ("4", "6"):
            raise ValueError(f"'{version}' is not in [4, 6]")
        setting = one.get("opt_value")
        if setting is not None and not isinstance(setting, str | int):
            raise ValueError(f"'{setting}' is not a valid string")
        found.append(
            {
                "opt_name": one["opt_name"],
                "opt_value": None if setting is None else str(setting),
                "ip_version": int(version),
            }
        )
    return found


def dns_label(value: Any) -> str:
    """A host's name, or several with dots, 255 characters in all."""
    text = value if isinstance(value, str) else ""
    _check_name(text, value, "PQDN or FQDN")
    return text


def dns_domain(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    if text and not text.endswith("."):
        raise ValueError(f"'{text}' is not a FQDN")
    _check_name(text, value, "FQDN")
    return text


def tags(value: Any) -> list[str]:
    for one in _items(value):
        if not isinstance(one, str) or not 1 <= len(one) <= 255:
            raise ValueError(f"'{one}' is not a valid tag: 1 to 255 characters")
    return sorted(dict.fromkeys(value))


def choice(*allowed: Any) -> Callable[[Any], Any]:
    """A reader that takes only these."""

    def read(value: Any) -> Any:
        if value not in allowed:
            raise ValueError(f"'{value}' is not in {list(allowed)}")
        return value

    return read


def eui64(subnet_cidr: str, mac_address: str) -> str:
    """The address that a guest makes for itself in an IPv6 prefix out of its MAC address."""
    octets = bytes.fromhex(mac_address.replace(":", ""))
    interface = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    network = ipaddress.IPv6Network(subnet_cidr)
    return str(network.network_address + int.from_bytes(interface))


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"'{value}' is not a list")
    return value


def _duplicates(value: list[Any]) -> str:
    return ", ".join(sorted({str(one) for one in value if value.count(one) > 1}))


def _nameserver(value: Any) -> str:
    try:
        return ip(value)
    except ValueError:
        raise ValueError(f"'{value}' is not a valid nameserver. {value} is not a valid IP address") from None


def _check_name(text: str, value: Any, kind: str) -> None:
    if not isinstance(value, str) or len(text) > 255:
        raise ValueError(f"'{value}' is not a valid {kind}")
    labels = text.removesuffix(".").split(".") if text else []
    if not all(_HOST_LABEL.fullmatch(label) for label in labels):
        raise ValueError(
            f"'{value}' not a valid {kind}. Reason: labels must be 1 to 63 letters, digits or hyphens"
        )
