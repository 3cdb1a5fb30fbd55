"""An image of a server's disk."""

from datetime import timedelta

from aerostat.kernel.db import Row
from aerostat.kernel.work import Flow, Work

from .. import model
from ..states import REST_EVENTS, SERVER
from .copying import add_copying, drop_copy, give_up_image

snapshot_server = Flow(
    "server.createImage",
    on=model.SERVERS,
    machine=SERVER,
    deadline=timedelta(hours=2),
    failed=give_up_image,
)
add_copying(snapshot_server)


@snapshot_server.step
async def finish(work: Work, server: Row) -> None:
    await drop_copy(work, server)
    server.snapshot_id = None
    work.move(REST_EVENTS[server.state_before], state_before=None)
