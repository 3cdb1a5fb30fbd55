"""The kernel's own tables: flows, leases, the operation record, quota limits.

Rooms never read these tables; they go through `work`, `operation` and `quota`.
"""

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Text

from .db import Json, UtcTime, new_table

metadata = MetaData()

flows = new_table(
    metadata,
    "kernel_flows",
    Column("id", String(36), primary_key=True),  # ascending in order of creation
    Column("name", String(64), nullable=False),
    Column("subject_kind", String(64), nullable=False),  # the subject's table
    Column("subject_id", String(64), nullable=False),
    Column("state", String(16), nullable=False, default="running"),  # running done failed superseded
    Column("direction", String(8), nullable=False, default="forward"),  # forward, undo, fail
    Column("step", String(64)),
    Column("attempts", Integer, nullable=False, default=0),  # of the present step, since it last moved on
    Column("data", Json, nullable=False),
    Column("context", Json, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("parallel", Boolean, nullable=False, default=False),
    Column("supersede", Boolean, nullable=False, default=False),
    Column("superseded_by", String(36)),
    Column("lease_worker", String(64)),
    Column("lease_token", String(36)),
    Column("lease_until", UtcTime),
    Column("wake_at", UtcTime, nullable=False),
    Column("wakes", Integer, nullable=False, default=0),  # how often somebody called `wake`
    Column("deadline_at", UtcTime, nullable=False),
    Column("fault", Json),
    Column("created_at", UtcTime, nullable=False),
    Column("begun_at", UtcTime),
    Column("finished_at", UtcTime),
    Index("kernel_flows_due", "state", "wake_at"),
    Index("kernel_flows_subject", "subject_id", "state"),
    Index("kernel_flows_finished", "finished_at"),
)

leases = new_table(
    metadata,
    "kernel_leases",
    Column("name", String(128), primary_key=True),
    Column("worker", String(64)),
    Column("token", String(36)),
    Column("until", UtcTime),
    Column("next_at", UtcTime, nullable=False),
    Column("failures", Integer, nullable=False, default=0),  # in a row
)

operations = new_table(
    metadata,
    "kernel_operations",
    Column("id", String(36), primary_key=True),  # ascending in order of writing
    Column("request_id", String(64), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(255)),
    Column("project_id", String(64)),
    Column("subject_kind", String(64)),
    Column("subject_id", String(255)),
    Column("subject_name", String(255)),
    Column("action", String(128), nullable=False),
    Column("step", String(64)),
    Column("verdict", String(16), nullable=False),
    Column("reason", Text),
    Column("data", Json),
    Column("took_ms", Float),
    Index("kernel_operations_subject", "subject_id", "id"),
    Index("kernel_operations_request", "request_id", "id"),
)

marks = new_table(
    metadata,
    "kernel_marks",
    Column("name", String(64), primary_key=True),  # something that is done once in a cloud's life
    Column("at", UtcTime, nullable=False),
)

quota_limits = new_table(
    metadata,
    "kernel_quota_limits",
    Column("project_id", String(64), primary_key=True),
    Column("service", String(64), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("limit", Integer, nullable=False),  # -1: no limit
)
