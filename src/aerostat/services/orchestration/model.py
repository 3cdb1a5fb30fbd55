"""Tables of the orchestration room: stacks, their templates, resources and events, software and its deployments.

What values of parameters get into is sealed: hidden ones are told from others only where a template declares them,
not where they went. Messages (`state_reason`, `reason`) are freed of hidden values before they are written.
"""

from sqlalchemy import Boolean, Column, Index, Integer, MetaData, String, Text, UniqueConstraint

from aerostat.kernel.db import Json, Sealed, UtcTime, created_at, new_table, uuid_id

TABLES = MetaData()

STACKS = new_table(
    TABLES,
    "orchestration_stacks",
    uuid_id(),
    Column("name", String(255), nullable=False),
    Column("live_name", String(255)),  # null once deleted: the name is free again
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64)),
    Column("user_name", String(255)),
    Column("parent_id", String(36)),  # of a nested stack
    Column("parent_resource", String(36)),  # row of the parent's resource that it stands for
    Column(
        "root_id", String(36), nullable=False
    ),  # the stack that is nested in none; its own id if that is it
    Column("depth", Integer, nullable=False, default=0),
    Column("state", String(40), nullable=False),
    Column("state_reason", Text, nullable=False, default=""),
    Column("template_id", String(36), nullable=False),
    Column("previous_template_id", String(36)),  # what a failed update goes back to; null: to nothing
    Column("generation", Integer, nullable=False, default=1),  # counts what was asked of the stack
    Column("deadline_at", UtcTime),  # of what is going on
    Column("description", Text, nullable=False, default=""),
    Column("timeout_mins", Integer),
    Column("disable_rollback", Boolean, nullable=False, default=True),
    Column("tags", Json),
    created_at(),
    Column("changed_at", UtcTime),  # of the last update
    Column("deleted_at", UtcTime),
    UniqueConstraint("project_id", "live_name"),
    Index("orchestration_stacks_parent", "parent_id"),
    Index("orchestration_stacks_root", "root_id"),
    Index("orchestration_stacks_deleted", "deleted_at"),
)

# A template is never changed: an update makes another one, so what is read from it may be kept in memory.
TEMPLATES = new_table(
    TABLES,
    "orchestration_templates",
    uuid_id(),
    Column("stack_id", String(36), nullable=False),
    Column("data", Sealed, nullable=False),
    Column("files", Json, nullable=False),
    Column("environment", Sealed, nullable=False),
    created_at(),
    Index("orchestration_templates_stack", "stack_id"),
)

RESOURCES = new_table(
    TABLES,
    "orchestration_resources",
    uuid_id(),
    Column("stack_id", String(36), nullable=False),
    Column("name", String(255), nullable=False),
    Column("type", String(255), nullable=False),  # as the template says
    Column("kind", String(255), nullable=False),  # as the environment maps it: a type, or a template's name
    Column("state", String(40), nullable=False),
    Column("state_reason", Text, nullable=False, default=""),
    Column("physical_name", String(255)),
    Column("physical_id", Text),
    Column("properties", Sealed, nullable=False),  # values, as they were last applied
    Column("metadata", Sealed, nullable=False),
    Column("data", Sealed, nullable=False),  # the type's own memory
    Column("requires", Json, nullable=False),  # ids of rows that are deleted after this one
    Column("current", Boolean, nullable=False, default=True),  # false: replaced, to be deleted
    Column("replaces", String(36)),
    Column("retained", Boolean, nullable=False, default=False),  # deletion policy: forget it, leave it there
    Column("generation", Integer, nullable=False, default=0),  # the stack's, when it was last brought in line
    Column("begun_at", UtcTime),  # of what is going on
    created_at(),
    Column("changed_at", UtcTime),
    Index("orchestration_resources_stack", "stack_id", "name"),
    Index("orchestration_resources_physical", "physical_id"),
)

# Things outside that no resource stands for: made by a run that another had overtaken. Each has a flow that deletes it.
LEFTOVERS = new_table(
    TABLES,
    "orchestration_leftovers",
    uuid_id(),
    Column("stack_id", String(36), nullable=False),
    Column("name", String(255), nullable=False),  # of the resource, and the rest as its row had it
    Column("kind", String(255), nullable=False),
    Column("physical_name", String(255)),
    Column("physical_id", Text),  # null: whether there is one has to be looked up by the name
    Column("properties", Sealed, nullable=False),
    Column("metadata", Sealed, nullable=False),
    Column("data", Sealed, nullable=False),
    Column("created_at", UtcTime, nullable=False),  # of the resource
)

EVENTS = new_table(
    TABLES,
    "orchestration_events",
    Column("id", String(36), primary_key=True),  # ascending in order of writing
    Column("stack_id", String(36), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("resource_name", String(255), nullable=False),
    Column("resource_type", String(255), nullable=False),
    Column("physical_id", Text),
    Column("state", String(40), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("properties", Sealed),
    Index("orchestration_events_stack", "stack_id", "id"),
)

# What guests and users told handles of wait conditions.
SIGNALS = new_table(
    TABLES,
    "orchestration_signals",
    uuid_id(),
    Column("resource_id", String(36), nullable=False),
    Column("key", String(255), nullable=False),
    Column("status", String(255), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("data", Json),
    created_at(),
    UniqueConstraint("resource_id", "key"),
)

SOFTWARE_CONFIGS = new_table(
    TABLES,
    "orchestration_software_configs",
    uuid_id(),
    Column("project_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("group", String(255), nullable=False),
    Column("config", Sealed, nullable=False),
    Column("inputs", Sealed, nullable=False),
    Column("outputs", Json, nullable=False),
    Column("options", Json, nullable=False),
    created_at(),
    Index("orchestration_software_configs_project", "project_id", "name"),
)

# A configuration given to a server. `config_id` is a configuration of its own, with the values of the inputs in it.
SOFTWARE_DEPLOYMENTS = new_table(
    TABLES,
    "orchestration_software_deployments",
    uuid_id(),
    Column("project_id", String(64), nullable=False),
    Column("server_id", String(255)),
    Column("config_id", String(36), nullable=False),
    Column("input_values", Sealed, nullable=False),
    Column("output_values", Sealed, nullable=False),
    Column("action", String(255)),
    Column("status", String(255)),
    Column("status_reason", Text),
    created_at(),
    Column("changed_at", UtcTime),
    Index("orchestration_software_deployments_project", "project_id", "server_id"),
    Index("orchestration_software_deployments_config", "config_id"),
)
