"""Tables of the compute room.

A server's row holds all that its API shows (addresses, tags, metadata, the flavor as it was), so that a show is one
read and a list is one more. What other rooms know better (ports, allocations, images) is copied here only to be
shown, and is asked again where a decision hangs on it.
"""

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Text, UniqueConstraint

from aerostat.kernel.db import Json, UtcTime, created_at, new_table, updated_at, uuid_id

TABLES = MetaData()

FLAVORS = new_table(
    TABLES,
    "compute_flavors",
    Column("id", String(255), primary_key=True),  # what the API calls flavorid: chosen by the administrator
    Column("name", String(255), nullable=False, unique=True),
    Column("memory_mib", Integer, nullable=False),
    Column("vcpus", Integer, nullable=False),
    Column("disk_gib", Integer, nullable=False),
    Column("ephemeral_gib", Integer, nullable=False, default=0),
    Column("swap_mib", Integer, nullable=False, default=0),
    Column("rxtx_factor", Float, nullable=False, default=1.0),
    Column("is_public", Boolean, nullable=False, default=True),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("description", Text, nullable=True),
    Column("extra_specs", Json, nullable=False, default=dict),
    created_at(),
    updated_at(),
)

FLAVOR_ACCESS = new_table(
    TABLES,
    "compute_flavor_access",
    Column("flavor_id", String(255), primary_key=True),
    Column("project_id", String(64), primary_key=True),
    Index("compute_flavor_access_project", "project_id"),
)

