"""The database of a simulated cloud: one SQLite file, many processes, and trouble.

Every statement and every commit takes virtual time, so that others run in between, as they would with a database
over the network; SQLite itself runs such a statement without letting go. What may happen besides: a statement stalls;
the database is away for a while; a commit is done but its answer is lost. A process that is killed in the middle of
a transaction has it rolled back.

What it does not show: PostgreSQL's row locks and its READ COMMITTED between two writers. Here one transaction writes
at a time, in every other respect as `kernel.db.sqlite` does it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from aerostat.kernel.db import StoreUnavailable
from aerostat.kernel.db.sqlite import SqliteConnection, connect

from .history import History
from .loop import PROCESS, Process, VirtualLoop

LONGEST_WAIT_S = 20.0  # for the turn to write


@dataclass
class Temper:
    """How the database behaves. Rates are per statement or commit."""

    latency_s: float = 0.002
    stall_rate: float = 0.0
    stall_s: float = 3.0
    error_rate: float = 0.0
    lost_commit_rate: float = 0.0
    away_until_s: float = 0.0


class SimDatabase:
    """The server side: who may write now, and what goes wrong."""

    def __init__(self, loop: VirtualLoop, rng: random.Random, history: History, path: Path) -> None:
        self.loop = loop
        self.rng = rng
        self.history = history
        self.temper = Temper()
        self.writer = connect(str(path), "OFF")
        self.reader = connect(str(path), "OFF")
        self._owner: Process | None = None
        self._taken = False
        self._waiting: list[tuple[Process | None, asyncio.Future[None]]] = []

    async def pause(self, what: str) -> None:
        """What every statement goes through first. Raises `StoreUnavailable`."""
        temper, rng = self.temper, self.rng
        if self.loop.time() < temper.away_until_s:
            await asyncio.sleep(rng.random() * 0.5)
            raise StoreUnavailable("the database is away")
        if temper.error_rate and rng.random() < temper.error_rate:
            self.history.fault("database errors", "database", "", quiet=True)
            raise StoreUnavailable(f"the connection broke at {what}")
        if temper.stall_rate and rng.random() < temper.stall_rate:
            self.history.fault("database stalls", "database", "", quiet=True)
            await asyncio.sleep(rng.random() * temper.stall_s)
        else:
            await asyncio.sleep(rng.random() * temper.latency_s)

    async def take_turn(self) -> None:
        process = PROCESS.get()
        if self._taken:
            turn = self.loop.create_future()
            self._waiting.append((process, turn))
            try:
                async with asyncio.timeout(LONGEST_WAIT_S):
                    await turn
            except TimeoutError:
                self._withdraw(turn)
                raise StoreUnavailable("the database stayed locked") from None
            except BaseException:
                self._withdraw(turn)
                raise
        else:
            self._taken, self._owner = True, process
        self.writer.execute("BEGIN IMMEDIATE")

    def _withdraw(self, turn: asyncio.Future[None]) -> None:
        """Whoever gives up waiting hands a turn that was just given to him on to the next."""
        self._waiting = [one for one in self._waiting if one[1] is not turn]
        if turn.done() and not turn.cancelled():
            self._next()

    def end_turn(self, *, commit: bool) -> None:
        if self.writer.in_transaction:
            self.writer.execute("COMMIT" if commit else "ROLLBACK")
        self._next()

    def _next(self) -> None:
        waiting = self._waiting = [one for one in self._waiting if not one[1].done()]
        self._taken = bool(waiting)
        self._owner = None
        if waiting:
            self._owner, turn = waiting.pop(self.rng.randrange(len(waiting)))
            turn.set_result(None)

    def forget(self, process: Process) -> None:
        """The process was killed: the server notices, and takes back what it had begun."""
        self._waiting = [one for one in self._waiting if one[0] is not process]
        if self._taken and self._owner is process:
            self.end_turn(commit=False)


class SimBackend:
    """The store's back-end in one process."""

    def __init__(self, database: SimDatabase) -> None:
        self.dialect: Any = SQLiteDialect_pysqlite(paramstyle="qmark")
        self._database = database
        self._read = _Connection(database, SqliteConnection(database.reader))
        self._write = _Connection(database, SqliteConnection(database.writer))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["_Connection"]:
        yield self._read

    @asynccontextmanager
    async def writing(self) -> AsyncIterator["_Connection"]:
        database = self._database
        await database.pause("begin")
        await database.take_turn()
        committed = False
        try:
            yield self._write
            await database.pause("commit")
            committed = True
        finally:
            database.end_turn(commit=committed)
        if database.temper.lost_commit_rate and database.rng.random() < database.temper.lost_commit_rate:
            database.history.fault("answers to a commit lost", "database", "", quiet=True)
            raise StoreUnavailable("the connection broke at the answer to a commit")

    async def close(self) -> None:
        """The server goes on."""


class _Connection:
    def __init__(self, database: SimDatabase, inner: SqliteConnection) -> None:
        self._database = database
        self._inner = inner

    async def run(self, sql: str, args: Sequence[Any]) -> tuple[Sequence[Sequence[Any]], int]:
        await self._database.pause("a statement")
        return await self._inner.run(sql, args)

    async def lock(self, name: str) -> None:
        await self._inner.lock(name)
