"""PostgreSQL behind the store: an asyncpg pool."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Self, cast

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from .store import BadValue, Duplicate, StillReferenced, StoreRefused, StoreUnavailable, WrongShape

ACQUIRE_LIMIT_S = 10.0
STATEMENT_LIMIT_S = 30.0


class PostgresBackend:
    """`postgresql://user:password@host:port/database`; asyncpg's own URL parameters are understood."""

    def __init__(self, pool: Any) -> None:
        self.dialect: Any = cast(Any, PGDialect_asyncpg)(paramstyle="numeric_dollar")
        self._pool = pool

    @classmethod
    async def open(cls, url: str) -> Self:
        with _translated():
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=10,
                timeout=ACQUIRE_LIMIT_S,
                command_timeout=STATEMENT_LIMIT_S,
                reset=_leave_as_it_is,
            )
        return cls(pool)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["PostgresConnection"]:
        async with self._lent() as connection:
            yield PostgresConnection(connection)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator["PostgresConnection"]:
        async with self._lent() as connection:
            with _translated(connection):
                transaction = connection.transaction()
                await transaction.start()
            try:
                yield PostgresConnection(connection)
            except BaseException:
                await _roll_back(connection, transaction)
                raise
            with _translated(connection):
                await transaction.commit()

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Any]:
        with _translated():
            connection = await self._pool.acquire(timeout=ACQUIRE_LIMIT_S)
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    async def close(self) -> None:
        await asyncio.wait_for(self._pool.close(), ACQUIRE_LIMIT_S)


class PostgresConnection:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def run(self, sql: str, args: Sequence[Any]) -> tuple[Sequence[Sequence[Any]], int]:
        with _translated(self._connection):
            # Both keep the prepared statement; `execute` alone tells how many rows it touched.
            if sql.startswith(("SELECT", "WITH")) or " RETURNING " in sql:
                return await self._connection.fetch(sql, *args), -1
            status: str = await self._connection.execute(sql, *args)
        touched = status.rsplit(" ", 1)[-1]
        return (), int(touched) if touched.isdigit() else 0

    async def lock(self, name: str) -> None:
        number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
        with _translated(self._connection):
            await self._connection.execute("SELECT pg_advisory_xact_lock($1)", number)


async def _roll_back(connection: Any, transaction: Any) -> None:
    """Never hides the error that led here: a connection that cannot even roll back is thrown away."""
    try:
        if not connection.is_closed():
            await transaction.rollback()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        _give_up(connection)


def _give_up(connection: Any) -> None:
    with suppress(asyncpg.InterfaceError):  # the pool has taken a broken one back already
        connection.terminate()


async def _leave_as_it_is(connection: Any) -> None:
    """Every transaction was ended and nothing else is ever set on a connection: no round trip to clean it."""


@contextmanager
def _translated(connection: Any = None) -> Iterator[None]:
    try:
        yield
    except asyncpg.InternalClientError as error:
        # A server that ends a connection may leave asyncpg in the middle of an answer: no use asking on.
        if connection is not None:
            _give_up(connection)
        raise StoreUnavailable(f"the connection broke: {error}") from error
    except asyncpg.UniqueViolationError as error:
        raise Duplicate(f"{error.constraint_name}: {error.detail}") from error
    except asyncpg.ForeignKeyViolationError as error:
        raise StillReferenced(str(error)) from error
    except (asyncpg.UndefinedColumnError, asyncpg.UndefinedTableError) as error:
        raise WrongShape(str(error)) from error
    except (asyncpg.DataError, UnicodeEncodeError) as error:
        raise BadValue(str(error)) from error
    except (
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.InsufficientPrivilegeError,
    ) as error:
        raise StoreRefused(str(error)) from error
    except (
        OSError,
        TimeoutError,
        asyncpg.PostgresConnectionError,
        asyncpg.CannotConnectNowError,
        asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
        asyncpg.InsufficientResourcesError,  # too many connections; the disk is full
        asyncpg.ReadOnlySQLTransactionError,
        asyncpg.PostgresSystemError,
        asyncpg.SerializationError,
        asyncpg.DeadlockDetectedError,
        asyncpg.InterfaceError,
    ) as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
