"""A device of another node, by the verbs of a local one. See `DeviceVerbs`.

A device that does not answer in time is away at once for some seconds: those who ask go to another one and do not
wait each for themselves.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..stores.entries import AccountStatus, ContainerEntry, ContainerStatus, Entry
from ..stores.held import DatabaseState, DeviceStatus, Held, Place, Rows, RowsSince, Said
from ..stores.listing import Asked, Subdir
from ..stores.object_file import Facts, Revision, revised
from ..stores.pending import Note
from ..stores.protocol import DeviceAway
from ..timestamp import Timestamp
from . import wire
from .connection import Connection, Node


class RemoteDevice:
    """`name`: of the device on its node."""

    def __init__(self, node: Node, name: str) -> None:
        self.node = node
        self.name = name
        self.errors = 0
        """How often it was away when it was asked."""
        self._away_until_s = 0.0
        self._paths = {verb: f"/{name}/{verb}" for verb in wire.arguments}

    async def _call(self, verb: str, *arguments: Any) -> Any:
        self._check()
        with self.told():
            answer = await self.node.call(self._paths[verb], wire.encode(arguments))
            return wire.answers[verb].decode(answer)

    async def _open(self, verb: str, *arguments: Any) -> tuple[Connection, bytes]:
        self._check()
        with self.told():
            return await self.node.open(self._paths[verb], wire.encode(arguments))

    def _check(self) -> None:
        if time.monotonic() < self._away_until_s:
            raise DeviceAway(f"{self.node.address}/{self.name} was away a moment ago")

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Whatever went wrong with the node means that the device is away; what it said itself is passed on."""
        try:
            yield
        except DeviceAway:
            self.errors += 1
            raise
        except msgspec.DecodeError as error:
            self.errors += 1
            raise DeviceAway(f"{self.node.address}/{self.name} answers what is none: {error}") from error
        except TimeoutError as error:
            self.errors += 1
            self._away_until_s = time.monotonic() + self.node.waits.away_s
            raise DeviceAway(f"{self.node.address}/{self.name}: {error}") from error

    # Objects

    async def find(self, policy: int, place: Place) -> "RemoteObject | None":
        return await self._found("find", policy, place)

    async def begin(self, policy: int, place: Place, size: int | None = None) -> "RemoteWriting":
        connection, _ = await self._open("begin", policy, place, size)
        return RemoteWriting(self, connection)

    async def put(self, policy: int, place: Place, data: bytes, facts: Facts) -> None:
        await self._call("put", policy, place, data, facts)

    async def delete(self, policy: int, place: Place, path: str, at: Timestamp) -> Facts | None:
        found: Facts | None = await self._call("delete", policy, place, path, at)
        return found

    async def post(self, policy: int, place: Place, revision: Revision) -> Facts | None:
        found: Facts | None = await self._call("post", policy, place, revision)
        return found

    async def _found(self, verb: str, *arguments: Any) -> "RemoteObject | None":
        connection, answer = await self._open(verb, *arguments)
        try:
            with self.told():
                found = wire.opened.decode(answer)
        except DeviceAway:
            connection.abort()
            self.node.give_back(connection)
            raise
        if found is not None and found.data is None:
            return RemoteObject(self, found, connection)
        with self.told():
            await _end(self.node, connection)
        return RemoteObject(self, found, None) if found is not None else None

    # Fragments

    async def find_fragment(
        self, policy: int, place: Place, wanted: tuple[Timestamp, int] | None = None
    ) -> "RemoteObject | None":
        return await self._found("find_fragment", policy, place, wanted)

    async def begin_fragment(self, policy: int, place: Place, size: int | None = None) -> "RemoteWriting":
        connection, _ = await self._open("begin_fragment", policy, place, size)
        return RemoteWriting(self, connection)

    async def make_durable(self, policy: int, place: Place, at: Timestamp) -> bool:
        done: bool = await self._call("make_durable", policy, place, at)
        return done

    async def delete_fragments(self, policy: int, place: Place, path: str, at: Timestamp) -> Facts | None:
        found: Facts | None = await self._call("delete_fragments", policy, place, path, at)
        return found

    async def post_fragments(self, policy: int, place: Place, revision: Revision) -> Facts | None:
        found: Facts | None = await self._call("post_fragments", policy, place, revision)
        return found

    # Containers

    async def make_container(self, place: Place, path: str, at: Timestamp, policy: int, said: Said) -> bool:
        is_new: bool = await self._call("make_container", place, path, at, policy, said)
        return is_new

    async def container(self, place: Place) -> tuple[ContainerStatus, Said] | None:
        found: tuple[ContainerStatus, Said] | None = await self._call("container", place)
        return found

    async def list_container(self, place: Place, asked: Asked) -> Sequence[Entry | Subdir] | None:
        found: Sequence[Entry | Subdir] | None = wire.from_page(
            await self._call("list_container", place, asked)
        )
        return found

    async def say_of_container(self, place: Place, said: Said) -> bool:
        done: bool = await self._call("say_of_container", place, said)
        return done

    async def hear_objects(self, place: Place, words: Sequence[Entry]) -> bool:
        done: bool = await self._call("hear_objects", place, words)
        return done

    async def delete_container(self, place: Place, at: Timestamp) -> bool | None:
        done: bool | None = await self._call("delete_container", place, at)
        return done

    # Accounts

    async def make_account(self, place: Place, path: str, at: Timestamp, said: Said) -> bool:
        is_new: bool = await self._call("make_account", place, path, at, said)
        return is_new

    async def account(self, place: Place) -> tuple[AccountStatus, Said] | None:
        found: tuple[AccountStatus, Said] | None = await self._call("account", place)
        return found

    async def list_account(self, place: Place, asked: Asked) -> Sequence[ContainerEntry | Subdir] | None:
        found: Sequence[ContainerEntry | Subdir] | None = wire.from_page(
            await self._call("list_account", place, asked)
        )
        return found

    async def say_of_account(self, place: Place, said: Said) -> bool:
        done: bool = await self._call("say_of_account", place, said)
        return done

    async def hear_containers(self, place: Place, words: Sequence[ContainerEntry]) -> bool:
        done: bool = await self._call("hear_containers", place, words)
        return done

    async def delete_account(self, place: Place, at: Timestamp) -> bool | None:
        done: bool | None = await self._call("delete_account", place, at)
        return done

    # Repair

    async def status(self) -> DeviceStatus:
        found: DeviceStatus = await self._call("status")
        return found

    async def partitions(self, store: str) -> Sequence[int]:
        found: Sequence[int] = await self._call("partitions", store)
        return found

    async def quarantine(
        self, store: str, place: Place, why: str, fragment: tuple[Timestamp, int] | None = None
    ) -> bool:
        done: bool = await self._call("quarantine", store, place, why, fragment)
        return done

    async def digests(self, store: str, part: int) -> Mapping[str, str]:
        found: Mapping[str, str] = await self._call("digests", store, part)
        return found

    async def held(self, store: str, part: int, suffix: str | None = None) -> Sequence[Held]:
        found: Sequence[Held] = await self._call("held", store, part, suffix)
        return found

    async def forget(self, store: str, part: int, held: Held) -> bool:
        done: bool = await self._call("forget", store, part, held)
        return done

    async def databases(self, store: str, part: int) -> Sequence[DatabaseState]:
        found: Sequence[DatabaseState] = await self._call("databases", store, part)
        return found

    async def database(self, store: str, place: Place) -> DatabaseState | None:
        found: DatabaseState | None = await self._call("database", store, place)
        return found

    async def rows_since(self, store: str, place: Place, change: int, limit: int) -> RowsSince | None:
        found: RowsSince | None = await self._call("rows_since", store, place, change, limit)
        return found

    async def merge_database(
        self, store: str, place: Place, other: DatabaseState, rows: Rows = (), heard: int = 0
    ) -> DatabaseState:
        sent = wire.merge_rows(rows)
        state: DatabaseState = await self._call("merge_database", store, place, other, sent, heard)
        return state

    async def forget_gone(self, store: str, place: Place, before: Timestamp) -> int:
        count: int = await self._call("forget_gone", store, place, before)
        return count

    async def remove_database(self, store: str, place: Place, file_id: str, change: int) -> bool:
        done: bool = await self._call("remove_database", store, place, file_id, change)
        return done

    # Notes

    async def keep_note(self, place: Place, note: Note) -> None:
        await self._call("keep_note", place, note)


