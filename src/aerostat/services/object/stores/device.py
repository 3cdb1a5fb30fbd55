"""A device of this node: one folder, one disk, and threads of its own, so that a slow disk holds up nobody else."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..timestamp import Timestamp
from .account_db import AccountDb
from .container_db import ContainerDb
from .entries import AccountStatus, ContainerEntry, ContainerStatus, Entry
from .fragments import FoundFragment, Fragments
from .held import (
    ACCOUNTS,
    CONTAINERS,
    DatabaseState,
    DeviceStatus,
    Held,
    Rows,
    RowsSince,
    Said,
    is_store,
    policy_of,
)
from .listing import Asked, Subdir
from .mark import Mark
from .object_file import Facts, Revision
from .objects import WOUNDED, Objects
from .opened import Found, Writing
from .pending import Note, Pending
from .protocol import Place
from .shelf import InThread, Shelf
from .space import check_room
from .threads import Threads
from .tree import QUARANTINED, Tree, listed

T = TypeVar("T")
Opened = TypeVar("Opened", bound=Found | Writing | None)

THREADS = 8


class LocalDevice:
    """See `DeviceVerbs`. `root` is the mounted file system, or a folder that stands for one. `device_id`: what stands
    on it since its first use; None for a first use, or for whatever is there.
    """

    def __init__(self, root: Path, *, threads: int = THREADS, device_id: str | None = None) -> None:
        self.root = root
        self._mark = Mark(root, device_id)
        self._threads = Threads(f"disk-{root.name}", threads)
        self._objects: dict[int, Objects] = {}
        self._fragments: dict[int, Fragments] = {}
        self._pending = Pending(root)
        self._containers = Shelf(Tree(root, CONTAINERS), ContainerDb, self._run)
        self._accounts = Shelf(Tree(root, ACCOUNTS), AccountDb, self._run)

    async def close(self) -> None:
        """Wait for what was begun. A disk may take its time: it holds up nobody who uses another one."""
        await self._containers.close()
        await self._accounts.close()
        await asyncio.to_thread(self._threads.close)

    @property
    def device_id(self) -> str:
        """What stands on it; what it is to be, while it is away."""
        return self._mark.device_id

    def objects(self, policy: int) -> Objects:
        """The blocking store of one policy."""
        if policy not in self._objects:
            self._objects[policy] = Objects(self.root, policy)
        return self._objects[policy]

    def fragments(self, policy: int) -> Fragments:
        if policy not in self._fragments:
            self._fragments[policy] = Fragments(self.root, policy)
        return self._fragments[policy]

    def _run(self, work: Callable[[], T]) -> Awaitable[T]:
        """In a thread, if the device is there. Raises `DeviceAway`."""
        return self._threads.run(self._checked(work))

    def _open(self, work: Callable[[], Opened]) -> Awaitable[Opened]:
        """As `_run`; what was opened for somebody who went away meanwhile is closed."""
        return self._threads.run(self._checked(work), _close_opened)

    def _run_anyway(self, work: Callable[[], T]) -> Awaitable[T]:
        return self._threads.run(work)

    def _checked(self, work: Callable[[], T]) -> Callable[[], T]:
        check = self._mark.check

        def run() -> T:
            check()
            return work()

        return run

    # Objects

    async def find(self, policy: int, place: Place) -> "LocalObject | None":
        objects = self.objects(policy)
        found = await self._open(lambda: objects.find(place.part, place.hashed))
        return LocalObject(self._run, found) if found is not None else None

    async def begin(self, policy: int, place: Place, size: int | None = None) -> "LocalWriting":
        objects = self.objects(policy)
        return await self._begin(lambda: objects.begin(place.part, place.hashed), size)

    async def _begin(self, begin: Callable[[], Writing], size: int | None) -> "LocalWriting":
        def open_() -> Writing:
            check_room(self.root, size or 0)
            writing = begin()
            if size:
                try:
                    writing.reserve(size)
                except BaseException:
                    writing.close()
                    raise
            return writing

        return LocalWriting(self._run, self._run_anyway, await self._open(open_), self.root)

    async def put(self, policy: int, place: Place, data: bytes, facts: Facts) -> None:
        objects = self.objects(policy)

        def put() -> None:
            check_room(self.root, len(data))
            objects.put(place.part, place.hashed, data, facts)

        await self._run(put)

    async def delete(self, policy: int, place: Place, path: str, at: Timestamp) -> Facts | None:
        objects = self.objects(policy)
        return await self._run(lambda: objects.delete(place.part, place.hashed, path, at))

    async def post(self, policy: int, place: Place, revision: Revision) -> Facts | None:
        objects = self.objects(policy)
        return await self._run(lambda: objects.post(place.part, place.hashed, revision))

    # Fragments

    async def find_fragment(
        self, policy: int, place: Place, wanted: tuple[Timestamp, int] | None = None
    ) -> "LocalFragment | None":
        fragments = self.fragments(policy)
        found = await self._open(lambda: fragments.find(place.part, place.hashed, wanted))
        return LocalFragment(self._run, found) if found is not None else None

    async def begin_fragment(self, policy: int, place: Place, size: int | None = None) -> "LocalWriting":
        fragments = self.fragments(policy)
        return await self._begin(lambda: fragments.begin(place.part, place.hashed), size)

    async def make_durable(self, policy: int, place: Place, at: Timestamp) -> bool:
        fragments = self.fragments(policy)
        return await self._run(lambda: fragments.make_durable(place.part, place.hashed, at))

    async def delete_fragments(self, policy: int, place: Place, path: str, at: Timestamp) -> Facts | None:
        fragments = self.fragments(policy)
        return await self._run(lambda: fragments.delete(place.part, place.hashed, path, at))

    async def post_fragments(self, policy: int, place: Place, revision: Revision) -> Facts | None:
        fragments = self.fragments(policy)
        return await self._run(lambda: fragments.post(place.part, place.hashed, revision))

    # Containers

    async def make_container(self, place: Place, path: str, at: Timestamp, policy: int, said: Said) -> bool:
        return await self._containers.make(
            place.part, place.hashed, name=path, at=at, policy=policy, said=said
        )

    async def container(self, place: Place) -> tuple[ContainerStatus, Said] | None:
        return await self._containers.ask(place.part, place.hashed, ContainerDb.look)

    async def list_container(self, place: Place, asked: Asked) -> Sequence[Entry | Subdir] | None:
        return await self._containers.ask(
            place.part, place.hashed, lambda found: found.list(asked) if found.is_open else None
        )

    async def say_of_container(self, place: Place, said: Said) -> bool:
        return bool(await self._containers.ask(place.part, place.hashed, lambda found: found.say(said)))

    async def hear_objects(self, place: Place, words: Sequence[Entry]) -> bool:
        return await self._containers.hear(place.part, place.hashed, list(words))

    async def delete_container(self, place: Place, at: Timestamp) -> bool | None:
        return await self._containers.ask(place.part, place.hashed, lambda found: found.delete(at))

    # Accounts

    async def make_account(self, place: Place, path: str, at: Timestamp, said: Said) -> bool:
        return await self._accounts.make(place.part, place.hashed, name=path, at=at, said=said)

    async def account(self, place: Place) -> tuple[AccountStatus, Said] | None:
        return await self._accounts.ask(place.part, place.hashed, AccountDb.look)

    async def list_account(self, place: Place, asked: Asked) -> Sequence[ContainerEntry | Subdir] | None:
        return await self._accounts.ask(
            place.part, place.hashed, lambda found: None if found.is_deleted else found.list(asked)
        )

    async def say_of_account(self, place: Place, said: Said) -> bool:
        return bool(await self._accounts.ask(place.part, place.hashed, lambda found: found.say(said)))

    async def hear_containers(self, place: Place, words: Sequence[ContainerEntry]) -> bool:
        return await self._accounts.hear(place.part, place.hashed, list(words))

    async def delete_account(self, place: Place, at: Timestamp) -> bool | None:
        return await self._accounts.ask(place.part, place.hashed, lambda found: found.delete(at))

    # Repair

    async def status(self) -> DeviceStatus:
        def look() -> DeviceStatus:
            space = os.statvfs(self.root)
            aside = self.root / QUARANTINED
            return DeviceStatus(
                device_id=self.device_id,
                total_bytes=space.f_blocks * space.f_frsize,
                free_bytes=space.f_bavail * space.f_frsize,
                stores=sorted(name for name in os.listdir(self.root) if is_store(name)),
                quarantined={name: len(listed(str(aside / name))) for name in sorted(listed(str(aside)))},
            )

        return await self._run(look)

    async def partitions(self, store: str) -> Sequence[int]:
        return await self._run(self._tree(store).partitions)

    async def quarantine(
        self, store: str, place: Place, why: str, fragment: tuple[Timestamp, int] | None = None
    ) -> bool:
        if store in (CONTAINERS, ACCOUNTS):
            return await self._shelf(store).quarantine(place.part, place.hashed, why)
        kind = self._files(store)
        if isinstance(kind, Fragments):
            return await self._run(lambda: kind.quarantine(place.part, place.hashed, why, fragment))
        return await self._run(lambda: kind.quarantine(place.part, place.hashed, why))

    async def digests(self, store: str, part: int) -> Mapping[str, str]:
        kind = self._files(store)
        return await self._run(lambda: kind.tree.digests(part, kind.held))

    async def held(self, store: str, part: int, suffix: str | None = None) -> Sequence[Held]:
        kind = self._files(store)
        suffixes = [suffix] if suffix is not None else await self._run(lambda: kind.tree.suffixes(part))
        found: list[Held] = []
        for one in suffixes:
            found += await self._run(partial(kind.held, part, one))
        return found

    async def forget(self, store: str, part: int, held: Held) -> bool:
        kind = self._files(store)
        return await self._run(lambda: kind.forget(part, held))

    async def databases(self, store: str, part: int) -> Sequence[DatabaseState]:
        return await self._shelf(store).states(part)

    async def database(self, store: str, place: Place) -> DatabaseState | None:
        return await self._shelf(store).ask(place.part, place.hashed, lambda found: found.state())

    async def rows_since(self, store: str, place: Place, change: int, limit: int) -> RowsSince | None:
        return await self._shelf(store).since(place.part, place.hashed, change, limit)

    async def merge_database(
        self, store: str, place: Place, other: DatabaseState, rows: Rows = (), heard: int = 0
    ) -> DatabaseState:
        return await self._shelf(store).merge(place.part, place.hashed, other, rows, heard)

    async def forget_gone(self, store: str, place: Place, before: Timestamp) -> int:
        asked = self._shelf(store).ask(place.part, place.hashed, lambda found: found.forget_gone(before))
        return await asked or 0

    async def remove_database(self, store: str, place: Place, file_id: str, change: int) -> bool:
        return await self._shelf(store).remove(place.part, place.hashed, file_id, change)

    # Notes

    async def keep_note(self, place: Place, note: Note) -> None:
        await self._run(lambda: self._pending.keep(place.hashed, note))

    async def drop_rows(self, place: Place, after: int, upto: int) -> int:
        """See `ContainerDb.drop_rows`."""
        asked = self._containers.ask(place.part, place.hashed, lambda found: found.drop_rows(after, upto))
        return await asked or 0

    async def wounded(self) -> list[tuple[int, Place]]:
        """Policy and place of objects of which a piece is damaged, and that no whole one has taken the place of."""

        def look() -> list[tuple[int, Place]]:
            names = [name for name in listed(str(self.root / WOUNDED)) if name.startswith("objects")]
            policies = [policy_of(name) for name in names]
            return [(policy, Place(*one)) for policy in policies for one in self.objects(policy).wounded()]

        return await self._run(look)

    async def wounded_fragments(self) -> list[tuple[int, int, Held]]:
        """The same of fragments: policy, partition, and which it is."""

        def look() -> list[tuple[int, int, Held]]:
            names = [name for name in listed(str(self.root / WOUNDED)) if name.startswith("fragments")]
            policies = [policy_of(name) for name in names]
            return [(policy, *one) for policy in policies for one in self.fragments(policy).wounded()]

        return await self._run(look)

    async def give_up_wounded(self, policy: int, place: Place, why: str) -> bool:
        objects = self.objects(policy)
        return await self._run(lambda: objects.give_up_wounded(place.part, place.hashed, why))

    async def clear_unnamed(self, older_than_s: float) -> int:
        """Remove what writers that died have left; answers how many files it was."""
        tree = self._containers.tree
        return await self._run(lambda: tree.clear_unnamed(older_than_s, time.time()))

    def _shelf(self, store: str) -> Shelf[Any]:
        """Raises ValueError where the store has no databases."""
        if store == CONTAINERS:
            return self._containers
        if store == ACCOUNTS:
            return self._accounts
        raise ValueError(f"{store} holds no databases")

    def _files(self, store: str) -> Objects | Fragments:
        """Raises ValueError where the store holds no files of objects."""
        if not is_store(store) or store in (CONTAINERS, ACCOUNTS):
            raise ValueError(f"{store} holds no objects")
        policy = policy_of(store)
        return self.fragments(policy) if store.startswith("fragments") else self.objects(policy)

    def _tree(self, store: str) -> Tree:
        return (self._shelf(store) if store in (CONTAINERS, ACCOUNTS) else self._files(store)).tree


def _close_opened(opened: Found | Writing | None) -> None:
    if opened is not None:
        opened.close()


class LocalObject:
    """See `OpenObject`."""

    def __init__(self, run: InThread, found: Found) -> None:
        self._run = run
        self._found = found
        self.facts = found.facts
        self.written = found.written
        self.revision = found.revision
        self.data = found.data

    async def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        while start < end:
            if self.data is not None:
                piece = self.data[start:end]
            else:
                piece = await self._run(partial(self._found.read, start, end))
            if not piece:
                raise EOFError(f"the object ends at {start}, before {end}")
            yield piece
            start += len(piece)

    async def put_aside(self, why: str) -> bool:
        """What is wrong with it was found out elsewhere. See `Found.put_aside`."""
        return await self._run(partial(self._found.put_aside, why))

    async def close(self) -> None:
        self._found.close()


class LocalFragment(LocalObject):
    """See `OpenFragment`."""

    def __init__(self, run: InThread, found: FoundFragment) -> None:
        super().__init__(run, found)
        self.versions = found.versions
        self.is_durable = found.is_durable


class LocalWriting:
    """See `ObjectWriting`."""

    def __init__(self, run: InThread, run_anyway: InThread, writing: Writing, root: Path) -> None:
        self._run = run
        self._run_anyway = run_anyway
        self._writing = writing
        self._root = root

    async def write(self, data: bytes) -> None:
        def write() -> None:
            if not self._writing.is_reserved:
                check_room(self._root, len(data))
            self._writing.write(data)

        await self._run(write)

    async def commit(self, facts: Facts) -> None:
        await self._run(lambda: self._writing.commit(facts))

    async def close(self) -> None:
        await self._run_anyway(self._writing.close)
