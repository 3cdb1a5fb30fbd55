"""From a server's disk to an image, as snapshots, backups and shelving share it: copied out by the host, carried to
the image room, the copy thrown away.

The image is there from the request on, queued; its id, in the flow's data, names the copy on the host too, so a
repeat finds both.
"""

from aerostat.kernel.client import RoomError
from aerostat.kernel.db import Row
from aerostat.kernel.work import Fault, Flow, Outcome, Work

from ..room import room_of
from ..states import REST_EVENTS
from .power_server import back_to_rest

LOOK_AGAIN_S = 5.0


def add_copying(flow: Flow) -> None:
    """Give the flow the two steps that make the image."""
    flow.step(copy_disk).undo(drop_copy)
    flow.step(upload)


async def copy_disk(work: Work, server: Row) -> None:
    host = room_of(work.house).host(server.host, work.request_id)
    await host.export_disk(server.id, work.data["image_id"])


async def drop_copy(work: Work, server: Row) -> None:
    host = room_of(work.house).host(server.host, work.request_id)
    await host.remove_export(server.id, work.data["image_id"])


async def upload(work: Work, server: Row) -> Outcome | None:
    """Give the image its bytes, unless an earlier run did. One that died half-way is cleared by the image room."""
    images, image_id = work.client("image"), work.data["image_id"]
    status = (await images.get_image(image_id))["status"]
    if status == "saving":
        return work.again(LOOK_AGAIN_S)
    if status == "queued":
        host = room_of(work.house).host(server.host, work.request_id)
        await images.upload(image_id, host.read_export(server.id, image_id))
    return None


async def finish(work: Work, server: Row) -> None:
    """The image is whole: the copy goes, and the server is what it was before."""
    await drop_copy(work, server)
    server.snapshot_id = None
    work.move(REST_EVENTS[server.state_before], state_before=None)


async def give_up_image(work: Work, server: Row, fault: Fault) -> None:
    """The half-made image goes; the server is what it was."""
    await delete_image(work, work.data["image_id"])
    server.snapshot_id = None
    await back_to_rest(work, server, fault)


async def delete_image(work: Work, image_id: str) -> None:
    """Take away an image that is of no use any more. Absent is success."""
    try:
        await work.client("image").delete_image(image_id)
    except RoomError as error:
        if error.status not in (403, 404):
            raise
