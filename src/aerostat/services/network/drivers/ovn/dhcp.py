"""What guests are told by DHCP, in OVN's words (ovn-nb(5), table DHCP_Options)."""

import hashlib
import ipaddress
from collections.abc import Iterable

from ...host.protocol import METADATA_ADDRESS, OwnDhcp, Port, Subnet

LEASE_S = 43200

# The API's names (dnsmasq's, that is) where OVN's differ in more than hyphens.
_OVN_NAMES = {
    "arp-timeout": "arp_cache_timeout",
    "domain-search": "domain_search_list",
    "server-ip-address": "tftp_server_address",
    "tcp-keepalive": "tcp_keepalive_interval",
    "66": "tftp_server",
    "67": "bootfile_name",
    "150": "tftp_server_address",
    "209": "bootfile_name_alt",
    "210": "path_prefix",
    "252": "wpad",
}
_KNOWN_V4 = {
    "arp_cache_timeout", "bootfile_name", "bootfile_name_alt", "broadcast_address",
    "classless_static_route", "default_ttl", "dns_server", "domain_name", "domain_search_list",
    "ethernet_encap", "ip_forward_enable", "lease_time", "log_server", "lpr_server",
    "ms_classless_static_route", "mtu", "netmask", "nis_server", "ntp_server", "path_prefix",
    "policy_filter", "router", "router_discovery", "router_solicitation", "server_id", "swap_server",
    "T1", "T2", "tcp_keepalive_interval", "tcp_ttl", "tftp_server", "tftp_server_address", "wpad",
}  # fmt: skip
_KNOWN_V6 = {
    "bootfile_name", "bootfile_name_alt", "dns_server", "domain_search", "server_id",
}  # fmt: skip
_QUOTED = {
    "bootfile_name", "bootfile_name_alt", "domain_name", "domain_search", "domain_search_list",
    "path_prefix", "tftp_server", "wpad",
}  # fmt: skip


def subnet_options(subnet: Subnet) -> dict[str, str] | None:
    """What all guests of a subnet are told; None where nobody answers."""
    if not subnet.dhcp:
        return None
    if ipaddress.ip_network(subnet.cidr).version == 4:
        return _v4_options(subnet)
    return _v6_options(subnet) if subnet.ipv6_mode in ("dhcpv6-stateful", "dhcpv6-stateless") else None


def port_options(own: OwnDhcp) -> dict[str, str] | None:
    """What one port's guest is told: its subnet's options, with its own over them."""
    options = subnet_options(own.subnet)
    if options is None:
        return None
    version = ipaddress.ip_network(own.subnet.cidr).version
    for option in own.options:
        name = _OVN_NAMES.get(option.name, option.name.replace("-", "_"))
        if version == 6 and option.name == "domain-search":
            name = "domain_search"
        if name in (_KNOWN_V4 if version == 4 else _KNOWN_V6):
            value = option.value.replace('"', "")
            options[name] = f'"{value}"' if name in _QUOTED else value
    return options


def own_key(port: Port, own: OwnDhcp) -> str:
    return f"{port.id}-{own.subnet.id}"


def _v4_options(subnet: Subnet) -> dict[str, str]:
    first = str(next(ipaddress.ip_network(subnet.cidr).hosts()))
    server = subnet.gateway_ip or subnet.metadata_ip or first
    routes = [(route.destination, route.next_hop) for route in subnet.host_routes]
    if subnet.metadata_ip:
        routes.append((f"{METADATA_ADDRESS}/32", subnet.metadata_ip))
    options = {
        "server_id": server,
        "server_mac": derived_mac(subnet.id),
        "lease_time": str(LEASE_S),
        "mtu": str(subnet.mtu),
        # Names are answered on the way to any resolver, so guests need one to ask even if none was given.
        "dns_server": _braced(subnet.dns_servers or (server,)),
    }
    if subnet.gateway_ip:
        options["router"] = subnet.gateway_ip
        # A client that understands option 121 ignores the router option: the default route goes in both.
        routes.append(("0.0.0.0/0", subnet.gateway_ip))
    if subnet.dns_domain:
        options["domain_name"] = f'"{subnet.dns_domain.rstrip(".")}"'
    if routes:
        options["classless_static_route"] = _braced(f"{to},{via}" for to, via in routes)
    return options


def _v6_options(subnet: Subnet) -> dict[str, str]:
    options = {"server_id": derived_mac(subnet.id)}
    if subnet.dns_servers:
        options["dns_server"] = _braced(subnet.dns_servers)
    if subnet.dns_domain:
        options["domain_search"] = f'"{subnet.dns_domain.rstrip(".")}"'
    if subnet.ipv6_mode == "dhcpv6-stateless":
        options["dhcpv6_stateless"] = "true"
    return options


def _braced(items: Iterable[str]) -> str:
    """A list as DHCP options are written in OVN."""
    return "{" + ", ".join(items) + "}"


def derived_mac(text: str) -> str:
    """A locally administered MAC address that is always the same for the same text."""
    digest = hashlib.sha256(text.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))
