"""Security group rules as OVN access lists.

Every secured port is in the drop group (priority 1001: no IP at all) and in the groups of its rules (1002:
may pass, and so may what answers). ARP is not IP and passes; neighbour discovery and DHCP answers are let
through by OVN itself; asking for DHCP and for metadata is allowed here, so that a port without any egress
rule still boots.
"""

from ...host.protocol import METADATA_ADDRESS, Rule

DROP_GROUP = "pg_aerostat_drop"
DROP_PRIORITY, ALLOW_PRIORITY = 1001, 1002

# IANA's numbers for the names the network API takes; tcp, udp, sctp and icmp have words of their own in OVN.
PROTOCOL_NUMBERS = {
    "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "icmp": 1, "icmpv6": 58, "igmp": 2, "ipip": 4,
    "ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "ipv6-route": 43,
    "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136, "vrrp": 112,
}  # fmt: skip
_WITH_PORTS = {6: "tcp", 17: "udp", 132: "sctp"}


def group_name(security_group_id: str) -> str:
    """A port group's name; OVN also makes the address sets `<name>_ip4` and `<name>_ip6` of its members."""
    return "pg_" + security_group_id.replace("-", "_")


def drop_matches() -> list[tuple[str, str, int, str, str]]:
    """The drop group's access lists: (key, direction, priority, match, action)."""
    sender = f"inport == @{DROP_GROUP}"
    dhcp4 = f"{sender} && ip4 && udp.src == 68 && udp.dst == 67"
    dhcp6 = f"{sender} && ip6 && udp.src == 546 && udp.dst == 547"
    metadata = f"{sender} && ip4 && ip4.dst == {METADATA_ADDRESS} && tcp.dst == 80"
    return [
        ("drop-in", "to-lport", DROP_PRIORITY, f"outport == @{DROP_GROUP} && ip", "drop"),
        ("drop-out", "from-lport", DROP_PRIORITY, f"{sender} && ip", "drop"),
        ("dhcp4", "from-lport", ALLOW_PRIORITY, dhcp4, "allow"),
        ("dhcp6", "from-lport", ALLOW_PRIORITY, dhcp6, "allow"),
        ("metadata", "from-lport", ALLOW_PRIORITY, metadata, "allow-related"),
    ]


def rule_direction(rule: Rule) -> str:
    return "to-lport" if rule.direction == "ingress" else "from-lport"


def rule_match(group: str, rule: Rule) -> str:
    """The condition under which `rule` lets a packet of a member of the port group `group` pass."""
    family = "ip4" if rule.ethertype == "IPv4" else "ip6"
    ingress = rule.direction == "ingress"
    terms = [f"{'outport' if ingress else 'inport'} == @{group}", family]
    remote = f"{family}.{'src' if ingress else 'dst'}"
    if rule.remote_group_id:
        terms.append(f"{remote} == ${group_name(rule.remote_group_id)}_{family}")
    elif rule.remote_ip_prefix:
        terms.append(f"{remote} == {rule.remote_ip_prefix}")
    return " && ".join(terms + _protocol_terms(rule))


def _protocol_terms(rule: Rule) -> list[str]:
    if rule.protocol in (None, "", "any", "0"):
        return []
    number = PROTOCOL_NUMBERS.get(str(rule.protocol).lower())
    number = int(str(rule.protocol)) if number is None else number
    if number in (1, 58):
        # The API says «icmp» for both families: the ethertype decides.
        word = "icmp4" if rule.ethertype == "IPv4" else "icmp6"
        kind = [f"{word}.type == {rule.port_min}"] if rule.port_min is not None else []
        code = [f"{word}.code == {rule.port_max}"] if rule.port_max is not None else []
        return [word, *kind, *code]
    word = _WITH_PORTS.get(number, "")
    if not word:
        return [f"ip.proto == {number}"]
    if rule.port_min is None or rule.port_max is None:
        return [word]
    if rule.port_min == rule.port_max:
        return [f"{word}.dst == {rule.port_min}"]
    return [f"{word}.dst >= {rule.port_min}", f"{word}.dst <= {rule.port_max}"]
