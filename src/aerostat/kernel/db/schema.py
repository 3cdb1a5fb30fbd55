"""Making the tables of a fresh database from their declarations."""

from collections.abc import Iterable

from sqlalchemy import MetaData
from sqlalchemy.schema import CreateIndex, CreateTable

from .store import Store


async def create_schema(store: Store, parts: Iterable[MetaData]) -> None:
    """Create every table and index that is not there yet. Changing what is there is a migration's work."""
    async with store.transaction() as tx:
        await tx.lock("schema")
        for metadata in parts:
            for table in metadata.sorted_tables:
                await tx.run_sql(
                    str(CreateTable(table, if_not_exists=True).compile(dialect=store.dialect)).strip()
                )
                for index in sorted(table.indexes, key=lambda index: str(index.name)):
                    created = CreateIndex(index, if_not_exists=True).compile(dialect=store.dialect)
                    await tx.run_sql(str(created).strip())
