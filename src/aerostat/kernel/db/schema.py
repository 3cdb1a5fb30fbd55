"""Making the tables of a fresh database from their declarations."""

import functools
from collections.abc import Callable, Iterable

from sqlalchemy import Dialect, MetaData
from sqlalchemy.schema import CreateIndex, CreateTable

from .store import Store


async def create_schema(store: Store, parts: Iterable[MetaData]) -> None:
    """Create every table and index that is not there yet. Changing what is there is a migration's work."""
    async with store.transaction() as tx:
        await tx.lock("schema")
        for metadata in parts:
            for sql in _definitions(metadata, store.dialect.__class__):
                await tx.run_sql(sql)


@functools.cache
def _definitions(metadata: MetaData, dialect: Callable[[], Dialect]) -> tuple[str, ...]:
    """Kept, for processes that open many databases: tests."""
    found: list[str] = []
    for table in metadata.sorted_tables:
        found.append(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect())).strip())
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            found.append(str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect())).strip())
    return tuple(found)
