"""A server's end: guest, ports, claim, row. It wins over every other flow, and takes away what those had made."""

from datetime import timedelta

from aerostat.kernel import clock
from aerostat.kernel.db import Row
from aerostat.kernel.work import Flow, Work

from .. import model
from ..room import room_of
from ..states import NO_STATE, SERVER
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
    """The guest and its disks. The host was chosen by the row, or by a claim whose flow was cut off."""
    if server.host is None:
        return
    if await work.db.find(model.HOSTS, name=server.host) is None:
        return  # the host was taken out of the cloud, and its guests with it
    ports = tuple(one["port_id"] for one in server.interfaces)
    await room_of(work.house).host(server.host, work.request_id).remove_guest(server.id, ports)


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
    await room_of(work.house).placing(work.request_id).release(server.id)
    ended_at = clock.now()
    work.move("deleted", power_state=NO_STATE, terminated_at=ended_at, deleted_at=ended_at)
