"""Making the tables of a fresh database from their declarations."""

import functools
from collections.abc import Iterable
from typing import Any

from sqlalchemy import MetaData
from sqlalchemy.schema import CreateIndex, CreateTable

from .store import Store


async def create_schema(store: Store, parts: Iterable[MetaData]) -> None:
    """Create every table and index that is not there yet. Changing what is there is a migration's work."""
    async with store.transaction() as tx:
        await tx.lock("schema")
        for metadata in parts:
            for sql in _definitions(metadata, type(store.dialect)):
                await tx.run_sql(sql)


@functools.cache
def _definitions(metadata: MetaData, dialect: type[Any]) -> tuple[str, ...]:
    """Kept, for processes that open many databases: tests."""
    found: list[str] = []
    for table in metadata.sorted_tables:
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        parts = [
            CreateTable(table, if_not_exists=True),
            *(CreateIndex(one, if_not_exists=True) for one in indexes),
        ]
        found += [str(part.compile(dialect=dialect())).strip() for part in parts]
    return tuple(found)