class RemoteObject:
    """See `OpenObject` and `OpenFragment`. `connection`: where it is open; None when all its bytes are here."""

    def __init__(self, device: RemoteDevice, found: wire.Opened, connection: Connection | None) -> None:
        self._device = device
        self._connection = connection
        self._is_streaming = False
        self.facts = revised(found.written, found.revision)
        self.written = found.written
        self.revision = found.revision
        self.data = found.data
        self.versions = found.versions
        self.is_durable = found.is_durable

    async def stream(self, start: int, end: int) -> AsyncIterator[bytes]:
        if self.data is not None:
            if start < end:
                yield self.data[start:end]
            return
        if self._connection is None:
            raise DeviceAway("the object was closed")
        self._is_streaming = start < end
        self._connection.say(wire.SPAN, wire.encode((start, end)))
        while start < end:
            with self._device.told():
                _, piece = await self._connection.take(self._device.node.waits.chunk_s)
            start += len(piece)
            self._is_streaming = start < end
            yield piece

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._is_streaming:
            connection.abort()
        await _end(self._device.node, connection)


class RemoteWriting:
    """See `ObjectWriting`."""

    def __init__(self, device: RemoteDevice, connection: Connection) -> None:
        self._device = device
        self._connection: Connection | None = connection

    async def write(self, data: bytes) -> None:
        connection = self._open()
        waits = self._device.node.waits
        with self._device.told():
            for start in range(0, len(data), wire.LARGEST_FRAME):
                if connection.has_more:  # a fault: nothing else is said before the end
                    await connection.take(waits.chunk_s)
                connection.say(wire.DATA, data[start : start + wire.LARGEST_FRAME])
                await connection.drain(waits.chunk_s)

    async def commit(self, facts: Facts) -> None:
        connection = self._open()
        with self._device.told():
            connection.say(wire.COMMIT, wire.encode(facts), is_last=True)
            await connection.take(self._device.node.waits.answer_s)

    def _open(self) -> Connection:
        if self._connection is None:
            raise DeviceAway("the writing was closed")
        return self._connection

    async def close(self) -> None:
        """Without a commit the other side is told that no more comes, and has removed it when this returns."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await _end(self._device.node, connection)


async def _end(node: Node, connection: Connection) -> None:
    """Let a connection come to its end, so that it can be used again; else it goes."""
    try:
        if not connection.is_lost:
            await connection.end(node.waits.chunk_s)
    except (DeviceAway, TimeoutError):
        connection.abort()
    except BaseException:
        connection.abort()
        raise
    finally:
        node.give_back(connection)
