"""Gathers what the scheduler looks at: hosts, aggregates, what is free, where the server's neighbours are.

Placement offers the hosts with most room first, so a few of them nearly always hold one that suits: the cost of a
choice does not grow with the cloud. More are looked at when none does, and all of them before a server is refused,
since the refusal has to say why of each.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import and_, func, or_, select, union

from aerostat.kernel.db import Row, Store
from aerostat.kernel.errors import DriverError

from . import model
from .hosts import MOST_SKEW_S, clock_is_off
from .placing import Placing
from .room import Room, room_of
from .scheduler import Asked, Decision, HostPicture, choose
from .states import OVER_MOVES

LOOKED_AT_FIRST = (24, 240)


class Move(NamedTuple):
    """From where a server moves, and where to if somebody asked for a host."""

    source_host: str
    dest_host: str | None


async def decide(
    house: Any,
    db: Store,
    server: Row,
    resources: Mapping[str, int],
    request_id: str,
    tried: frozenset[str] = frozenset(),
    move: Move | None = None,
) -> Decision:
    """The hosts that may take the server, best first, and why the others may not.

    `move`: the server has a host already and shall have another. What it asked for when it was made then binds it
    to no host any more.
    """
    room = room_of(house)
    placing = room.placing(request_id)
    group = None
    if server.server_group_id:
        group = await db.find(model.SERVER_GROUPS, id=server.server_group_id)
    members = await _count_members(db, server) if group is not None else {}
    aggregates = await db.all(model.AGGREGATES)
    asked = await _asked(db, server, resources, group, tried, move)
    total = await db.count(model.HOSTS)
    for most in LOOKED_AT_FIRST:
        if total <= most:
            break
        hosts, free = await _some_hosts(db, placing, asked, members, most)
        decision = choose(asked, await _pictures(db, room, hosts, aggregates, free, members))
        if decision.ranked:
            return decision
    hosts = await db.all(model.HOSTS, order="name")
    free = await placing.free_everywhere(resources)
    decision = choose(asked, await _pictures(db, room, hosts, aggregates, free, members))
    if (
        not decision.ranked
        and room.is_deaf()
        and any(no.filter in ("up", "clock") for no in decision.refusals)
    ):
        raise DriverError(
            "Hosts have not been heard of since the message queue or the database was away, or the clock was set.",
            detail=decision.reason,
            away=True,
        )
    return decision


class Crowd(NamedTuple):
    """A host has, by their rows, as many others of a server's anti-affinity group as may be there in all."""

    goes_first: bool
    """Of those that do not know yet whether they may stay the one with the lowest id does; the others give way."""


async def find_crowd(db: Store, server: Row) -> Crowd | None:
    """Who is with the server on its host and must not be; None when it may be there."""
    if not server.server_group_id:
        return None
    group = await db.find(model.SERVER_GROUPS, id=server.server_group_id)
    if group is None or group.policy != "anti-affinity":
        return None
    others = (await _members_by_host(db, server)).get(server.host, set())
    most = _most_per_host(group)
    if len(others) < most:
        return None
    return Crowd(goes_first=sum(other < server.id for other in others) < most)


def _most_per_host(group: Row) -> int:
    return int(group.rules.get("max_server_per_host", 1))


async def _some_hosts(
    db: Store, placing: Placing, asked: Asked, members: Mapping[str, int], most: int
) -> tuple[list[Row], dict[str, dict[str, int]]]:
    """At most so many hosts with most room, and those that the server's wishes name; with what is free on each."""
    free = await placing.candidates(asked.resources, limit=most)
    named = set(members) | (asked.same_host or frozenset())
    if asked.host is not None:
        named.add(asked.host)
    table = model.HOSTS
    rows = await db.fetch(
        select(table).where(or_(table.c.id.in_(sorted(free)), table.c.name.in_(sorted(named))))
    )
    for row in rows:
        if row.id not in free:
            free[row.id] = await placing.free_on(row.id)
    return rows, free


