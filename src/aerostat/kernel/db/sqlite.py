"""SQLite behind the store: one writer, one reader, both in the event loop's thread.

A statement takes microseconds, a thread hop more, so statements run inline. The one thing that could block,
another process holding the write lock, is waited for with `asyncio.sleep`, never inside sqlite.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, quote, urlsplit

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from ..sqlite_file import write_ahead
from .store import BadValue, Duplicate, StillReferenced, StoreUnavailable, WrongShape

WRITE_LOCK_LIMIT_S = 20.0
OPEN_WITHIN_S = 2.0


class SqliteBackend:
    """`sqlite:///path`; `?synchronous=off` for clouds that may be forgotten."""

    def __init__(self, writer: sqlite3.Connection, reader: sqlite3.Connection) -> None:
        self.dialect: Any = SQLiteDialect_pysqlite(paramstyle="qmark")
        self._writer, self._reader = writer, reader
        self._read_connection = SqliteConnection(self._reader)
        self._write_connection = SqliteConnection(self._writer)
        self._turn = asyncio.Lock()

    @classmethod
    def open(cls, url: str) -> Self:
        path = path_of(url)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        # Made by us rather than by sqlite, so that nobody else can read it; its WAL takes over the mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        synchronous = parse_qs(urlsplit(url).query).get("synchronous", ["normal"])[0].upper()
        if synchronous not in ("OFF", "NORMAL", "FULL"):
            raise ValueError(f"synchronous is off, normal or full, not {synchronous.lower()}")
        return cls(connect(path, synchronous), connect(path, synchronous))

    @classmethod
    def look_into(cls, url: str) -> Self:
        """For somebody else's file, which is not changed."""
        try:
            connections = [sqlite3.connect(f"file:{quote(path_of(url))}?mode=ro", uri=True) for _ in range(2)]
        except sqlite3.OperationalError as error:
            raise StoreUnavailable(str(error)) from error
        return cls(*connections)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["SqliteConnection"]:
        yield self._read_connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator["SqliteConnection"]:
        async with self._turn:
            await self._begin()
            try:
                yield self._write_connection
                self._commit()
            except BaseException:
                if self._writer.in_transaction:  # sqlite itself has rolled back when its disk was full
                    self._writer.execute("ROLLBACK")
                raise

    def _commit(self) -> None:
        try:
            self._writer.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise StoreUnavailable(str(error)) from error

    async def _begin(self) -> None:
        give_up_at = time.monotonic() + WRITE_LOCK_LIMIT_S
        pause_s = 0.001
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) and "busy" not in str(error):
                    raise StoreUnavailable(str(error)) from error
                if time.monotonic() > give_up_at:
                    raise StoreUnavailable(
                        f"the database stayed locked for {WRITE_LOCK_LIMIT_S:.0f} s"
                    ) from error
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.1)

    async def close(self) -> None:
        self._reader.close()
        self._writer.close()


class SqliteConnection:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def run(self, sql: str, args: Sequence[Any]) -> tuple[Sequence[Sequence[Any]], int]:
        try:
            cursor = self._connection.execute(sql, args)
            if cursor.description is not None:
                return cursor.fetchall(), -1
            return (), cursor.rowcount
        except sqlite3.IntegrityError as error:
            if "UNIQUE" in str(error) or "PRIMARY KEY" in str(error):
                raise Duplicate(str(error)) from error
            if "FOREIGN KEY" in str(error):
                raise StillReferenced(str(error)) from error
            raise
        except sqlite3.OperationalError as error:
            if "no such" in str(error) or "has no column" in str(error):
                raise WrongShape(str(error)) from error
            if "syntax" in str(error):
                raise
            raise StoreUnavailable(str(error)) from error
        except (OverflowError, UnicodeEncodeError, sqlite3.DataError) as error:
            raise BadValue(str(error)) from error

    async def lock(self, name: str) -> None:
        """Nothing to do: a SQLite write transaction is alone."""


def path_of(url: str) -> str:
    """The file that a SQLite URL names."""
    path = urlsplit(url).path
    path = path[1:] if path.startswith("//") else path
    if not path or path == "/":
        raise ValueError(f"a SQLite URL names a file: sqlite:///path/to/file, not {url}")
    return path


def connect(path: str, synchronous: str) -> sqlite3.Connection:
    """A connection with the settings that the rules of the store rest on."""
    # One loop uses the connection, but `Cloud` in tests may close it from another thread.
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=0.0, check_same_thread=False, cached_statements=512
    )
    write_ahead(connection, OPEN_WITHIN_S)
    connection.execute("PRAGMA busy_timeout = 0")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
