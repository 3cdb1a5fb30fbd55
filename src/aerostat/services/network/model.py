"""Tables of the network room.

What a constraint says here is what holds when two requests race: one address per subnet once, one MAC address per
network once, one default security group per project. `network_changes` names the things that the world has not been
told of yet; `network_rbac` says who sees things of other projects.
"""

from typing import Any

from sqlalchemy import Boolean, Column, Index, Integer, MetaData, String, Table, UniqueConstraint

from aerostat.kernel import clock, ids
from aerostat.kernel.db import Json, UtcTime, created_at, new_table, uuid_id

TABLES = MetaData()


def _standard_table(name: str, *columns: Any) -> Table:
    """A table with what every resource of this API has."""
    return new_table(
        TABLES,
        name,
        uuid_id(),
        Column("project_id", String(255), nullable=False, index=True),
        *columns,
        Column("description", String(255), nullable=False, default=""),
        Column("tags", Json, nullable=False, default=list),
        Column("revision_number", Integer, nullable=False, default=1),
        created_at(),
        Column("updated_at", UtcTime, nullable=False, default=clock.now, onupdate=clock.now),
    )


def _flag(name: str, default: bool) -> Column[bool]:
    return Column(name, Boolean, nullable=False, default=default)


def _text(name: str, default: str | None = "", *, index: bool = False) -> Column[str]:
    return Column(name, String(255), nullable=default is None, default=default, index=index)


def _id(name: str, *, nullable: bool = False, index: bool = True) -> Column[str]:
    return Column(name, String(36), nullable=nullable, index=index)


NETWORKS = _standard_table(
    "network_networks",
    _text("name"),
    Column("status", String(16), nullable=False, default="ACTIVE"),
    _flag("admin_state_up", True),
    _flag("shared", False),
    _flag("external", False),
    _flag("is_default", False),
    _flag("port_security_enabled", True),
    Column("mtu", Integer, nullable=False),
    _text("dns_domain"),
    Column("network_type", String(32), nullable=False),
    Column("physical_network", String(64)),
    Column("segmentation_id", Integer),
    Column("availability_zone_hints", Json, nullable=False, default=list),
    # Segments are unique; untunnelled flat ones once per wire.
    Column("segment_key", String(128), nullable=False, unique=True),
)

SUBNETS = _standard_table(
    "network_subnets",
    _id("network_id"),
    _text("name"),
    Column("ip_version", Integer, nullable=False),
    Column("cidr", String(64), nullable=False),
    Column("gateway_ip", String(64)),
    _flag("enable_dhcp", True),
    _flag("dns_publish_fixed_ip", False),
    Column("allocation_pools", Json, nullable=False),
    Column("dns_nameservers", Json, nullable=False, default=list),
    Column("host_routes", Json, nullable=False, default=list),
    Column("service_types", Json, nullable=False, default=list),
    Column("ipv6_address_mode", String(32)),
    Column("ipv6_ra_mode", String(32)),
    _id("subnetpool_id", nullable=True),
)

SUBNET_POOLS = _standard_table(
    "network_subnet_pools",
    _text("name"),
    Column("ip_version", Integer, nullable=False),
    Column("prefixes", Json, nullable=False),
    Column("min_prefixlen", Integer, nullable=False),
    Column("max_prefixlen", Integer, nullable=False),
    Column("default_prefixlen", Integer, nullable=False),
    Column("default_quota", Integer),
    _flag("shared", False),
    _flag("is_default", False),
    _id("address_scope_id", nullable=True),
)

PORTS = _standard_table(
    "network_ports",
    _id("network_id"),
    _text("name"),
    Column("mac_address", String(17), nullable=False, index=True),
    _flag("admin_state_up", True),
    Column("status", String(16), nullable=False, default="DOWN"),
    _text("device_id", index=True),
    _text("device_owner", index=True),
    _flag("port_security_enabled", True),
    _text("host"),
    Column("vnic_type", String(64), nullable=False, default="normal"),
    Column("profile", Json, nullable=False, default=dict),
    Column("allowed_address_pairs", Json, nullable=False, default=list),
    Column("extra_dhcp_opts", Json, nullable=False, default=list),
    _text("dns_name"),
    _text("dns_domain"),
    UniqueConstraint("network_id", "mac_address", name="network_ports_mac"),
)
Index("network_ports_changed", PORTS.c.updated_at)
Index("network_ports_carried", PORTS.c.host, PORTS.c.status)

