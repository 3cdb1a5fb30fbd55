"""An image of a server's disk: copied out by the host, carried to the image room, the copy thrown away.

The image is there from the request on, queued; its id names the copy on the host too, so a repeat finds both.
"""

from datetime import timedelta

from aerostat.kernel.client import RoomError
from aerostat.kernel.db import Row
from aerostat.kernel.work import Fault, Flow, Work

from .. import model
from ..room import room_of
from ..states import REST_EVENTS, SERVER
from .power_server import back_to_rest


async def _give_up(work: Work, server: Row, fault: Fault) -> None:
    """The half-made image goes; the server is what it was."""
    await delete_image(work, work.data["image_id"])
    server.snapshot_id = None
    await back_to_rest(work, server, fault)


snapshot_server = Flow(
    "server.createImage",
    on=model.SERVERS,
    machine=SERVER,
    deadline=timedelta(hours=2),
    failed=_give_up,
)


@snapshot_server.step
async def copy_disk(work: Work, server: Row) -> None:
    host = room_of(work.house).host(server.host, work.request_id)
    await host.export_disk(server.id, work.data["image_id"])


@copy_disk.undo
async def drop_copy(work: Work, server: Row) -> None:
    await (
        room_of(work.house).host(server.host, work.request_id).remove_export(server.id, work.data["image_id"])
    )


@snapshot_server.step
async def upload(work: Work, server: Row) -> None:
    """Give the image its bytes, unless an earlier run did."""
    images, image_id = work.client("image"), work.data["image_id"]
    if (await images.get_image(image_id))["status"] == "queued":
        host = room_of(work.house).host(server.host, work.request_id)
        await images.upload(image_id, host.read_export(server.id, image_id))


@snapshot_server.step
async def finish(work: Work, server: Row) -> None:
    await drop_copy(work, server)
    server.snapshot_id = None
    work.move(REST_EVENTS[server.state_before], state_before=None)


async def delete_image(work: Work, image_id: str) -> None:
    """Take away an image that never became one. Absent is success."""
    try:
        await work.client("image").delete_image(image_id)
    except RoomError as error:
        if error.status not in (403, 404):
            raise
