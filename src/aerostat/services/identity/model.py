"""Identity's tables. A domain is a project with `is_domain`, as upstream keeps it: both can own and be assigned to."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)

from aerostat.kernel.db import Json, Sealed, UtcTime, created_at, hex_id, new_table

TABLES = MetaData()

PROJECTS = new_table(
    TABLES,
    "identity_projects",
    hex_id(),
    Column("name", String(64), nullable=False),
    Column("domain_id", String(64), nullable=True),  # null for a domain
    Column("parent_id", String(64), nullable=True, index=True),
    Column("is_domain", Boolean, nullable=False, default=False),
    Column("description", Text, nullable=False, default=""),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("tags", Json, nullable=False, default=list),
    Column("options", Json, nullable=False, default=dict),
    Column("extra", Json, nullable=False, default=dict),
    created_at(),
    # Also for finding by name in any domain, and for pages: a page's cost must not grow with the table.
    UniqueConstraint("name", "domain_id"),
    Index("identity_projects_domain_page", "domain_id", "id"),
)
# Domains have no domain of their own, and nulls are never equal: their names need an index by themselves.
Index(
    "identity_domain_names",
    PROJECTS.c.name,
    unique=True,
    sqlite_where=PROJECTS.c.is_domain.is_(True),
    postgresql_where=PROJECTS.c.is_domain.is_(True),
)
Index(  # few among many projects
    "identity_domains_page",
    PROJECTS.c.id,
    sqlite_where=PROJECTS.c.is_domain.is_(True),
    postgresql_where=PROJECTS.c.is_domain.is_(True),
)

USERS = new_table(
    TABLES,
    "identity_users",
    hex_id(),
    Column("name", String(255), nullable=False),
    Column("domain_id", String(64), nullable=False),
    Column("password_hash", String(255), nullable=True),
    Column("password_created_at", UtcTime, nullable=True),
    Column("password_expires_at", UtcTime, nullable=True, index=True),
    Column(
        "password_is_own", Boolean, nullable=False, default=False
    ),  # the user's choice, not an administrator's
    Column("failed_log_ins", Integer, nullable=False, default=0),  # since the last one that worked
    Column("failed_at", UtcTime, nullable=True),
    Column("last_active_at", UtcTime, nullable=True),  # a day, not a moment
    Column("default_project_id", String(64), nullable=True),
    Column("description", Text, nullable=True),
    Column("email", String(255), nullable=True),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("options", Json, nullable=False, default=dict),
    Column("extra", Json, nullable=False, default=dict),
    created_at(),
    UniqueConstraint("name", "domain_id"),
    Index("identity_users_domain_page", "domain_id", "id"),
)

OLD_PASSWORDS = new_table(
    TABLES,
    "identity_old_passwords",
    hex_id(),
    Column(
        "user_id", String(64), ForeignKey("identity_users.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("password_hash", String(255), nullable=False),
    created_at(),
)

GROUPS = new_table(
    TABLES,
    "identity_groups",
    hex_id(),
    Column("name", String(64), nullable=False),
    Column("domain_id", String(64), nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("extra", Json, nullable=False, default=dict),
    created_at(),
    UniqueConstraint("name", "domain_id"),
    Index("identity_groups_domain_page", "domain_id", "id"),
)

MEMBERSHIPS = new_table(
    TABLES,
    "identity_memberships",
    Column("user_id", String(64), ForeignKey("identity_users.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "group_id",
        String(64),
        ForeignKey("identity_groups.id", ondelete="CASCADE"),
        primary_key=True,
        index=True,
    ),
)

ROLES = new_table(
    TABLES,
    "identity_roles",
    hex_id(),
    Column("name", String(255), nullable=False),
    Column("domain_id", String(64), nullable=False, default=""),  # empty: a role of the whole cloud
    Column("description", Text, nullable=True),
    Column("options", Json, nullable=False, default=dict),
    Column("extra", Json, nullable=False, default=dict),
    created_at(),
    UniqueConstraint("domain_id", "name"),
)

IMPLIED_ROLES = new_table(
    TABLES,
    "identity_implied_roles",
    Column(
        "prior_role_id", String(64), ForeignKey("identity_roles.id", ondelete="CASCADE"), primary_key=True
    ),
    Column(
        "implied_role_id", String(64), ForeignKey("identity_roles.id", ondelete="CASCADE"), primary_key=True
    ),
)

ASSIGNMENTS = new_table(
    TABLES,
    "identity_assignments",
    Column("actor_kind", String(8), primary_key=True),  # user, group
    Column("actor_id", String(64), primary_key=True),
    Column("target_kind", String(8), primary_key=True),  # project, domain, system
    Column("target_id", String(64), primary_key=True),  # "all" for the system
    Column("role_id", String(64), ForeignKey("identity_roles.id", ondelete="CASCADE"), primary_key=True),
    Column("inherited", Boolean, primary_key=True, default=False),
    Index("identity_assignments_target", "target_kind", "target_id"),
)

SERVICES = new_table(
    TABLES,
    "identity_services",
    hex_id(),
    Column("type", String(255), nullable=False),
    Column("name", String(255), nullable=True),
    Column("description", Text, nullable=True),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("extra", Json, nullable=False, default=dict),
)

REGIONS = new_table(
    TABLES,
    "identity_regions",
    Column("id", String(255), primary_key=True),
    Column("description", Text, nullable=False, default=""),
    Column("parent_region_id", String(255), nullable=True),
    Column("extra", Json, nullable=False, default=dict),
)

ENDPOINTS = new_table(
    TABLES,
    "identity_endpoints",
    hex_id(),
    Column("interface", String(8), nullable=False),
    Column("service_id", String(64), ForeignKey("identity_services.id", ondelete="CASCADE"), nullable=False),
    Column("region_id", String(255), ForeignKey("identity_regions.id"), nullable=True),
    Column("url", Text, nullable=False),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("extra", Json, nullable=False, default=dict),
)

TOKEN_KEYS = new_table(
    TABLES,
    "identity_token_keys",
    Column("number", Integer, primary_key=True),  # the highest signs; the others still open older tokens
    Column("fernet_key", Sealed, nullable=False),
    created_at(),
)

REVOCATIONS = new_table(
    TABLES,
    "identity_revocations",
    hex_id(),
    Column("audit_id", String(32), nullable=True, index=True),
    Column("user_id", String(64), nullable=True),
    Column("project_id", String(64), nullable=True),
    Column("domain_id", String(64), nullable=True),
    Column("issued_before", UtcTime, nullable=False),
    Column("revoked_at", UtcTime, nullable=False, index=True),
)

APPLICATION_CREDENTIALS = new_table(
    TABLES,
    "identity_application_credentials",
    hex_id(),
    Column("name", String(255), nullable=False),
    Column("user_id", String(64), ForeignKey("identity_users.id", ondelete="CASCADE"), nullable=False),
    Column("project_id", String(64), nullable=False, index=True),
    Column("secret_hash", String(255), nullable=False),
    Column("description", Text, nullable=True),
    Column("expires_at", UtcTime, nullable=True),
    Column("unrestricted", Boolean, nullable=False, default=False),
    Column("role_ids", Json, nullable=False),
    Column("access_rule_ids", Json, nullable=True),  # null: no such limit; empty: nothing is let in
    created_at(),
    UniqueConstraint("user_id", "name"),
)

ACCESS_RULES = new_table(
    TABLES,
    "identity_access_rules",
    hex_id(),
    Column("user_id", String(64), ForeignKey("identity_users.id", ondelete="CASCADE"), nullable=False),
    Column("service", String(64), nullable=False),
    Column("method", String(16), nullable=False),
    Column("path", String(128), nullable=False),
    UniqueConstraint("user_id", "service", "method", "path"),
)

TRUSTS = new_table(
    TABLES,
    "identity_trusts",
    hex_id(),
    Column("trustor_user_id", String(64), nullable=False, index=True),
    Column("trustee_user_id", String(64), nullable=False, index=True),
    Column("project_id", String(64), nullable=True, index=True),
    Column("impersonation", Boolean, nullable=False),
    Column("expires_at", UtcTime, nullable=True),
    Column("remaining_uses", Integer, nullable=True),
    Column("redelegation_count", Integer, nullable=False, default=0),  # how often it may still be handed on
    Column("redelegated_trust_id", String(64), nullable=True, index=True),  # of which it is a part
    Column("role_ids", Json, nullable=False),
    created_at(),
)

CREDENTIALS = new_table(
    TABLES,
    "identity_credentials",
    Column("id", String(64), primary_key=True),  # of an EC2 key: the SHA-256 of its access key
    Column("user_id", String(64), ForeignKey("identity_users.id", ondelete="CASCADE"), nullable=False),
    Column("project_id", String(64), nullable=True),
    Column("type", String(255), nullable=False),
    Column("blob", Sealed, nullable=False),
    Column(
        "used_step", Integer, nullable=True
    ),  # of a TOTP secret: the passcode that was used last, by its time
    created_at(),
    Index("identity_credentials_user", "user_id", "type"),
)

REGISTERED_LIMITS = new_table(
    TABLES,
    "identity_registered_limits",
    hex_id(),
    Column("service_id", String(64), ForeignKey("identity_services.id", ondelete="CASCADE"), nullable=False),
    Column("region_id", String(255), nullable=False, default=""),  # empty: in every region
    Column("resource_name", String(255), nullable=False),
    Column("default_limit", Integer, nullable=False),
    Column("description", Text, nullable=True),
    UniqueConstraint("service_id", "region_id", "resource_name"),
)

# What a limit is of, it has from its registered limit, which does not change as long as there are limits below it.
LIMITS = new_table(
    TABLES,
    "identity_limits",
    hex_id(),
    Column(
        "registered_limit_id",
        String(64),
        ForeignKey("identity_registered_limits.id", ondelete="CASCADE"),  # when its service goes
        nullable=False,
    ),
    Column("service_id", String(64), nullable=False),
    Column("region_id", String(255), nullable=False, default=""),
    Column("resource_name", String(255), nullable=False),
    Column("project_id", String(64), nullable=True, index=True),  # one of these two
    Column("domain_id", String(64), nullable=True, index=True),
    Column("resource_limit", Integer, nullable=False),
    Column("description", Text, nullable=True),
    UniqueConstraint("registered_limit_id", "project_id"),
    UniqueConstraint("registered_limit_id", "domain_id"),
)

POLICIES = new_table(
    TABLES,
    "identity_policies",
    hex_id(),
    Column("type", String(255), nullable=False),
    Column("blob", Text, nullable=False),
    Column("extra", Json, nullable=False, default=dict),
)

POLICY_ASSOCIATIONS = new_table(
    TABLES,
    "identity_policy_associations",
    # An endpoint; or a service, everywhere or in one region. What is not named is empty.
    Column("endpoint_id", String(64), primary_key=True, default=""),
    Column("service_id", String(64), primary_key=True, default=""),
    Column("region_id", String(255), primary_key=True, default=""),
    Column("policy_id", String(64), ForeignKey("identity_policies.id", ondelete="CASCADE"), nullable=False),
)

PROJECT_ENDPOINTS = new_table(
    TABLES,
    "identity_project_endpoints",
    Column(
        "endpoint_id", String(64), ForeignKey("identity_endpoints.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("project_id", String(64), primary_key=True, index=True),
)

ENDPOINT_GROUPS = new_table(
    TABLES,
    "identity_endpoint_groups",
    hex_id(),
    Column("name", String(255), nullable=False),
    Column("description", Text, nullable=True),
    Column("filters", Json, nullable=False),
)

PROJECT_ENDPOINT_GROUPS = new_table(
    TABLES,
    "identity_project_endpoint_groups",
    Column(
        "endpoint_group_id",
        String(64),
        ForeignKey("identity_endpoint_groups.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("project_id", String(64), primary_key=True, index=True),
)

DOMAIN_OPTIONS = new_table(
    TABLES,
    "identity_domain_options",
    Column("domain_id", String(64), primary_key=True),
    Column("group", String(255), primary_key=True),
    Column("option", String(255), primary_key=True),
    Column("value", Sealed, nullable=True),  # among them is the password of a directory
)
"""What a domain is configured with. Which options there are is in `domain_options.py`."""


CONSUMERS = new_table(
    TABLES,
    "identity_oauth_consumers",
    hex_id(),
    Column("description", Text, nullable=True),
    Column("secret", Sealed, nullable=False),
    Column("extra", Json, nullable=False, default=dict),
    created_at(),
)

OAUTH_REQUESTS = new_table(
    TABLES,
    "identity_oauth_requests",
    hex_id(),
    Column(
        "consumer_id",
        String(64),
        ForeignKey("identity_oauth_consumers.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("project_id", String(64), nullable=False),
    Column("secret", Sealed, nullable=False),
    Column("user_id", String(64), nullable=True),  # who let it in, and with what follows
    Column("verifier", Sealed, nullable=True),
    Column("role_ids", Json, nullable=False, default=list),
    Column("expires_at", UtcTime, nullable=True),
    created_at(),
)

OAUTH_ACCESSES = new_table(
    TABLES,
    "identity_oauth_accesses",
    hex_id(),
    Column(
        "consumer_id",
        String(64),
        ForeignKey("identity_oauth_consumers.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column(
        "user_id", String(64), ForeignKey("identity_users.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("project_id", String(64), nullable=False, index=True),
    Column("secret", Sealed, nullable=False),
    Column("role_ids", Json, nullable=False),
    Column("expires_at", UtcTime, nullable=True),
    created_at(),
)
IDENTITY_PROVIDERS = new_table(
    TABLES,
    "identity_identity_providers",
    Column("id", String(64), primary_key=True),
    Column("domain_id", String(64), nullable=False, index=True),  # in which its users are
    Column("enabled", Boolean, nullable=False, default=False),
    Column("description", Text, nullable=True),
    Column("authorization_ttl", Integer, nullable=True),  # minutes
    Column("remote_ids", Json, nullable=False, default=list),
)

FEDERATION_PROTOCOLS = new_table(
    TABLES,
    "identity_federation_protocols",
    Column("id", String(64), primary_key=True),
    Column(
        "idp_id",
        String(64),
        ForeignKey("identity_identity_providers.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("mapping_id", String(64), nullable=False),
    Column("remote_id_attribute", String(64), nullable=True),
)

MAPPINGS = new_table(
    TABLES,
    "identity_mappings",
    Column("id", String(64), primary_key=True),
    Column("rules", Json, nullable=False),
    Column("schema_version", String(5), nullable=False, default="1.0"),
)

SERVICE_PROVIDERS = new_table(
    TABLES,
    "identity_service_providers",
    Column("id", String(64), primary_key=True),
    Column("auth_url", String(256), nullable=False),
    Column("sp_url", String(256), nullable=False),
    Column("description", Text, nullable=True),
    Column("enabled", Boolean, nullable=False, default=False),
    Column("relay_state_prefix", String(256), nullable=False, default="ss:mem:"),
)
