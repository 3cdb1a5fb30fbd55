"""Servers that change hosts: what live migration, cold migration and evacuation have in common.

Each is a row of `MIGRATIONS`, made in the transaction that starts its flow, whose id is the flow's. While a server
moves, its own claim is on the target and its migration's claim on the host that it leaves, so neither room can be
given away before it is known where the server stays.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from aerostat.kernel.db import Row, Store, Transaction
from aerostat.kernel.errors import DriverError
from aerostat.kernel.work import Work

from . import model
from .errors import NoValidHost
from .hosts import look_for_orphans
from .placing import resources_of
from .room import room_of
from .scheduler import HostPicture
from .scheduling import Move, decide
from .states import ENDED_MOVES

log = structlog.get_logger(__name__)

LIVE, COLD, EVACUATION, RESIZE = "live-migration", "migration", "evacuation", "resize"

FIRST_STATUS = {LIVE: "queued", COLD: "pre-migrating", EVACUATION: "accepted"}
IN_PROGRESS = ("queued", "preparing", "running", "post-migrating")
"""Of live migrations: those that are shown, hurried and broken off."""


def recorded(server: Row, kind: str, dest_host: str | None) -> Callable[[Transaction, str], Awaitable[None]]:
    """Writes the migration's row beside its flow: `await recorded(…)(tx, flow_id)`."""

    async def write(tx: Transaction, flow_id: str) -> None:
        await tx.insert(
            model.MIGRATIONS,
            id=flow_id,
            number=secrets.randbelow(2**31 - 1) + 1,
            server_id=server.id,
            project_id=server.project_id,
            user_id=server.user_id,
            kind=kind,
            status=FIRST_STATUS[kind],
            source_host=server.host,
            dest_host=dest_host,
        )

    return write


async def of_flow(work: Work) -> Row:
    """The migration that this flow does."""
    return await work.db.get(model.MIGRATIONS, id=work.flow_id)


async def find_finished(db: Store, server: Row) -> Row | None:
    """The move to another host that waits to be confirmed or reverted."""
    where = {"server_id": server.id, "kind": COLD, "status": "finished"}
    rows = await db.all(model.MIGRATIONS, where, order="-created_at", limit=1)
    return rows[0] if rows else None


def note(work: Work, **columns: Any) -> None:
    """Keep something about the flow's migration, with the step's result."""
    work.also(lambda tx: tx.update(model.MIGRATIONS, {"id": work.flow_id}, **columns))
    if columns.get("status") in ENDED_MOVES and work.data.get("left_behind"):
        work.also(look_for_orphans)  # now it is known whose the guest is


async def claim_target(work: Work, server: Row) -> None:
    """Choose where to and take the room there; the name stands in `work.data["target"]` before it is taken.

    `work.data`: `asked`, the host that somebody named; `forced`, that no filter is to be heard about it.
    """
    room = room_of(work.house)
    placing = room.placing(work.request_id)
    resources = resources_of(server.flavor)
    source = await work.db.get(model.HOSTS, name=server.host)
    if (target := work.data.get("target")) is not None:
        known = await work.db.find(model.HOSTS, name=target)
        if known is not None and await placing.hold_both(
            server, work.flow_id, source.id, known.id, resources
        ):
            note(work, dest_host=target)
            return
    asked = work.data.get("asked")
    candidates: Sequence[Row | HostPicture]
    if asked and work.data.get("forced"):
        candidates, refusals, reason = [await work.db.get(model.HOSTS, name=asked)], [], ""
    else:
        decision = await decide(
            work.house, work.db, server, resources, work.request_id, move=Move(server.host, asked)
        )
        reason = decision.reason
        candidates = decision.ranked
        refusals = decision.verdicts
    for host in candidates:
        work.data["target"] = host.name
        await work.save()
        if await placing.hold_both(server, work.flow_id, source.id, host.id, resources):
            note(work, dest_host=host.name)
            work.record(
                "done", reason=f"{host.name} was chosen", data={"host": host.name, "refused": refusals}
            )
            return
        refusals.append({"filter": "claim", "host": host.name, "reason": "it has no room"})
    work.data.pop("target", None)
    work.record("refused", reason=reason, data={"refused": refusals})
    raise NoValidHost(reason=reason or f"{asked} has no room for the server.")


async def hold_only(work: Work, server: Row, move_id: str, host_name: str) -> None:
    """The server has its claim on this host, and the migration none."""
    host = await work.db.get(model.HOSTS, name=host_name)
    placing = room_of(work.house).placing(work.request_id)
    await placing.hold_one(server, move_id, host.id, resources_of(server.flavor))


async def remove_there(work: Work, server: Row, host_name: str) -> None:
    """Take away what a host still has of a server that lives elsewhere.

    A host that does not answer keeps it until it does: the reconciler of orphans, which is told, takes it away then.
    """
    ports = tuple(one["port_id"] for one in server.interfaces)
    try:
        await room_of(work.house).host(host_name, work.request_id).remove_guest(server.id, ports)
    except DriverError as error:
        log.warning("a guest was left behind", server_id=server.id, host=host_name, error=error.message)
        work.record("retry", reason=f"{host_name} keeps what it has of it: {error.message}")
        work.data["left_behind"] = True
        work.also(look_for_orphans)


async def settle_on(work: Work, server: Row, host_name: str) -> None:
    """The server is on this host now."""
    if server.host != host_name:
        server.host = host_name
        server.availability_zone = (await room_of(work.house).zones()).get(host_name)
        await work.save()
