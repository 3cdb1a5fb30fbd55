"""Column types and the columns that most tables share."""

from typing import Any

import msgspec
from sqlalchemy import Column, DateTime, MetaData, String, Table, Text
from sqlalchemy.types import TypeDecorator

from .. import clock, ids

UtcTime = DateTime  # naive, UTC; microseconds are kept

encode_json = msgspec.json.Encoder().encode
decode_json = msgspec.json.Decoder().decode


class Json(TypeDecorator[Any]):
    """Any JSON value as text, encoded by msgspec: the same bytes on every database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else encode_json(value).decode()

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else decode_json(value)


def uuid_id() -> Column[str]:
    """Primary key `id`: a dashed UUID, made here unless given."""
    return Column("id", String(36), primary_key=True, default=ids.new_id)


def hex_id() -> Column[str]:
    """Primary key `id`: 32 hex digits as identity uses them (64 for names mapped from elsewhere)."""
    return Column("id", String(64), primary_key=True, default=ids.new_hex_id)


def created_at() -> Column[Any]:
    return Column("created_at", UtcTime, nullable=False, default=clock.now, index=False)


def updated_at() -> Column[Any]:
    """Null until the first change, as several upstream APIs show it; `Transaction.update` sets it."""
    return Column("updated_at", UtcTime, nullable=True, onupdate=clock.now)


def new_table(metadata: MetaData, name: str, *items: Any) -> Table:
    """A table of one room; `metadata` is the room's own, and `name` carries the room's prefix."""
    return Table(name, metadata, *items)
