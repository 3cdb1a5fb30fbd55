"""An image of a server's disk."""

from datetime import timedelta

from aerostat.kernel.work import Flow

from .. import model
from ..states import SERVER
from .copying import add_copying, finish, give_up_image

snapshot_server = Flow(
    "server.createImage",
    on=model.SERVERS,
    machine=SERVER,
    deadline=timedelta(hours=2),
    failed=give_up_image,
)
add_copying(snapshot_server)
snapshot_server.step(finish)
