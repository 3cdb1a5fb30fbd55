"""The image room's tables."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)

from aerostat.kernel.db import Json, UtcTime, created_at, new_table, updated_at, uuid_id

TABLES = MetaData()

IMAGES = new_table(
    TABLES,
    "image_images",
    uuid_id(),
    Column("owner", String(255), nullable=True, index=True),
    Column("name", String(255), nullable=True),
    Column("status", String(20), nullable=False, default="queued"),
    Column("visibility", String(10), nullable=False, default="shared"),
    Column("protected", Boolean, nullable=False, default=False),
    Column("os_hidden", Boolean, nullable=False, default=False),
    Column("disk_format", String(20), nullable=True),
    Column("container_format", String(20), nullable=True),
    Column("size", BigInteger, nullable=True),
    Column("virtual_size", BigInteger, nullable=True),
    Column("checksum", String(32), nullable=True),
    Column("os_hash_algo", String(20), nullable=True),
    Column("os_hash_value", String(128), nullable=True),
    Column("min_disk", Integer, nullable=False, default=0),
    Column("min_ram", Integer, nullable=False, default=0),
    Column("upload_token", String(36), nullable=True),  # whose upload it is while the status is saving
    Column("upload_seen_at", UtcTime, nullable=True),
    created_at(),
    updated_at(),
)

# Metadata definitions: what the properties of images, flavors and volumes mean.
METADEF_NAMESPACES = new_table(
    TABLES,
    "image_metadef_namespaces",
    uuid_id(),
    Column("namespace", String(80), nullable=False, unique=True),
    Column("display_name", String(80), nullable=True),
    Column("description", Text, nullable=True),
    Column("visibility", String(10), nullable=False, default="private"),
    Column("protected", Boolean, nullable=False, default=False),
    Column("owner", String(255), nullable=False, index=True),
    created_at(),
    updated_at(),
)


def _namespace(primary_key: bool = False) -> Column[str]:
    cascade = ForeignKey("image_metadef_namespaces.id", ondelete="CASCADE")
    return Column("namespace_id", String(36), cascade, primary_key=primary_key, nullable=False)


METADEF_OBJECTS = new_table(
    TABLES,
    "image_metadef_objects",
    uuid_id(),
    _namespace(),
    Column("name", String(80), nullable=False),
    Column("description", Text, nullable=True),
    Column("required", Json, nullable=False),  # names of properties
    Column("properties", Json, nullable=False),  # name → JSON schema
    created_at(),
    updated_at(),
    UniqueConstraint("namespace_id", "name"),
)

METADEF_PROPERTIES = new_table(
    TABLES,
    "image_metadef_properties",
    uuid_id(),
    _namespace(),
    Column("name", String(80), nullable=False),
    Column("definition", Json, nullable=False),  # a JSON schema
    created_at(),
    updated_at(),
    UniqueConstraint("namespace_id", "name"),
)

METADEF_TAGS = new_table(
    TABLES,
    "image_metadef_tags",
    uuid_id(),
    _namespace(),
    Column("name", String(80), nullable=False),
    created_at(),
    updated_at(),
    UniqueConstraint("namespace_id", "name"),
)

# Those that clients named; those that are always there are in resources/metadef/resource_type.py.
METADEF_RESOURCE_TYPES = new_table(
    TABLES,
    "image_metadef_resource_types",
    Column("name", String(80), primary_key=True),
    created_at(),
    updated_at(),
)

METADEF_ASSOCIATIONS = new_table(
    TABLES,
    "image_metadef_associations",
    _namespace(primary_key=True),
    Column("name", String(80), primary_key=True, index=True),  # of the resource type
    Column("prefix", String(80), nullable=True),
    Column("properties_target", String(80), nullable=True),
    created_at(),
    updated_at(),
)


def _image() -> Column[str]:
    return Column("image_id", String(36), ForeignKey("image_images.id", ondelete="CASCADE"), primary_key=True)


PROPERTIES = new_table(
    TABLES,
    "image_properties",
    _image(),
    Column("name", String(255), primary_key=True),
    Column("value", Text, nullable=False),
)

TAGS = new_table(TABLES, "image_tags", _image(), Column("value", String(255), primary_key=True))

MEMBERS = new_table(
    TABLES,
    "image_members",
    _image(),
    Column("member_id", String(255), primary_key=True, index=True),
    Column("status", String(20), nullable=False, default="pending"),
    created_at(),
    updated_at(),
)
