"""Who serves what, and who asked whom: the middle of the memory bus and of the local hub.

Members are in-process buses and connections alike. Nothing here waits, so each frame is routed whole.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from .errors import BusGone, BusNobody
from .frames import Answer, Call, Cast, Event, Frame, Refusal, undelivered


class Member(Protocol):
    def deliver(self, frame: Frame) -> None:
        """Take a frame, without waiting and without raising."""


@dataclass(frozen=True, slots=True)
class _Relay:
    """A call on its way: who asked under which id, and who is to answer."""

    asker: Member
    asked_id: int
    server: Member
    topic: str


class Switchboard:
    def __init__(self) -> None:
        self._servers: dict[str, list[Member]] = {}
        self._followers: list[Member] = []
        self._relays: dict[int, _Relay] = {}
        self._ids = itertools.count(1)

    def join(self, member: Member, topics: Iterable[str], events: bool) -> None:
        """What the member serves from now on, and whether it wants events, instead of what it said before."""
        self._forget(member)
        for topic in topics:
            self._servers.setdefault(topic, []).append(member)
        if events:
            self._followers.append(member)

    def leave(self, member: Member) -> None:
        """The member is gone: whoever waits for its answers is told at once."""
        self._forget(member)
        for id, relay in list(self._relays.items()):
            if relay.server is member:
                del self._relays[id]
                gone = BusGone(f"{relay.topic} went away before it answered")
                relay.asker.deliver(undelivered(relay.asked_id, gone))
            elif relay.asker is member:
                del self._relays[id]

    def route(self, sender: Member, frame: Frame) -> None:
        match frame:
            case Call():
                server = self._pick(frame.topic)
                if server is None:
                    sender.deliver(undelivered(frame.id, BusNobody(f"nobody serves {frame.topic}")))
                    return
                id = next(self._ids)
                self._relays[id] = _Relay(sender, frame.id, server, frame.topic)
                server.deliver(msgspec.structs.replace(frame, id=id))
            case Answer() | Refusal():
                relay = self._relays.get(frame.id)
                if relay is not None and relay.server is sender:
                    del self._relays[frame.id]
                    relay.asker.deliver(msgspec.structs.replace(frame, id=relay.asked_id))
            case Cast():
                server = self._pick(frame.topic)
                if server is not None:
                    server.deliver(frame)
            case Event():
                for follower in list(self._followers):
                    follower.deliver(frame)

    def _pick(self, topic: str) -> Member | None:
        """The next in turn of those who serve the topic."""
        servers = self._servers.get(topic)
        if not servers:
            return None
        servers.append(servers.pop(0))
        return servers[-1]

    def _forget(self, member: Member) -> None:
        for topic in [topic for topic, servers in self._servers.items() if member in servers]:
            self._servers[topic].remove(member)
            if not self._servers[topic]:
                del self._servers[topic]
        if member in self._followers:
            self._followers.remove(member)
