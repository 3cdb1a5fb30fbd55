"""The store: tables as SQLAlchemy Core declares them, run on sqlite3 or asyncpg by a small layer of our own.

See `docs/subsystems/store.md`.
"""

from .columns import Json, UtcTime, created_at, hex_id, new_table, updated_at, uuid_id
from .schema import SchemaDiffers, check_schema, create_schema
from .sealing import Seal, SealBroken, Sealed
from .store import (
    BadValue,
    Duplicate,
    Row,
    RowNotFound,
    StillReferenced,
    Store,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    Transaction,
    WrongShape,
    name_of_database,
    open_store,
)

__all__ = [
    "BadValue",
    "Duplicate",
    "Json",
    "Row",
    "RowNotFound",
    "SchemaDiffers",
    "Seal",
    "SealBroken",
    "Sealed",
    "StillReferenced",
    "Store",
    "StoreError",
    "StoreRefused",
    "StoreUnavailable",
    "Transaction",
    "UtcTime",
    "WrongShape",
    "check_schema",
    "create_schema",
    "created_at",
    "hex_id",
    "name_of_database",
    "new_table",
    "open_store",
    "updated_at",
    "uuid_id",
]
