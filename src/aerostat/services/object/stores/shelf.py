"""The databases of one kind on one device: found by hash, opened when needed, the least used closed again.

Words for one database are written together: while one transaction is at work the words that come are gathered, and
are the next one. So a crowded container costs a transaction for each round, not for each object.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from .database import Database
from .objects import SUFFIX_DIGITS

D = TypeVar("D", bound=Database)
T = TypeVar("T")

MOST_OPEN = 256


class Shelf(Generic[D]):
    """`folder`: `DEVICE/containers`. `kind` makes and opens the files. Work runs in threads of `executor`."""

    def __init__(self, folder: Path, unnamed: Path, kind: type[D], executor: Executor) -> None:
        self._folder = folder
        self._unnamed = unnamed
        self._kind = kind
        self._executor = executor
        self._open: OrderedDict[str, D] = OrderedDict()
        self._users: dict[str, int] = {}
        self._lock = threading.Lock()
        self._gathering: dict[str, list[Any]] = {}
        self._rounds: dict[str, asyncio.Future[bool]] = {}
        self._at_work: set[asyncio.Task[None]] = set()

    def path(self, part: int, hashed: str) -> Path:
        return self._folder / str(part) / hashed[-SUFFIX_DIGITS:] / f"{hashed}.db"

    async def make(self, part: int, hashed: str, **columns: Any) -> None:
        """See `Database.make`."""
        path = self.path(part, hashed)
        await self._run(lambda: self._kind.make(path, self._unnamed, **columns))

    async def ask(self, part: int, hashed: str, work: Callable[[D], T]) -> T | None:
        """What `work` makes of the database, in a thread; None when there is no such."""

        def run() -> T | None:
            with self._using(part, hashed) as database:
                return work(database) if database is not None else None

        return await self._run(run)

    async def hear(self, part: int, hashed: str, words: list[Any]) -> bool:
        """Write words into the database, in company; False when there is no such. Returns when they are written."""
        if (gathered := self._gathering.get(hashed)) is not None:
            gathered += words
            return await asyncio.shield(self._rounds[hashed])
        self._gathering[hashed] = list(words)
        ended = self._rounds[hashed] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._write_rounds(part, hashed))
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        return await asyncio.shield(ended)

    async def _write_rounds(self, part: int, hashed: str) -> None:
        """Round after round, until nobody has said anything meanwhile."""
        while words := self._gathering[hashed]:
            ended = self._rounds[hashed]
            self._gathering[hashed] = []
            self._rounds[hashed] = asyncio.get_running_loop().create_future()
            try:
                written = await self.ask(part, hashed, partial(_hear, words))
            except Exception as error:
                ended.set_exception(error)
                ended.exception()  # it is told to those who wait; that nobody may is no fault
            else:
                ended.set_result(written is not None)
        del self._gathering[hashed], self._rounds[hashed]

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    @contextmanager
    def _using(self, part: int, hashed: str) -> Iterator[D | None]:
        with self._lock:
            database = self._open.get(hashed)
            if database is None:
                try:
                    database = self._kind(self.path(part, hashed))
                except FileNotFoundError:
                    pass
                else:
                    self._open[hashed] = database
            else:
                self._open.move_to_end(hashed)
            if database is not None:
                self._users[hashed] = self._users.get(hashed, 0) + 1
        try:
            yield database
        finally:
            if database is not None:
                with self._lock:
                    self._users[hashed] -= 1
                    self._close_some()

    def _close_some(self) -> None:
        for hashed in list(self._open):
            if len(self._open) <= MOST_OPEN:
                return
            if not self._users.get(hashed):
                self._users.pop(hashed, None)
                self._open.pop(hashed).close()

    async def close(self) -> None:
        """Wait for what is being written, and close the files."""
        await asyncio.gather(*self._at_work, return_exceptions=True)
        with self._lock:
            for database in self._open.values():
                database.close()
            self._open.clear()
            self._users.clear()


def _hear(words: list[Any], database: Any) -> bool:
    database.hear(words)
    return True