async def _pictures(
    db: Store,
    room: Room,
    hosts: list[Row],
    aggregates: Iterable[Row],
    free: Mapping[str, Mapping[str, int]],
    members: Mapping[str, int],
) -> list[HostPicture]:
    counts = await _servers_by_host(db, [host.name for host in hosts])
    return [
        _picture(
            room,
            host,
            aggregates,
            free.get(host.id, {}),
            counts.get(host.name, 0),
            members.get(host.name, 0),
        )
        for host in hosts
    ]


async def _asked(
    db: Store,
    server: Row,
    resources: Mapping[str, int],
    group: Row | None,
    tried: frozenset[str],
    move: Move | None,
) -> Asked:
    hints = server.scheduler_hints
    same = await _hosts_of(db, _listed(hints.get("same_host")))
    different = await _hosts_of(db, _listed(hints.get("different_host")))
    return Asked(
        server_id=server.id,
        resources=resources,
        zone=server.pinned_zone,
        host=move.dest_host if move is not None else server.requested_host,
        arch=server.image_properties.get("hw_architecture") or server.image_properties.get("architecture"),
        extra_specs=server.flavor.get("extra_specs", {}),
        group_policy=group.policy if group is not None else None,
        max_per_host=_most_per_host(group) if group is not None else 1,
        excluded=tried,
        leaving=move.source_host if move is not None else None,
        same_host=frozenset(same) if "same_host" in hints else None,
        different_host=frozenset(different),
    )


def _picture(
    room: Room, host: Row, aggregates: Iterable[Row], free: Mapping[str, int], servers: int, members: int
) -> HostPicture:
    around = [one for one in aggregates if host.name in one.hosts]
    zone = next(
        (one.metadata["availability_zone"] for one in around if "availability_zone" in one.metadata),
        room.config.zone,
    )
    return HostPicture(
        id=host.id,
        name=host.name,
        up=room.is_up(host),
        enabled=not host.disabled,
        disabled_reason=host.disabled_reason,
        clock_fault=clock_is_off(host.skew_s) if abs(host.skew_s) > MOST_SKEW_S else None,
        zone=zone,
        arch=host.facts["arch"],
        free=free,
        servers=servers,
        group_members=members,
        aggregates=tuple(one.metadata for one in around),
    )


async def _count_members(db: Store, server: Row) -> dict[str, int]:
    return {host: len(others) for host, others in (await _members_by_host(db, server)).items()}


async def _members_by_host(db: Store, server: Row) -> dict[str, set[str]]:
    """Ids of the other members of its group that each host has, or may have: who moves counts on both hosts until it
    is over, or confirmed.
    """
    servers, migrations = model.SERVERS.c, model.MIGRATIONS.c
    others = and_(
        servers.server_group_id == server.server_group_id,
        servers.id != server.id,
        servers.state != "deleted",
    )
    open_ = and_(migrations.server_id == servers.id, migrations.status.not_in(OVER_MOVES), others)
    rows = await db.fetch(
        union(
            select(servers.id, servers.host).where(others),
            select(servers.id, migrations.source_host).where(open_),
            select(servers.id, migrations.dest_host).where(open_),
        )
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        if row.host is not None:
            found.setdefault(row.host, set()).add(row.id)
    return found


async def _servers_by_host(db: Store, names: list[str]) -> dict[str, int]:
    servers = model.SERVERS.c
    carried = servers.host.in_(names) if len(names) <= LOOKED_AT_FIRST[-1] else servers.host.is_not(None)
    rows = await db.fetch(
        select(servers.host, func.count().label("total"))
        .where(carried, servers.state != "deleted")
        .group_by(servers.host)
    )
    return {row.host: row.total for row in rows}


async def _hosts_of(db: Store, server_ids: list[str]) -> set[str]:
    if not server_ids:
        return set()
    rows = await db.all(model.SERVERS, {"id": server_ids})
    return {row.host for row in rows if row.host is not None and row.state != "deleted"}


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
