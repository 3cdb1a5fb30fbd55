"""The database as an onlooker sees it: what is committed, at once, whatever goes wrong for everybody else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from aerostat.kernel.db import Seal, Store
from aerostat.kernel.db.sqlite import SqliteConnection

from .database import SimDatabase


class _Calm:
    def __init__(self, database: SimDatabase) -> None:
        self.dialect: Any = SQLiteDialect_pysqlite(paramstyle="qmark")
        self._connection = SqliteConnection(database.reader)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[SqliteConnection]:
        yield self._connection

    def writing(self) -> Any:
        raise TypeError("an onlooker changes nothing")

    async def close(self) -> None:
        """The connection is the database's."""


def onlooker(database: SimDatabase, seal: Seal | None = None) -> Store:
    """A store for reading."""
    return Store(_Calm(database), seal)
