"""What the control side does when hosts speak: reports become rows, events become nudges."""

import secrets
from typing import Any

import msgspec
import structlog
from sqlalchemy import select

from aerostat.kernel import clock, ids
from aerostat.kernel.bus import Message
from aerostat.kernel.db import Duplicate, Row, Transaction
from aerostat.kernel.errors import DriverError

from . import model
from .host.orders import (
    HELLO_VERB,
    LIST_LEAVING_VERB,
    OLDEST_PROTOCOL,
    PROTOCOL,
    READ_IMAGE_VERB,
    READ_LEAVING_VERB,
    REPORT_VERB,
    WHO_COMES_VERB,
    WHO_LEFT_VERB,
    GuestEvent,
    Hello,
    HostLink,
    HostReport,
    Leaving,
    ReadImage,
    Welcome,
    WhoComes,
    WhoLeft,
)
from .imaging import read_piece
from .room import Room
from .states import ENDED_MOVES, OVER_MOVES, RESTING, SETTLED, desired_power

log = structlog.get_logger(__name__)

LOOPBACK = "127.0.0.1"  # of a host that is alone
PROVIDERS = "compute.providers"
POWER = "compute.power"
ORPHANS = "compute.orphans"

HOST_USER = "host-"
"""How the queue's users begin that are hosts' own: what follows is the one host that they speak for."""
MOST_SKEW_S = 90.0
"""A clock further off than this is wrong: reports may be a minute old when they are read."""

# What an event says the guest is now.
_AFTER = {
    "started": "running",
    "resumed": "running",
    "rebooted": "running",
    "stopped": "shutoff",
    "paused": "paused",
    "suspended": "suspended",
    "crashed": "crashed",
    "removed": "absent",
}


