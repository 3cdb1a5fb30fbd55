"""Nothing stays behind: guests on hosts and claims in placement whose server is gone are taken away.

So are claims that are another than their server's: a worker that was overtaken may have made one after all was over.
Only what carries a name that this room gives is ours to take. A server that is being made or deleted has a flow that
knows better, and its row is there, so it is let be.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import structlog
from sqlalchemy import select

from aerostat.kernel.db import Row
from aerostat.kernel.work import Reconciler

from .. import model
from ..host.protocol import Domain
from ..hosts import ORPHANS
from ..placing import resources_of
from ..room import instance_name, room_of
from ..states import ENDED_MOVES, SETTLED

log = structlog.get_logger(__name__)

Claims = Mapping[str, Mapping[str, int]]  # consumer → class → amount

REQUEST_ID = "compute-orphans"
ROWS_AT_ONCE = 500


class Found(msgspec.Struct, frozen=True):
    """What is out there: by host name guests, and how much each consumer holds of the host's provider; and migrations
    that may still hold something: those that ended, and evacuations that wait for their dead host.
    """

    guests: Mapping[str, list[Domain]]
    claims: Mapping[str, Claims]
    migrations: Sequence[Row] = ()
    silent: Sequence[str] = ()
    """Hosts that are up and did not answer."""


class RemoveGuest(msgspec.Struct, frozen=True):
    """`lives_on`: the host on which the server is; None when there is no such server any more."""

    host: str
    server_id: str
    lives_on: str | None = None


class ReleaseClaim(msgspec.Struct, frozen=True):
    consumer_id: str


class CorrectClaim(msgspec.Struct, frozen=True):
    server_id: str


class CloseEvacuation(msgspec.Struct, frozen=True):
    migration_id: str


class AskAgain(msgspec.Struct, frozen=True):
    """What a host has that did not answer is not known: the round comes again until it does, or counts as down."""

    host: str


Action = RemoveGuest | ReleaseClaim | CorrectClaim | CloseEvacuation | AskAgain


async def _observe(house: Any) -> tuple[Mapping[str, Row], Found]:
    """The world first and the rows after: what was made in between has a row by then.

    Only what is other than in the last round: a host whose guests changed, a provider whose allocations did, and both
    ends of moves that changed.
    """
    room = room_of(house)
    placing, watch = room.placing(REQUEST_ID), room.orphan_watch
    since = watch.begin()
    if since is None:
        room.claims_seen.clear()
    waiting = await house.store.all(model.MIGRATIONS, {"status": "done"})
    suspects = {row.source_host for row in waiting} | await _ends_of_moves(house, since)
    guests = await watch.changed_guests(house, REQUEST_ID, suspects)
    claims: dict[str, Claims] = {}
    generations = await placing.generations()
    for host in await house.store.all(model.HOSTS):
        generation = generations.get(host.id)
        if generation is None or generation != room.claims_seen.get(host.id) or host.name in suspects:
            claims[host.name] = await placing.claims_on(host.id)
            room.claims_seen[host.id] = generation
    ids = {guest.id for found in guests.values() for guest in found}
    ids |= {id for claimed in claims.values() for id in claimed}
    servers, ended = await _rows_of(house, sorted(ids))
    for name, there in guests.items():
        if any(guest.id in servers and servers[guest.id].state not in SETTLED for guest in there):
            watch.forget(name)  # whose it is will be known when a flow has ended
    return servers, Found(guests, claims, [*waiting, *ended], watch.list_silent())


async def _ends_of_moves(house: Any, since: datetime | None) -> set[str]:
    """Hosts between which something moved lately. At the first look every host is looked at anyway."""
    if since is None:
        return set()
    moved = model.MIGRATIONS.c
    rows = await house.store.fetch(
        select(moved.source_host, moved.dest_host).where(moved.updated_at >= since).distinct()
    )
    return {name for row in rows for name in (row.source_host, row.dest_host) if name is not None}


async def _rows_of(house: Any, ids: list[str]) -> tuple[dict[str, Row], list[Row]]:
    """The servers among these ids that are not deleted, and the migrations that ended."""
    columns = model.SERVERS.c
    servers: dict[str, Row] = {}
    ended: list[Row] = []
    for start in range(0, len(ids), ROWS_AT_ONCE):
        some = ids[start : start + ROWS_AT_ONCE]
        rows = await house.store.fetch(
            select(columns.id, columns.host, columns.state, columns.flavor).where(
                columns.id.in_(some), columns.state != "deleted"
            )
        )
        servers |= {row.id: row for row in rows}
        ended += await house.store.all(model.MIGRATIONS, {"id": some, "status": ENDED_MOVES})
    return servers, ended


def plan_orphans(servers: Mapping[str, Row], found: Found) -> list[Action]:
    """Guests and claims of ours without a server. A server without a host yet may be anywhere.

    So may one that is moving; one that was moved and waits to be confirmed is on two hosts.
    """
    actions: list[Action] = []
    for host, guests in found.guests.items():
        for guest in guests:
            server = servers.get(guest.id)
            if guest.name != instance_name(guest.id):
                continue
            if server is None:
                actions.append(RemoveGuest(host, guest.id))
            elif server.host != host and server.state in SETTLED:
                # An order that was late, or came twice, made it after all was over; or it moved away.
                actions.append(RemoveGuest(host, guest.id, server.host))
    claimants = {id for claimed in found.claims.values() for id in claimed}
    waiting = {row.id for row in found.migrations if row.status == "done"}
    ended = {row.id for row in found.migrations} - waiting
    actions += [ReleaseClaim(id) for id in sorted(claimants - servers.keys() - waiting | claimants & ended)]
    wrong = {
        id
        for host, claims in found.claims.items()
        for id, amounts in claims.items()
        if id in servers and not _is_right(servers[id], host, amounts)
    }
    actions += [CorrectClaim(id) for id in sorted(wrong)]
    for row in found.migrations:
        there = found.guests.get(row.source_host)
        if row.id in waiting and there is not None and row.server_id not in {guest.id for guest in there}:
            actions.append(CloseEvacuation(row.id))
    return [*actions, *map(AskAgain, found.silent)]


def _is_right(server: Row, host: str, amounts: Mapping[str, int]) -> bool:
    """Whether the server may hold this. What it holds on its way, or after it failed on a host, is not judged."""
    if server.state not in SETTLED:
        return True
    return bool(server.host == host and (server.state == "error" or amounts == resources_of(server.flavor)))


async def _apply(house: Any, action: Action) -> None:
    room = room_of(house)
    room.claims_seen.clear()  # a repair is looked at again
    if isinstance(action, RemoveGuest):
        room.orphan_watch.forget(action.host)
    if isinstance(action, AskAgain):
        await room.host(action.host, REQUEST_ID).digest_guests()
        house.nudge(ORPHANS)
        return
    if isinstance(action, CloseEvacuation):
        await _close(house, action.migration_id)
        return
    if isinstance(action, ReleaseClaim):
        # A claim without any row of ours may be another service's.
        server = await house.store.find(model.SERVERS, id=action.consumer_id)
        migration = await house.store.find(model.MIGRATIONS, id=action.consumer_id)
        if server is not None or (migration is not None and migration.status in ENDED_MOVES):
            await room.placing(REQUEST_ID).release(action.consumer_id)
            log.info("claim of what is over released", consumer_id=action.consumer_id)
        return
    row = await house.store.find(model.SERVERS, id=action.server_id)
    if isinstance(action, CorrectClaim):
        if row is not None and row.state in SETTLED:
            await _correct(house, row)
        return
    host = room.host(action.host, REQUEST_ID)
    if row is None or row.state == "deleted":
        await host.remove_guest(action.server_id)
        log.warning("guest without a server removed", host=action.host, server_id=action.server_id)
    elif row.state in SETTLED and row.host == action.lives_on:
        # With shared storage its disk is where it lives, whoever is taken for its owner.
        seen = await room.host(row.host, REQUEST_ID).find_owner(row.id) if row.host is not None else None
        await host.remove_guest(row.id, heir=row.host if seen == action.host else None)
        log.warning("guest of a server that lives elsewhere removed", host=action.host, server_id=row.id)
        waiting = {"server_id": row.id, "source_host": action.host, "status": "done"}
        for migration in await house.store.all(model.MIGRATIONS, waiting):
            await _close(house, migration.id)


async def _close(house: Any, migration_id: str) -> None:
    """The host from which a server was evacuated has nothing of it any more."""
    await room_of(house).placing(REQUEST_ID).release(migration_id)
    await house.store.update(model.MIGRATIONS, {"id": migration_id}, status="completed")


async def _correct(house: Any, server: Row) -> None:
    """Let the server hold what it takes where it is; nothing where it is nowhere."""
    placing = room_of(house).placing(REQUEST_ID)
    if server.host is None:
        await placing.release(server.id)
    else:
        host = await house.store.get(model.HOSTS, name=server.host)
        if not await placing.claim(server, host.id, resources_of(server.flavor)):
            log.warning("a server's claim is wrong and cannot be made right", server_id=server.id)
            return
    log.warning("claim of a server corrected", server_id=server.id)


def _forget(house: Any) -> None:
    room = room_of(house)
    room.orphan_watch.forget_all()
    room.claims_seen.clear()


orphans = Reconciler(ORPHANS, every=600.0, observe=_observe, plan=plan_orphans, apply=_apply, forget=_forget)
