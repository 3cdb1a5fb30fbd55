"""The databases of one kind on one device: found by hash, opened when needed, the least used closed again.

Words for one database are written together: while one transaction is at work the words that come are gathered, and
are the next one. So a crowded container costs a transaction for each round, not for each object.

An open database is used only while its file is the one that has the name. A file that goes is marked first, in a
transaction: who has it open, in whatever process, can write no more into what nobody will read.
"""

import asyncio
import contextlib
import errno
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from ..timestamp import Timestamp
from .database import Database, Retired, files_of
from .held import DatabaseState, Rows, RowsSince, Said
from .object_file import Damaged
from .tree import Tree

D = TypeVar("D", bound=Database)
T = TypeVar("T")

MOST_OPEN = 256


class InThread(Protocol):
    """Run blocking work in a thread of the device's."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


class _Slot(Generic[D]):
    """A name, with its database while that is open."""

    __slots__ = ("database", "lock", "users")

    def __init__(self) -> None:
        self.database: D | None = None
        self.lock = threading.Lock()
        self.users = 0


class Shelf(Generic[D]):
    """`kind` makes and opens the files, in `tree`."""

    def __init__(self, tree: Tree, kind: type[D], run: InThread) -> None:
        self.tree = tree
        self._kind = kind
        self._run = run
        self._slots: OrderedDict[str, _Slot[D]] = OrderedDict()
        self._lock = threading.Lock()
        self._gathering: dict[str, list[Any]] = {}
        self._rounds: dict[str, asyncio.Future[bool]] = {}
        self._at_work: set[asyncio.Task[None]] = set()

    def path(self, part: int, hashed: str) -> Path:
        return Path(f"{self.tree.folder(part, hashed)}/{hashed}.db")

    async def make(
        self, part: int, hashed: str, *, name: str, at: Timestamp, policy: int = 0, said: Said | None = None
    ) -> bool:
        """It is there, with what is said of it beside what it has; answers whether it is new."""

        def run() -> bool:
            while True:
                with contextlib.suppress(Retired), self._using(part, hashed) as database:
                    if database is not None:
                        return database.put_again(at, policy, said)
                if self._make(part, hashed, name=name, at=at, policy=policy, said=said):
                    return True

        return await self._run(run)

    def _make(self, part: int, hashed: str, **columns: Any) -> bool:
        path = self.path(part, hashed)
        with _told(), self.tree.locked(str(path.parent)):
            return self._kind.make(path, self.tree.new_path(), **columns)

    async def ask(self, part: int, hashed: str, work: Callable[[D], T]) -> T | None:
        """What `work` makes of the database, in a thread; None when there is no such. Raises `Damaged`, OSError."""

        def run() -> T | None:
            with contextlib.suppress(Retired), self._using(part, hashed) as database:
                return work(database) if database is not None else None
            return None

        return await self._run(run)

    async def hear(self, part: int, hashed: str, words: list[Any]) -> bool:
        """Write words into the database, in company; False when there is no such. Returns when they are written."""
        if not words:  # a round of none would never come
            return bool(await self.ask(part, hashed, partial(_hear, words)))
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
                ended.set_result(bool(written))
        del self._gathering[hashed], self._rounds[hashed]

    @contextmanager
    def _using(self, part: int, hashed: str) -> Iterator[D | None]:
        """The database, opened and fit to be used; None when there is none, or it goes meanwhile."""
        with self._lock:
            slot = self._slots.get(hashed)
            if slot is None:
                slot = self._slots[hashed] = _Slot()
            else:
                self._slots.move_to_end(hashed)
            slot.users += 1
        try:
            with _told():
                yield self._opened(slot, self.path(part, hashed))
        except Retired:
            slot.database = None
            raise
        finally:
            with self._lock:
                slot.users -= 1
                if slot.users == 0 and slot.database is None and self._slots.get(hashed) is slot:
                    del self._slots[hashed]
                idle = self._take_idle()
            for database in idle:
                database.close()

    def _opened(self, slot: _Slot[D], path: Path) -> D | None:
        """Others may open other files meanwhile, however long this one takes."""
        with slot.lock:
            try:
                inode = os.stat(path).st_ino
                if slot.database is None or slot.database.inode != inode:
                    slot.database = None  # users that are left close it by letting it go
                    database = self._kind(path)
                    if _is_retired(database):
                        database.close()
                        self._remove(path, database.inode)
                        return None
                    slot.database = database
            except FileNotFoundError:
                slot.database = None
            return slot.database

    def _take_idle(self) -> list[D]:
        """With the lock: those that are to be closed, so that not too many are open."""
        taken = []
        surplus = len(self._slots) - MOST_OPEN
        for hashed, slot in list(self._slots.items()) if surplus > 0 else ():
            if surplus <= 0:
                break
            if slot.users == 0:
                del self._slots[hashed]
                surplus -= 1
                if slot.database is not None:
                    taken.append(slot.database)
        return taken

    # Copies, and what is not needed any more

    async def states(self, part: int) -> list[DatabaseState]:
        """Of all databases of a partition; what is damaged is put aside."""
        found = []
        for suffix in await self._run(lambda: self.tree.suffixes(part)):
            for hashed in await self._run(partial(self._hashes, part, suffix)):
                try:
                    state = await self.ask(part, hashed, lambda database: database.state())
                except Damaged as damage:
                    await self.quarantine(part, hashed, damage.reason)
                else:
                    found += [state] if state is not None else []
        return found

    async def merge(
        self, part: int, hashed: str, other: DatabaseState, rows: Rows, heard: int
    ) -> DatabaseState:
        def run() -> DatabaseState:
            while True:
                with contextlib.suppress(Retired), self._using(part, hashed) as database:
                    if database is not None:
                        return database.merge(other, rows, heard)
                self._make(part, hashed, name=other.path, at=other.created_at, policy=other.policy)

        return await self._run(run)

    async def since(self, part: int, hashed: str, change: int, limit: int) -> RowsSince | None:
        return await self.ask(part, hashed, lambda database: database.since(change, limit))

    async def remove(self, part: int, hashed: str, file_id: str, change: int) -> bool:
        """See `RepairVerbs.remove_database`."""

        def run(database: D) -> bool:
            if not database.retire(file_id, change):
                return False
            self._remove(database.path, database.inode)
            return True

        return bool(await self.ask(part, hashed, run))

    def _remove(self, path: Path, inode: int) -> None:
        """Take away a file that is retired: that one, and not another that may have its name by now."""
        folder = str(path.parent)
        with self.tree.locked(folder), contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_ino == inode:
                for file in files_of(path):
                    file.unlink(missing_ok=True)
            self.tree.remove_if_empty(folder)

    async def quarantine(self, part: int, hashed: str, why: str) -> bool:
        path = self.path(part, hashed)

        def run() -> bool:
            with self.tree.locked(str(path.parent)):
                return self.tree.put_aside(str(path.parent), [file.name for file in files_of(path)], why)

        return await self._run(run)

    def _hashes(self, part: int, suffix: str) -> list[str]:
        return sorted(name[:-3] for name in self.tree.names(part, suffix) if name.endswith(".db"))

    async def close(self) -> None:
        """Wait for what is being written, and close the files."""
        await asyncio.gather(*self._at_work, return_exceptions=True)
        await asyncio.to_thread(self._close_files)  # also of a device that is away

    def _close_files(self) -> None:
        with self._lock:
            slots, self._slots = self._slots, OrderedDict()
        for slot in slots.values():
            if slot.database is not None:
                slot.database.close()


@contextmanager
def _told() -> Iterator[None]:
    """What SQLite says of a file or a disk, in the words that all stores use."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise Damaged(str(error)) from error
        if (number := _NUMBERS.get(code)) is not None:
            raise OSError(number, str(error)) from error
        raise


def _is_retired(database: Database) -> bool:
    """Raises `Damaged` for a file that is none of ours: cut short to nothing, it is a database like any other."""
    try:
        return not database.status()["file_id"]
    except (IndexError, sqlite3.OperationalError) as error:
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        raise Damaged(f"it has no status: {error}") from error


_NUMBERS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EIO,
    sqlite3.SQLITE_BUSY: errno.EBUSY,
    sqlite3.SQLITE_LOCKED: errno.EBUSY,
}


def _hear(words: list[Any], database: Any) -> bool:
    return bool(database.hear(words))
