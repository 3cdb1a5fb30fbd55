"""Placement's tables: providers in trees, what they have, what they are like, and who holds what of them."""

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, MetaData, String

from aerostat.kernel.db import created_at, new_table, updated_at, uuid_id

TABLES = MetaData()

PROVIDERS = new_table(
    TABLES,
    "placement_providers",
    uuid_id(),
    Column("name", String(200), nullable=False, unique=True),
    Column("generation", Integer, nullable=False, default=0),
    Column("parent_id", String(36), nullable=True, index=True),
    Column("root_id", String(36), nullable=False, index=True),
    created_at(),
    updated_at(),
)


def _provider() -> Column[str]:
    return Column(
        "provider_id", String(36), ForeignKey("placement_providers.id", ondelete="CASCADE"), primary_key=True
    )


INVENTORIES = new_table(
    TABLES,
    "placement_inventories",
    _provider(),
    Column("resource_class", String(255), primary_key=True),
    Column("total", Integer, nullable=False),
    Column("reserved", Integer, nullable=False, default=0),
    Column("min_unit", Integer, nullable=False, default=1),
    Column("max_unit", Integer, nullable=False, default=2147483647),
    Column("step_size", Integer, nullable=False, default=1),
    Column("allocation_ratio", Float, nullable=False, default=1.0),
    # Kept with every claim, so that «who has room» is a look at an index and not a sum over all allocations.
    Column("used", BigInteger, nullable=False, default=0),
    Column("free", BigInteger, nullable=False),
    Index("placement_inventories_most_room", "resource_class", "free", "provider_id"),
)

PROVIDER_TRAITS = new_table(
    TABLES, "placement_provider_traits", _provider(), Column("trait", String(255), primary_key=True)
)

PROVIDER_AGGREGATES = new_table(
    TABLES, "placement_provider_aggregates", _provider(), Column("aggregate_id", String(36), primary_key=True)
)

CONSUMERS = new_table(
    TABLES,
    "placement_consumers",
    uuid_id(),
    Column("project_id", String(255), nullable=True, index=True),
    Column("user_id", String(255), nullable=True),
    Column("generation", Integer, nullable=False, default=1),
    created_at(),
    updated_at(),
)

ALLOCATIONS = new_table(
    TABLES,
    "placement_allocations",
    Column(
        "consumer_id", String(36), ForeignKey("placement_consumers.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("provider_id", String(36), ForeignKey("placement_providers.id"), primary_key=True, index=True),
    Column("resource_class", String(255), primary_key=True),
    Column("used", Integer, nullable=False),
    created_at(),
)

TRAITS = new_table(TABLES, "placement_traits", Column("name", String(255), primary_key=True), created_at())

RESOURCE_CLASSES = new_table(
    TABLES, "placement_resource_classes", Column("name", String(255), primary_key=True), created_at()
)
