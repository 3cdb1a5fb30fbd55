"""Nothing stays behind: guests on hosts and claims in placement whose server is gone are taken away.

Only what carries a name that this room gives is ours to take. A server that is being made or deleted has a flow that
knows better, and its row is there, so it is let be.
"""

from collections.abc import Mapping, Set
from typing import Any

import msgspec
import structlog
from sqlalchemy import select

from aerostat.kernel.db import Row
from aerostat.kernel.work import Reconciler

from .. import model
from ..host.protocol import Domain
from ..room import instance_name, room_of
from ..states import RESTING

log = structlog.get_logger(__name__)

REQUEST_ID = "compute-orphans"
SERVERS_AT_ONCE = 500


class Found(msgspec.Struct, frozen=True):
    """What is out there: guests by host name, and ids of what holds a claim on each host's provider."""

    guests: Mapping[str, list[Domain]]
    claims: Mapping[str, Set[str]]


class RemoveGuest(msgspec.Struct, frozen=True):
    host: str
    server_id: str


class ReleaseClaim(msgspec.Struct, frozen=True):
    server_id: str


# States of servers whose guest can be on their own host only.
AT_HOME = frozenset(RESTING) - {"resized"}


async def _observe(house: Any) -> tuple[Mapping[str, Row], Found]:
    """The world first and the rows after: what was made in between has a row by then.

    Only what is other than in the last round: a host whose guests changed, a provider whose allocations did.
    """
    room = room_of(house)
    placing, watch = room.placing(REQUEST_ID), room.orphan_watch
    if watch.begin() is None:
        room.claims_seen.clear()
    guests = await watch.changed_guests(house, REQUEST_ID)
    claims: dict[str, Set[str]] = {}
    generations = await placing.generations()
    for host in await house.store.all(model.HOSTS):
        generation = generations.get(host.id)
        if generation is None or generation != room.claims_seen.get(host.id):
            claims[host.name] = await placing.consumers(host.id)
            room.claims_seen[host.id] = generation
    ids = {guest.id for found in guests.values() for guest in found}
    ids |= {id for claimed in claims.values() for id in claimed}
    return await _living(house, sorted(ids)), Found(guests, claims)


async def _living(house: Any, server_ids: list[str]) -> dict[str, Row]:
    """Those of these servers that are not deleted: where each is, and in which state."""
    servers = model.SERVERS.c
    found: dict[str, Row] = {}
    for start in range(0, len(server_ids), SERVERS_AT_ONCE):
        some = servers.id.in_(server_ids[start : start + SERVERS_AT_ONCE])
        rows = await house.store.fetch(
            select(servers.id, servers.host, servers.state).where(some, servers.state != "deleted")
        )
        found |= {row.id: row for row in rows}
    return found


def plan_orphans(servers: Mapping[str, Row], found: Found) -> list[RemoveGuest | ReleaseClaim]:
    """Guests and claims of ours without a server. The guest of one that is on its way may be anywhere."""
    actions: list[RemoveGuest | ReleaseClaim] = []
    for host, guests in found.guests.items():
        for guest in guests:
            ours = guest.name == instance_name(guest.id)
            if ours and _is_stray(servers.get(guest.id), host):
                actions.append(RemoveGuest(host, guest.id))
    claimants = {id for claimed in found.claims.values() for id in claimed}
    actions += [ReleaseClaim(id) for id in sorted(claimants - servers.keys())]
    return actions


def _is_stray(server: Row | None, host: str) -> bool:
    """Whether a guest on `host` is nobody's: an order that was late, or came twice, made it after all was over."""
    if server is None or server.state == "deleted":
        return True
    return server.state in AT_HOME and server.host != host


async def _apply(house: Any, action: RemoveGuest | ReleaseClaim) -> None:
    room = room_of(house)
    room.claims_seen.clear()  # a repair is looked at again
    if isinstance(action, RemoveGuest):
        room.orphan_watch.forget(action.host)
    row = await house.store.find(model.SERVERS, id=action.server_id)
    if isinstance(action, ReleaseClaim):
        if row is not None:  # a claim without any row of ours may be another service's
            await room.placing(REQUEST_ID).release(action.server_id)
            log.info("claim of a deleted server released", server_id=action.server_id)
        return
    if _is_stray(row, action.host):
        await room.host(action.host, REQUEST_ID).remove_guest(action.server_id)
        log.warning("guest without a server removed", host=action.host, server_id=action.server_id)


orphans = Reconciler("compute.orphans", every=600.0, observe=_observe, plan=plan_orphans, apply=_apply)
