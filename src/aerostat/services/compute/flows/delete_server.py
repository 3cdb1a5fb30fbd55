"""A server's end: guest, ports, claim, row. It wins over every other flow, and takes away what those had made."""

from datetime import timedelta

from aerostat.kernel import clock
from aerostat.kernel.db import Row
from aerostat.kernel.work import Flow, Work
from aerostat.kernel.work.flows import InTransaction

from .. import model
from ..hosts import look_for_orphans
from ..room import room_of
from ..states import NO_STATE, OVER_MOVES, SERVER
from .copying import delete_image
from .create_server import give_back_all_ports

delete_server = Flow(
    "server.delete",
    on=model.SERVERS,
    machine=SERVER,
    deadline=timedelta(hours=6),
    failed="fail",  # shown, and can be deleted again
    attempts=40,
)


@delete_server.step
async def remove_guest(work: Work, server: Row) -> None:
    """The guest and its disks. The host was chosen by the row, or by a claim whose flow was cut off.

    A server that was moving may be on two hosts. On one that is down it stays until the host comes back: the
    reconciler of orphans finds it there. One that may only be unheard is asked, and waited for.
    """
    ports = tuple(one["port_id"] for one in server.interfaces)
    room = room_of(work.house)
    for name in await _hosts(work, server):
        host = await work.db.find(model.HOSTS, name=name)
        if host is None:
            continue  # it was taken out of the cloud, and its guests with it
        if host.forced_down or not (room.was_heard(host) or room.is_deaf()):
            work.record("done", reason=f"{name} is down; what it has of the server goes when it comes back")
            work.data["left_behind"] = True
            continue
        await room.host(name, work.request_id).remove_guest(server.id, ports)


@delete_server.step
async def drop_half_made_image(work: Work, server: Row) -> None:
    """And the one that holds its disk while it is shelved."""
    for image_id in (server.snapshot_id, server.shelved_image_id):
        if image_id is not None:
            await delete_image(work, image_id)
    server.snapshot_id = server.shelved_image_id = None


@delete_server.step
async def give_back_ports(work: Work, server: Row) -> None:
    await give_back_all_ports(work, server)


@delete_server.step
async def release_host(work: Work, server: Row) -> None:
    placing = room_of(work.house).placing(work.request_id)
    await placing.release(server.id)
    for migration in await _open_migrations(work, server):
        await placing.release(migration.id)
        work.also(_cancel(migration.id))
    ended_at = clock.now()
    work.move("deleted", power_state=NO_STATE, terminated_at=ended_at, deleted_at=ended_at)
    if work.data.get("left_behind"):
        work.also(look_for_orphans)  # the host may have come back before the row was gone


async def _hosts(work: Work, server: Row) -> list[str]:
    """Where there may be something of the server. Its own host comes last: it has the files, if they are shared."""
    others = set()
    for migration in await _open_migrations(work, server):
        others |= {migration.source_host, migration.dest_host}
    own = {server.host}
    return [name for name in [*sorted(filter(None, others - own)), *own] if name is not None]


async def _open_migrations(work: Work, server: Row) -> list[Row]:
    rows = await work.db.all(model.MIGRATIONS, {"server_id": server.id})
    return [row for row in rows if row.status not in OVER_MOVES]


def _cancel(id: str) -> InTransaction:
    return lambda tx: tx.update(model.MIGRATIONS, {"id": id}, status="cancelled")
