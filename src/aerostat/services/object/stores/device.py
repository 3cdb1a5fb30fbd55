"""A device of this node: one folder, one disk, and threads of its own, so that a slow disk holds up nobody else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from ..timestamp import Timestamp
from .account_db import AccountDb, AccountStatus, ContainerEntry
from .container_db import ContainerDb, ContainerStatus, Entry
from .database import Database
from .listing import Asked, Subdir
from .object_file import Facts, Revision
from .objects import Found, Objects, Writing
from .protocol import Place, Said
from .shelf import Shelf

D = TypeVar("D", bound=Database)
T = TypeVar("T")

PIECE = 256 << 10
THREADS = 8


class InThread(Protocol):
    """Run blocking work in a thread of the device's."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


class LocalDevice:
    """See `DeviceVerbs`. `root` is the mounted file system, or a folder that stands for one."""

    def __init__(self, root: Path, *, threads: int = THREADS) -> None:
        self.root = root
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"disk-{root.name}")
        self._objects: dict[int, Objects] = {}
        unnamed = root / "tmp"
        unnamed.mkdir(parents=True, exist_ok=True)
        self._containers = Shelf(root / "containers", unnamed, ContainerDb, self._executor)
        self._accounts = Shelf(root / "accounts", unnamed, AccountDb, self._executor)

    async def close(self) -> None:
        await self._containers.close()
        await self._accounts.close()
        self._executor.shutdown()

    def objects(self, policy: int) -> Objects:
        """The blocking store of one policy."""
        if policy not in self._objects:
            self._objects[policy] = Objects(self.root, policy)
        return self._objects[policy]

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    # Objects

    async def find(self, policy: int, place: Place) -> "LocalObject | None":
        objects = self.objects(policy)
        found = await self._run(lambda: objects.find(place.part, place.hashed))
        return LocalObject(self._run, found) if found is not None else None

    async def begin(self, policy: int, place: Place, size: int | None = None) -> "LocalWriting":
        objects = self.objects(policy)

        def open_() -> Writing:
            writing = objects.begin(place.part, place.hashed)
            if size:
                try:
                    writing.reserve(size)
                except BaseException:
                    writing.close()
                    raise
            return writing

        return LocalWriting(self._run, await self._run(open_))

    async def put(self, policy: int, place: Place, data: bytes, facts: Facts) -> None:
        objects = self.objects(policy)
        await self._run(lambda: objects.put(place.part, place.hashed, data, facts))

    async def delete(self, policy: int, place: Place, path: str, at: Timestamp) -> Facts | None:
        objects = self.objects(policy)
        return await self._run(lambda: objects.delete(place.part, place.hashed, path, at))

    async def post(self, policy: int, place: Place, revision: Revision) -> Facts | None:
        objects = self.objects(policy)
        return await self._run(lambda: objects.post(place.part, place.hashed, revision))

    # Containers

    async def make_container(self, place: Place, path: str, at: Timestamp, policy: int, said: Said) -> bool:
        return await self._make(self._containers, place, path, at, said, policy=policy)

    async def container(self, place: Place) -> tuple[ContainerStatus, Said] | None:
        def look(database: ContainerDb) -> tuple[ContainerStatus, Said] | None:
            status = database.container()
            return None if status.is_deleted else (status, database.metadata())

        return await self._containers.ask(place.part, place.hashed, look)

    async def list_container(self, place: Place, asked: Asked) -> Sequence[Entry | Subdir] | None:
        return await self._containers.ask(
            place.part,
            place.hashed,
            lambda database: None if database.container().is_deleted else database.list(asked),
        )

    async def say_of_container(self, place: Place, said: Said) -> bool:
        return await self._say(self._containers, place, said, lambda found: found.container().is_deleted)

    async def hear_objects(self, place: Place, words: Sequence[Entry]) -> bool:
        return await self._containers.hear(place.part, place.hashed, list(words))

    async def delete_container(self, place: Place, at: Timestamp) -> bool | None:
        return await self._containers.ask(place.part, place.hashed, lambda database: database.delete(at))

    # Accounts

    async def make_account(self, place: Place, path: str, at: Timestamp, said: Said) -> bool:
        return await self._make(self._accounts, place, path, at, said)

    async def account(self, place: Place) -> tuple[AccountStatus, Said] | None:
        def look(database: AccountDb) -> tuple[AccountStatus, Said] | None:
            status = database.account()
            return None if status.is_deleted else (status, database.metadata())

        return await self._accounts.ask(place.part, place.hashed, look)

    async def list_account(self, place: Place, asked: Asked) -> Sequence[ContainerEntry | Subdir] | None:
        return await self._accounts.ask(
            place.part,
            place.hashed,
            lambda database: None if database.account().is_deleted else database.list(asked),
        )

    async def say_of_account(self, place: Place, said: Said) -> bool:
        return await self._say(self._accounts, place, said, lambda found: found.account().is_deleted)

    async def hear_containers(self, place: Place, words: Sequence[ContainerEntry]) -> bool:
        return await self._accounts.hear(place.part, place.hashed, list(words))

    async def delete_account(self, place: Place, at: Timestamp) -> bool | None:
        return await self._accounts.ask(place.part, place.hashed, lambda database: database.delete(at))

    # Both

    async def _make(
        self, shelf: Shelf[D], place: Place, path: str, at: Timestamp, said: Said, **columns: int
    ) -> bool:
        def again(database: Database) -> bool:
            is_new = database.put_again(at)
            _merge(database, said)
            return is_new

        is_new = await shelf.ask(place.part, place.hashed, again)
        if is_new is not None:
            return is_new
        await shelf.make(place.part, place.hashed, name=path, at=at, **columns)
        if said:
            await shelf.ask(place.part, place.hashed, lambda database: _merge(database, said))
        return True

    async def _say(self, shelf: Shelf[D], place: Place, said: Said, is_deleted: Callable[[D], bool]) -> bool:
        def say(database: D) -> bool:
            if is_deleted(database):
                return False
            _merge(database, said)
            return True

        return bool(await shelf.ask(place.part, place.hashed, say))


def _merge(database: Database, said: Said) -> None:
    if said:
        database.merge_metadata((name, value, at) for name, (value, at) in said.items())


class LocalObject:
    """See `OpenObject`."""

    def __init__(self, run: InThread, found: Found) -> None:
        self._run = run
        self._found = found
        self.facts = found.facts
        self.data = found.data

    async def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        while start < end:
            if self.data is not None:
                piece = self.data[start:end]
            else:
                piece = await self._run(partial(self._found.read, start, min(PIECE, end - start)))
            if not piece:
                raise EOFError(f"the object ends at {start}, before {end}")
            yield piece
            start += len(piece)

    async def close(self) -> None:
        self._found.close()


class LocalWriting:
    """See `ObjectWriting`."""

    def __init__(self, run: InThread, writing: Writing) -> None:
        self._run = run
        self._writing = writing

    async def write(self, data: bytes) -> None:
        await self._run(lambda: self._writing.write(data))

    async def commit(self, facts: Facts) -> None:
        await self._run(lambda: self._writing.commit(facts))

    async def close(self) -> None:
        await self._run(self._writing.close)