class HostDesk:
    """Answers what hosts ask of the control side, on topic `compute`, and hears what guests do."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._house = room.house

    async def answer(self, message: Message) -> Any:
        if message.verb == HELLO_VERB:
            return await self.greet(message.read(Hello), message.sender)
        if message.verb == REPORT_VERB:
            return await self.take_report(message.read(HostReport), message.sender)
        if message.verb == READ_IMAGE_VERB:
            return await read_piece(self._house, message.read(ReadImage), message.request_id)
        if message.verb == WHO_LEFT_VERB:
            return await self.who_left(message.read(WhoLeft))
        if message.verb == WHO_COMES_VERB:
            return await self.who_comes(message.read(WhoComes))
        if message.verb == LIST_LEAVING_VERB:
            wanted = message.read(Leaving)
            return await (await self._source_of(wanted, message)).list_files(wanted.server_id)
        if message.verb == READ_LEAVING_VERB:
            wanted = message.read(Leaving)
            source = await self._source_of(wanted, message)
            return await source.read_file(wanted.server_id, wanted.name, wanted.offset)
        raise DriverError(f"The compute room does not know how to {message.verb}.")

    async def who_left(self, question: WhoLeft) -> list[str]:
        """Servers that are deleted, or rest on another host. Of one that is not known nothing is said: there may be
        a row of it in a database that is still to come back. One whose owner has yet to confirm a move or a resize may
        go back to where it came from, and has left every other host.
        """
        rows = await self._house.store.all(model.SERVERS, {"id": list(question.server_ids)})
        undecided = [row.id for row in rows if row.state == "resized"]
        moves = await self._house.store.all(model.MIGRATIONS, {"server_id": undecided}) if undecided else []
        held = {
            move.server_id
            for move in moves
            if move.status not in ENDED_MOVES and question.host in (move.source_host, move.dest_host)
        }
        host = question.host
        left = {row.id for row in rows if _has_left(row, host)}
        left |= {row.id for row in rows if row.state == "resized" and row.host != host} - held
        return sorted(left)

    async def who_comes(self, question: WhoComes) -> list[str]:
        """Ports of the servers that move to a host: their cards are plugged there before the guest comes."""
        servers, moves = model.SERVERS.c, model.MIGRATIONS.c
        coming = (moves.dest_host == question.host) & moves.status.not_in(OVER_MOVES)
        rows = await self._house.store.fetch(
            select(servers.interfaces).where(servers.id == moves.server_id, coming)
        )
        return sorted({one["port_id"] for row in rows for one in row.interfaces})

    async def _source_of(self, wanted: Leaving, message: Message) -> HostLink:
        """The host that a server leaves. Only the one that it is on its way to may have its files."""
        stranger = _speaks_for_another(message.sender, wanted.host)
        where = {"server_id": wanted.server_id, "source_host": wanted.from_host, "dest_host": wanted.host}
        rows = [] if stranger else await self._house.store.all(model.MIGRATIONS, where)
        if not any(row.status not in ENDED_MOVES for row in rows):
            raise DriverError("The server is not on its way to this host.", detail=wanted.server_id)
        return self._room.host(wanted.from_host, message.request_id)

    async def greet(self, hello: Hello, sender: str | None) -> Welcome:
        """Whether a host may serve. Looks only: the host is taken in with its first report."""
        known = await self._house.store.find(model.HOSTS, name=hello.name)
        refusal = self._why_not(hello, known, sender)
        if refusal:
            log.warning("host.refused", host=hello.name, reason=refusal)
            return Welcome(refusal=refusal)
        skew_s = _skew_s(hello)
        if abs(skew_s) <= MOST_SKEW_S:
            return Welcome(at=clock.now())
        return Welcome(
            at=clock.now(),
            warning=f"set the clock: {clock_is_off(skew_s)}; until then the host gets no new servers",
        )

    def _why_not(self, hello: Hello, known: Row | None, sender: str | None) -> str:
        """Why the host must not serve; empty when it may."""
        if _speaks_for_another(sender, hello.name):
            return f"its user of the queue, {sender}, belongs to another host"
        if hello.protocol < OLDEST_PROTOCOL:
            return (
                f"it speaks protocol {hello.protocol} (aerostat {hello.version or 'of before 0.1'}), and"
                f" {OLDEST_PROTOCOL} is the oldest that is understood here: upgrade the host"
            )
        if hello.protocol > PROTOCOL:
            return (
                f"it speaks protocol {hello.protocol} (aerostat {hello.version}), and this control plane only"
                f" {PROTOCOL}: upgrade the control plane first"
            )
        if known is None or not known.machine_id or not hello.machine_id:
            return ""
        if known.machine_id != hello.machine_id and self._room.is_up(known):
            return (
                f"another machine serves as {hello.name} and was heard of at {known.seen_at:%H:%M:%S} UTC; give this"
                f" one a name of its own, or end the other and wait {self._room.config.down_after_s:.0f} s"
            )
        return ""

    async def take_report(self, report: HostReport, sender: str | None = None) -> None:
        """A host is there: keep what it has. What changes its inventory wakes the reconciler of providers."""
        db = self._house.store
        who = report.who or Hello(name=report.name, machine_id="", at=clock.now(), protocol=0)
        known = await db.find(model.HOSTS, name=report.name)
        why = self._why_not(who, known, sender) if who.name == report.name else f"it says it is {who.name}"
        if why:
            log.warning("host.report_refused", host=report.name, sender=sender, reason=why)
            return
        identity = {
            "machine_id": who.machine_id,
            "protocol": who.protocol,
            "version": who.version,
            "skew_s": _skew_s(who),
        }
        facts = {
            **msgspec.to_builtins(report.facts),
            "uptime_s": report.uptime_s,
            "load": list(report.load),
            "export_format": report.export_format,
            "abilities": list(report.abilities),
        }
        address = report.address or LOOPBACK
        if known is None:
            try:
                await db.insert(
                    model.HOSTS,
                    name=report.name,
                    number=secrets.randbelow(2**31 - 1) + 1,
                    service_id=ids.new_id(),
                    facts=facts,
                    address=address,
                    booted_at=report.booted_at,
                    seen_at=clock.now(),
                    **identity,
                )
            except Duplicate:
                return  # two reports at once; the next one updates
            self._house.nudge(PROVIDERS)
            return
        await db.update(
            model.HOSTS,
            {"id": known.id},
            facts=facts,
            address=address,
            booted_at=report.booted_at,
            seen_at=clock.now(),
            updated_at=clock.now(),
            **identity,
        )
        if any(known.facts.get(key) != facts[key] for key in ("vcpus", "memory_mib", "disk_gib")):
            self._house.nudge(PROVIDERS)
        if known.booted_at != report.booted_at:
            self._house.nudge(POWER)
        if known.booted_at != report.booted_at or not self._room.was_heard(known):
            self._house.nudge(ORPHANS)  # what it has may have been given to others meanwhile

    async def heed_guest(self, message: Message) -> None:
        """Look again if what happened to the guest is not what its server should be."""
        event = message.read(GuestEvent)
        server = await self._house.store.find(model.SERVERS, id=event.server_id)
        if server is None:
            return
        if event.what == "started" and _has_left(server, event.host):
            self._house.nudge(ORPHANS)  # an order that was late made it after all was over
        if server.state not in RESTING or server.host != event.host:
            return
        if desired_power(server.state, server.flavor_before) != _AFTER.get(event.what):
            self._house.nudge(POWER)

    async def heed_ports(self, message: Message) -> None:
        """The network room says that ports of these servers changed: what is shown of them is old."""
        servers = [id for id in message.body.get("device_ids", ()) if ids.is_uuid(id)]
        if servers:
            rows = await self._house.store.all(model.SERVERS, {"id": servers})
            for row in rows:
                if row.state != "deleted" and not row.interfaces_stale:
                    await self._house.store.update(
                        model.SERVERS, {"id": row.id}, interfaces_stale=True, updated_at=row.updated_at
                    )
                if row.host is not None:
                    self._room.card_watch.forget(row.host)


async def look_for_orphans(tx: Transaction) -> None:
    """Once this transaction is written, whoever removes what hosts should not have any more looks at once."""
    tx.nudge(ORPHANS)


def _has_left(server: Row, host_name: str) -> bool:
    """Whether the server has nothing to do with this host any more."""
    return server.state == "deleted" or (server.state in SETTLED and server.host != host_name)


def _speaks_for_another(sender: str | None, name: str) -> bool:
    """Whether a host's own user of the queue says something in another's name."""
    return sender is not None and sender.startswith(HOST_USER) and sender != HOST_USER + name


def _skew_s(hello: Hello) -> float:
    """How far the host's clock is ahead of ours; what the way took counts against it."""
    return (hello.at - clock.now()).total_seconds()


def clock_is_off(skew_s: float) -> str:
    """A wrong clock, in a sentence."""
    way = "ahead of" if skew_s > 0 else "behind"
    return f"it is {abs(skew_s):.0f} s {way} the control plane's"
