"""The bus between our own processes on one machine: a hub on a unix socket, and buses that connect to it.

The control process holds the hub; host roles connect, say what they serve, and connect again when it comes
back. Frames are a four-byte length and msgpack. The socket is for its owner only (mode 600; root may too), and both
sides look who the other is: the hub obeys root and its own user, the others obey the user that they were told of.
"""

import asyncio
import itertools
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from aerostat.kernel.log import get_logger
from aerostat.kernel.peers import Stranger, check_peer

from .errors import BusGone
from .frames import MAX_BODY_BYTES, Call, Frame, Join, Joined, decode_frame, encode_frame
from .interface import Bus
from .memory import MemoryTransport
from .steady import Steady
from .switchboard import Switchboard

MAX_FRAME_BYTES = MAX_BODY_BYTES + 64 * 1024
MAX_BACKLOG_BYTES = 64 * 1024 * 1024
"""A peer that leaves this much unread is taken for dead."""

LONGEST_PAUSE_S = 2.0
JOIN_LIMIT_S = 10.0

log = get_logger(__name__)


async def open_local_hub(path: Path) -> Bus:
    """The hub's own bus, with the hub listening at `path`. Raises OSError when another hub listens there."""
    bus = Bus(transport := HubTransport(path))
    await transport.open(bus)
    return bus


async def open_local_bus(path: Path, hub_uid: int | None = None) -> Bus:
    """A bus over the hub at `path`: connected when this returns if the hub is there, else once it comes.

    A hub that is neither root's, nor our own user's, nor that of `hub_uid`, is not listened to.
    """
    bus = Bus(transport := LocalTransport(path, hub_uid))
    await transport.open(bus)
    return bus


