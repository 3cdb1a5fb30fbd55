"""Making the tables of a fresh database from their declarations."""

import functools
from collections.abc import Callable, Hashable, Iterable
from typing import cast

from sqlalchemy import Dialect, MetaData
from sqlalchemy.schema import CreateIndex, CreateTable

from .store import Store, WrongShape


class SchemaDiffers(Exception):
    """The database was made by another version of ours; the message names what is missing."""


async def create_schema(store: Store, parts: Iterable[MetaData]) -> None:
    """Create every table and index that is not there yet, and see that those that are have every column.

    Changing what is there is a migration's work: raises `SchemaDiffers`.
    """
    dialect = cast(Hashable, type(store.dialect))
    try:
        async with store.transaction() as tx:
            await tx.lock("schema")
            for metadata in parts:
                for sql in _definitions(metadata, dialect):
                    await tx.run_sql(sql)
    except WrongShape as error:
        raise SchemaDiffers(
            f"the database was made by another version of this program ({error}); start with a new state folder, or "
            "delete this one: aerostat down --purge"
        ) from error


async def check_schema(store: Store, parts: Iterable[MetaData]) -> None:
    """See that every table is there with every column, and change nothing. Raises `SchemaDiffers`."""
    dialect = cast(Hashable, type(store.dialect))
    try:
        for metadata in parts:
            for sql in _definitions(metadata, dialect):
                if sql.startswith("SELECT"):
                    async with store.snapshot() as reading:
                        await reading.run_sql(sql)
    except WrongShape as error:
        raise SchemaDiffers(
            f"the database is not what this version needs ({error}): aerostat migrate"
        ) from error


@functools.cache
def _definitions(metadata: MetaData, dialect: Callable[[], Dialect]) -> tuple[str, ...]:
    """Statements that make each table and then look at it. Kept, for processes that open many databases: tests."""
    found: list[str] = []
    for table in metadata.sorted_tables:
        found.append(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect())).strip())
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            found.append(str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect())).strip())
        quote = dialect().identifier_preparer.quote
        columns = ", ".join(quote(column.name) for column in table.columns)
        found.append(f"SELECT {columns} FROM {quote(table.name)} LIMIT 0")
    return tuple(found)