KEYPAIRS = new_table(
    TABLES,
    "compute_keypairs",
    uuid_id(),
    Column("number", Integer, nullable=False),  # the integer that the API shows as `id`
    Column("user_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("type", String(16), nullable=False, default="ssh"),
    Column("public_key", Text, nullable=False),
    Column("fingerprint", String(255), nullable=False),
    created_at(),
    updated_at(),
    UniqueConstraint("user_id", "name"),
)

SERVERS = new_table(
    TABLES,
    "compute_servers",
    uuid_id(),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("hostname", String(255), nullable=False),
    Column("description", Text, nullable=True),
    Column("state", String(24), nullable=False),  # see states.py
    Column("state_before", String(24), nullable=True),  # where a passing state leads back to
    Column("power_state", Integer, nullable=False, default=0),
    Column("fault", Json, nullable=True),
    Column("host", String(255), nullable=True),
    Column("availability_zone", String(255), nullable=True),
    Column("pinned_zone", String(255), nullable=True),
    Column("requested_host", String(255), nullable=True),
    Column("flavor_id", String(255), nullable=False),
    Column("flavor", Json, nullable=False),  # the flavor as it was when the server was made or resized
    Column("flavor_before", Json, nullable=True),  # during a resize, until it is confirmed or reverted
    Column("image_id", String(36), nullable=False),
    Column("image_properties", Json, nullable=False, default=dict),
    Column("key_name", String(255), nullable=True),
    Column("key", Json, nullable=True),  # the key pair as it was: name, type, public key
    Column("user_data", Text, nullable=True),
    Column("personality", Json, nullable=True),
    Column("config_drive", Boolean, nullable=False, default=False),
    Column("metadata", Json, nullable=False, default=dict),
    Column("tags", Json, nullable=False, default=list),
    Column("access_ipv4", String(45), nullable=True),
    Column("access_ipv6", String(45), nullable=True),
    Column("disk_config", String(8), nullable=False, default="MANUAL"),
    Column("locked", Boolean, nullable=False, default=False),
    Column("locked_by", String(8), nullable=True),  # owner or admin
    Column("locked_reason", String(255), nullable=True),
    Column("server_group_id", String(36), nullable=True),
    Column("scheduler_hints", Json, nullable=False, default=dict),
    Column("snapshot_id", String(36), nullable=True),  # the image that is being made of it
    Column("shelved_image_id", String(36), nullable=True),  # its disk while it is shelved
    Column("rescue", Json, nullable=True),  # image_id, device and bus of the disk that it is rescued with
    Column("networks", Json, nullable=False, default=list),  # what was asked for, see networking.py
    Column("security_groups", Json, nullable=False, default=list),  # names or ids asked for
    Column("interfaces", Json, nullable=False, default=list),  # the ports it has, as last seen
    Column("interfaces_stale", Boolean, nullable=False, default=False),  # the network room said: changed
    Column("password_data", Text, nullable=True),  # what the guest left for its owner, encrypted by the guest
    Column("reservation_id", String(32), nullable=False),
    Column("launch_index", Integer, nullable=False, default=0),
    Column("launched_at", UtcTime, nullable=True),
    Column("terminated_at", UtcTime, nullable=True),
    Column("deleted_at", UtcTime, nullable=True),
    created_at(),
    updated_at(),
    Index("compute_servers_project", "project_id", "created_at"),
    Index("compute_servers_created", "created_at"),
    Index("compute_servers_host", "host", "state"),
    Index("compute_servers_stale", "interfaces_stale", "id"),
    Index("compute_servers_changed", "updated_at"),
    Index("compute_servers_group", "server_group_id"),
)

SERVER_GROUPS = new_table(
    TABLES,
    "compute_server_groups",
    uuid_id(),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("policy", String(24), nullable=False),
    Column("rules", Json, nullable=False, default=dict),
    created_at(),
    Index("compute_server_groups_project", "project_id"),
)

HOSTS = new_table(
    TABLES,
    "compute_hosts",
    uuid_id(),  # the hypervisor's id, and the id of its resource provider
    Column("number", Integer, nullable=False),  # the integer ids of older microversions
    Column("service_id", String(36), nullable=False),
    Column("name", String(255), nullable=False, unique=True),
    Column("facts", Json, nullable=False),
    Column("address", String(45), nullable=False, default="127.0.0.1"),
    Column(
        "machine_id", String(64), nullable=False, default=""
    ),  # of its state folder: two of one name differ
    Column("protocol", Integer, nullable=False, default=0),
    Column("version", String(64), nullable=False, default=""),
    Column("skew_s", Float, nullable=False, default=0.0),  # how far its clock is ahead of ours
    Column("booted_at", UtcTime, nullable=True),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("disabled_reason", String(255), nullable=True),
    Column("forced_down", Boolean, nullable=False, default=False),
    Column("seen_at", UtcTime, nullable=False),
    created_at(),
    updated_at(),
)

AGGREGATES = new_table(
    TABLES,
    "compute_aggregates",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("uuid", String(36), nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("metadata", Json, nullable=False, default=dict),  # availability_zone among it
    Column("hosts", Json, nullable=False, default=list),
    created_at(),
    updated_at(),
)

MIGRATIONS = new_table(
    TABLES,
    "compute_migrations",
    uuid_id(),  # the id of the flow that moves or resizes; what holds the claim on the host that is left
    Column("number", Integer, nullable=False),
    Column("server_id", String(36), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),  # resize, migration, live-migration, evacuation
    Column("status", String(16), nullable=False),
    Column("source_host", String(255), nullable=False),
    Column("dest_host", String(255), nullable=True),  # until it is chosen, the one asked for
    Column("progress", Json, nullable=True),  # of a live migration: `Progress` of host/protocol.py
    Column("wish", String(8), nullable=True),  # what somebody asks of it while it goes on: hurry, abort
    created_at(),
    updated_at(),
    Index("compute_migrations_server", "server_id"),
)

CONSOLE_TOKENS = new_table(
    TABLES,
    "compute_console_tokens",
    Column(
        "digest", String(64), primary_key=True
    ),  # SHA-256 of the token: reading the table opens no console
    Column("server_id", String(36), nullable=False),
    Column("kind", String(16), nullable=False),  # vnc or serial
    Column("expires_at", UtcTime, nullable=False),
    created_at(),
    Index("compute_console_tokens_expiry", "expires_at"),
)