ADDRESSES = new_table(
    TABLES,
    "network_addresses",
    Column("subnet_id", String(36), primary_key=True),
    Column("ip_address", String(64), primary_key=True),
    _id("port_id"),
    Column("network_id", String(36), nullable=False),
    Column("place", Integer, nullable=False, default=0),  # among the addresses of the port
    Index("network_addresses_by_network", "network_id", "ip_address"),
)

PORT_GROUPS = new_table(
    TABLES,
    "network_port_security_groups",
    Column("port_id", String(36), primary_key=True),
    Column("security_group_id", String(36), primary_key=True, index=True),
)

SECURITY_GROUPS = _standard_table(
    "network_security_groups",
    _text("name"),
    _flag("stateful", True),
    _flag("shared", False),
    Column("default_for", String(255), unique=True),  # the project whose default group this is
)

SECURITY_GROUP_RULES = new_table(
    TABLES,
    "network_security_group_rules",
    uuid_id(),
    Column("project_id", String(255), nullable=False, index=True),
    _id("security_group_id"),
    Column("direction", String(8), nullable=False),
    Column("ethertype", String(8), nullable=False),
    Column("protocol", String(40)),
    Column("port_range_min", Integer),
    Column("port_range_max", Integer),
    Column("remote_ip_prefix", String(64)),
    _id("remote_group_id", nullable=True),
    _text("description", None),
    Column("revision_number", Integer, nullable=False, default=0),
    created_at(),
    Column("updated_at", UtcTime, nullable=False, default=clock.now, onupdate=clock.now),
)

ROUTERS = _standard_table(
    "network_routers",
    _text("name"),
    Column("status", String(16), nullable=False, default="ACTIVE"),
    _flag("admin_state_up", True),
    _id("gateway_port_id", nullable=True),
    _id("gateway_network_id", nullable=True),
    _flag("enable_snat", True),
    Column("routes", Json, nullable=False, default=list),
    Column("availability_zone_hints", Json, nullable=False, default=list),
)

FLOATING_IPS = _standard_table(
    "network_floating_ips",
    Column("floating_network_id", String(36), nullable=False, index=True),
    Column("floating_ip_address", String(64), nullable=False, index=True),
    _id("floating_port_id"),
    Column("status", String(16), nullable=False, default="DOWN"),
    _id("port_id", nullable=True),
    Column("fixed_ip_address", String(64)),
    _id("router_id", nullable=True),
    _text("dns_name"),
    _text("dns_domain"),
    UniqueConstraint(
        "floating_network_id", "port_id", "fixed_ip_address", name="network_floating_ips_target"
    ),
)

ADDRESS_SCOPES = _standard_table(
    "network_address_scopes",
    _text("name"),
    Column("ip_version", Integer, nullable=False),
    _flag("shared", False),
)

RBAC = new_table(
    TABLES,
    "network_rbac",
    uuid_id(),
    Column("project_id", String(255), nullable=False, index=True),
    Column("object_type", String(32), nullable=False),
    _id("object_id"),
    Column("action", String(32), nullable=False),
    Column("target_tenant", String(255), nullable=False, index=True),  # a project, or *
    UniqueConstraint("object_id", "action", "target_tenant", name="network_rbac_once"),
)

AGENTS = new_table(
    TABLES,
    "network_agents",
    uuid_id(),
    Column("host", String(255), nullable=False),
    Column("agent_type", String(64), nullable=False),
    Column("binary", String(64), nullable=False),
    Column("topic", String(64), nullable=False, default="N/A"),
    _text("availability_zone"),
    _text("description"),
    _flag("admin_state_up", True),
    Column("configurations", Json, nullable=False, default=dict),
    Column("created_at", UtcTime, nullable=False, default=clock.now),
    Column("started_at", UtcTime, nullable=False, default=clock.now),
    Column("heartbeat_timestamp", UtcTime, nullable=False, default=clock.now),
    UniqueConstraint("host", "agent_type", name="network_agents_once"),
)

CHANGES = new_table(
    TABLES,
    "network_changes",
    Column("id", String(36), primary_key=True, default=ids.new_id),
    Column("kind", String(16), nullable=False),
    Column("thing_id", String(36), nullable=False),
    _text("device_id"),  # whose ports look different now
)

AUTO_TOPOLOGIES = new_table(
    TABLES,
    "network_auto_topologies",
    Column("project_id", String(255), primary_key=True),
    _id("network_id", index=False),
    _id("router_id", index=False),
)

MARKS = new_table(
    TABLES,
    "network_marks",
    Column("name", String(64), primary_key=True),  # what was done once and is not done again
    created_at(),
)
