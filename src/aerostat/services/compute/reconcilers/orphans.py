"""Nothing stays behind: guests on hosts and claims in placement whose server is gone are taken away.

Only what carries a name that this room gives is ours to take. A server that is being made or deleted has a flow that
knows better, and its row is there, so it is let be.
"""

from collections.abc import Mapping, Set
from typing import Any

import msgspec
import structlog
from sqlalchemy import select

from aerostat.kernel.errors import DriverError
from aerostat.kernel.work import Reconciler

from .. import model
from ..host.protocol import Domain
from ..room import instance_name, room_of

log = structlog.get_logger(__name__)

REQUEST_ID = "compute-orphans"


class Found(msgspec.Struct, frozen=True):
    """What is out there: guests by host name, and ids of what holds a claim on each host's provider."""

    guests: Mapping[str, list[Domain]]
    claims: Mapping[str, Set[str]]


class RemoveGuest(msgspec.Struct, frozen=True):
    host: str
    server_id: str


class ReleaseClaim(msgspec.Struct, frozen=True):
    server_id: str


async def _observe(house: Any) -> tuple[Mapping[str, str | None], Found]:
    """The world first and the rows after: what was made in between has a row by then."""
    room = room_of(house)
    placing = room.placing(REQUEST_ID)
    guests: dict[str, list[Domain]] = {}
    claims: dict[str, Set[str]] = {}
    for host in await house.store.all(model.HOSTS):
        claims[host.name] = await placing.consumers(host.id)
        if not room.is_up(host):
            continue
        try:
            guests[host.name] = await room.host(host.name, REQUEST_ID).list_guests()
        except DriverError as error:
            log.warning("a host does not answer", host=host.name, error=error.message)
    servers = model.SERVERS.c
    rows = await house.store.fetch(select(servers.id, servers.host).where(servers.state != "deleted"))
    return {row.id: row.host for row in rows}, Found(guests, claims)


def plan_orphans(servers: Mapping[str, str | None], found: Found) -> list[RemoveGuest | ReleaseClaim]:
    """Guests and claims of ours without a server. A server without a host yet may be anywhere."""
    actions: list[RemoveGuest | ReleaseClaim] = []
    for host, guests in found.guests.items():
        for guest in guests:
            ours = guest.name == instance_name(guest.id)
            if ours and guest.id not in servers:
                actions.append(RemoveGuest(host, guest.id))
    claimants = {id for claimed in found.claims.values() for id in claimed}
    actions += [ReleaseClaim(id) for id in sorted(claimants - servers.keys())]
    return actions


async def _apply(house: Any, action: RemoveGuest | ReleaseClaim) -> None:
    room = room_of(house)
    row = await house.store.find(model.SERVERS, id=action.server_id)
    if isinstance(action, ReleaseClaim):
        if row is not None:  # a claim without any row of ours may be another service's
            await room.placing(REQUEST_ID).release(action.server_id)
            log.info("claim of a deleted server released", server_id=action.server_id)
        return
    if row is None or row.state == "deleted":
        await room.host(action.host, REQUEST_ID).remove_guest(action.server_id)
        log.warning("guest without a server removed", host=action.host, server_id=action.server_id)


orphans = Reconciler("compute.orphans", every=600.0, observe=_observe, plan=plan_orphans, apply=_apply)
