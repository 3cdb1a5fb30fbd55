"""A backup: an image of a server's disk that takes the place of the oldest of its kind."""

from datetime import timedelta

from aerostat.kernel.db import Row
from aerostat.kernel.work import Flow, Work

from .. import model
from ..states import SERVER
from .copying import add_copying, delete_image, finish, give_up_image

backup_server = Flow(
    "server.createBackup",
    on=model.SERVERS,
    machine=SERVER,
    deadline=timedelta(hours=2),
    failed=give_up_image,
)
add_copying(backup_server)


@backup_server.step
async def rotate(work: Work, server: Row) -> None:
    """Keep as many backups of this kind as were asked for, the newest ones."""
    kind, keep = work.data["backup_type"], work.data["rotation"]
    images = await work.client("image").list_images(
        image_type="backup", backup_type=kind, instance_uuid=server.id, sort="created_at:desc"
    )
    for image in images[keep:]:
        await delete_image(work, image["id"])


backup_server.step(finish)
