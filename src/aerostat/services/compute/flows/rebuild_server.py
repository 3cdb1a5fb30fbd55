"""Rebuild: the same server, ports and claim, with a fresh disk from an image."""

from datetime import timedelta

from aerostat.kernel import clock
from aerostat.kernel.context import internal_context
from aerostat.kernel.db import Row
from aerostat.kernel.work import Flow, Work

from .. import imaging, model
from ..guest import guest_of
from ..room import room_of
from ..states import RUNNING, SERVER, SHUTDOWN

rebuild_server = Flow(
    "server.rebuild",
    on=model.SERVERS,
    machine=SERVER,
    deadline=timedelta(seconds=1800),
    failed="fail",
)


@rebuild_server.step
async def fetch_image(work: Work, server: Row) -> None:
    client = work.house.client("image", internal_context(work.request_id, "compute"))
    image = await client.get_image(server.image_id)
    await room_of(work.house).host(server.host, work.request_id).ensure_image(imaging.spec_of(image))


@rebuild_server.step
async def replace_guest(work: Work, server: Row) -> None:
    """The old disk goes first; from here on there is no way back, only another rebuild."""
    stopped = server.state_before == "stopped"
    spec = await guest_of(work.house, server, work.request_id, work.data.get("admin_password"))
    host = room_of(work.house).host(server.host, work.request_id)
    await host.rebuild_guest(spec, "shutoff" if stopped else "running")
    work.data.pop("admin_password", None)
    work.move(
        "halted" if stopped else "running",
        power_state=SHUTDOWN if stopped else RUNNING,
        state_before=None,
        launched_at=clock.now(),
        fault=None,
    )