# --- frames on a stream -------------------------------------------------------------------------------------


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame. Raises EOFError at the end, ValueError (msgspec's too) for what is none."""
    size = int.from_bytes(await reader.readexactly(4), "big")
    if size > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {size} bytes is too large")
    return decode_frame(await reader.readexactly(size))


def write_frame(writer: asyncio.StreamWriter, frame: Frame) -> None:
    """Put a frame on its way without waiting; a peer that does not read is cut off."""
    data = encode_frame(frame)
    writer.write(len(data).to_bytes(4, "big") + data)
    if writer.transport.get_write_buffer_size() > MAX_BACKLOG_BYTES:
        log.error("bus.peer_does_not_read", backlog_bytes=writer.transport.get_write_buffer_size())
        writer.transport.abort()


# --- the hub ------------------------------------------------------------------------------------------------


class HubTransport:
    """The switchboard with a door. The hub's own process is a member like others, but without a socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._switchboard = Switchboard()
        self._here = MemoryTransport(self._switchboard)
        self._server: asyncio.Server | None = None
        self._peers: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def open(self, bus: Bus) -> None:
        await self._here.open(bus)
        self._server = await asyncio.start_unix_server(self._meet, sock=_listen(self.path))

    async def send(self, call: Call) -> None:
        await self._here.send(call)

    def nudge(self, frame: Frame) -> None:
        self._here.nudge(frame)

    async def serve(self, topic: str) -> None:
        await self._here.serve(topic)

    async def follow(self) -> None:
        await self._here.follow()

    async def close(self) -> None:
        await self._here.close()
        if self._server is not None:
            self._server.close()
        for task in self._peers:
            task.cancel()
        await asyncio.gather(*self._peers, return_exceptions=True)
        self.path.unlink(missing_ok=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        task = asyncio.current_task()
        assert task is not None
        self._peers[task] = writer
        peer = _Peer(writer)
        try:
            check_peer(writer.get_extra_info("socket"))
            while True:
                frame = await read_frame(reader)
                if isinstance(frame, Join):
                    self._switchboard.join(peer, frame.topics, frame.events)
                    log.info("bus.peer_joined", topics=sorted(frame.topics))
                    peer.deliver(Joined(frame.id))
                else:
                    self._switchboard.route(peer, frame)
        except Stranger as stranger:
            log.error("bus.stranger", reason=str(stranger))
        except (EOFError, ConnectionError):
            log.info("bus.peer_left")
        except ValueError as error:
            log.error("bus.peer_talks_nonsense", error=str(error))
        except asyncio.CancelledError:
            pass  # the hub closes: this task ends here, and nobody awaits it for more
        finally:
            del self._peers[task]
            self._switchboard.leave(peer)
            writer.close()


class _Peer:
    """A connection as a member of the switchboard."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def deliver(self, frame: Frame) -> None:
        if not self._writer.is_closing():
            write_frame(self._writer, frame)


def _listen(path: Path) -> socket.socket:
    """A listening socket for its owner only, in place of one that a dead hub left."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(str(path)) == 0:
                    raise OSError(f"another hub listens at {path}")
            path.unlink()
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(64)
    except BaseException:
        listener.close()
        raise
    return listener


# --- those who connect --------------------------------------------------------------------------------------


class LocalTransport:
    """A connection to the hub, kept open."""

    def __init__(self, path: Path, hub_uid: int | None = None) -> None:
        self.path = path
        self._trusted = () if hub_uid is None else (hub_uid,)
        self._topics: set[str] = set()
        self._events = False
        self._bus: Bus | None = None
        self._hub: Steady[_Session] | None = None

    async def open(self, bus: Bus) -> None:
        self._bus = bus
        errors = (OSError, EOFError, ValueError, BusGone)
        self._hub = Steady(
            f"the hub at {self.path}", self._connect, bus.lose, errors=errors, longest_pause_s=LONGEST_PAUSE_S
        )
        await self._hub.tried()

    async def send(self, call: Call) -> None:
        assert self._hub is not None
        write_frame((await self._hub.session()).writer, call)

    def nudge(self, frame: Frame) -> None:
        assert self._hub is not None
        if self._hub.current is not None:
            write_frame(self._hub.current.writer, frame)

    async def serve(self, topic: str) -> None:
        self._topics.add(topic)
        await self._join_again()

    async def follow(self) -> None:
        self._events = True
        await self._join_again()

    async def close(self) -> None:
        if self._hub is not None:
            await self._hub.close()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator["_Session"]:
        assert self._bus is not None
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            check_peer(writer.get_extra_info("socket"), *self._trusted)
        except Stranger:
            writer.close()
            raise
        session = _Session(reader, writer, self._bus)
        try:
            while session.said != (said := self._says()):  # what is served may grow while we wait for the hub
                await session.join(*said)
            yield session
        finally:
            session.close()

    async def _join_again(self) -> None:
        """Tell the hub if it is there; otherwise it is told on connecting."""
        assert self._hub is not None
        if (session := self._hub.current) is not None:
            try:
                await session.join(*self._says())
            except BusGone:
                log.info("bus.join_postponed", topics=sorted(self._topics))

    def _says(self) -> tuple[frozenset[str], bool]:
        return frozenset(self._topics), self._events


class _Session:
    """One connection to the hub, from joining to its end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bus: Bus) -> None:
        self.writer = writer
        self.said: tuple[frozenset[str], bool] | None = None
        self._bus = bus
        self._ids = itertools.count(1)
        self._joins: dict[int, asyncio.Future[None]] = {}
        self._reading = asyncio.get_running_loop().create_task(self._read(reader))

    async def join(self, topics: frozenset[str], events: bool) -> None:
        """Say what we serve, and wait until the hub knows. Raises BusGone."""
        id = next(self._ids)
        known = self._joins[id] = asyncio.get_running_loop().create_future()
        if self._reading.done():
            raise BusGone("the hub went away")
        write_frame(self.writer, Join(id, topics, events))
        try:
            async with asyncio.timeout(JOIN_LIMIT_S):
                await known
        except TimeoutError:
            raise BusGone(f"the hub did not answer within {JOIN_LIMIT_S:g} s") from None
        finally:
            del self._joins[id]
        self.said = (topics, events)

    async def ended(self) -> str:
        return await asyncio.shield(self._reading)

    def close(self) -> None:
        self._reading.cancel()
        self.writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> str:
        try:
            while True:
                frame = await read_frame(reader)
                if not isinstance(frame, Joined):
                    self._bus.receive(frame)
                elif (known := self._joins.get(frame.id)) is not None and not known.done():
                    known.set_result(None)
        except (EOFError, OSError):
            return "the hub went away"
        except (ValueError, msgspec.DecodeError) as error:
            return f"the hub talks nonsense: {error}"
        finally:
            for known in self._joins.values():
                if not known.done():
                    known.set_exception(BusGone("the hub went away"))
