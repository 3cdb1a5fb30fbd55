"""The image room's tables."""

from sqlalchemy import (
    BigInteger,
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
    Column("staged_bytes", BigInteger, nullable=True),  # while the status is uploading or importing
    Column("import_task", String(36), nullable=True),  # the task at work on the image
    Column("importing_to", Text, nullable=True),  # names of stores, with commas; as the last import left it
    Column("failed_import", Text, nullable=True),
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

# Copies of an image's bytes. Written before the bytes are, removed after they are, so that nothing is anywhere without
# a row; a row therefore outlives its image until its bytes are gone.
LOCATIONS = new_table(
    TABLES,
    "image_locations",
    uuid_id(),
    Column("image_id", String(36), nullable=False),
    Column("store", String(255), nullable=False),
    Column("url", Text, nullable=False),
    Column("metadata", Json, nullable=False, default=dict),
    Column("state", String(10), nullable=False, default="writing"),
    Column("token", String(36), nullable=True),  # whose upload it is while the state is writing
    Column("seen_at", UtcTime, nullable=True),
    Column("remove_at", UtcTime, nullable=True, index=True),
    Column("place", Integer, nullable=False, default=0),  # among the image's others
    Column("problem", Text, nullable=True),  # why the bytes could not be removed
    created_at(),
    UniqueConstraint("image_id", "store", "url"),
    Index("image_locations_by_state", "state", "seen_at"),
)

TASKS = new_table(
    TABLES,
    "image_tasks",
    uuid_id(),
    Column("type", String(30), nullable=False),
    Column("status", String(20), nullable=False, default="pending"),
    Column("owner", String(255), nullable=True, index=True),
    Column("user_id", String(255), nullable=True),
    Column("request_id", String(64), nullable=True),
    Column("image_id", String(36), nullable=True, index=True),  # no foreign key: a task outlives its image
    Column("input", Json, nullable=False),
    Column("result", Json, nullable=True),
    Column("message", Text, nullable=False, default=""),
    Column("expires_at", UtcTime, nullable=True, index=True),
    created_at(),
    updated_at(),
)

CACHED = new_table(
    TABLES,
    "image_cached",
    Column("image_id", String(36), primary_key=True),
    Column("node", String(255), primary_key=True),
    Column("state", String(10), nullable=False),
    Column("size", BigInteger, nullable=False, default=0),
    Column("checksum", String(32), nullable=True),
    Column("hits", Integer, nullable=False, default=0),
    Column("accessed_at", UtcTime, nullable=True),
    created_at(),
)
