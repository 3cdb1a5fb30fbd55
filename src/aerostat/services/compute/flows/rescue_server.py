"""Rescue: the guest boots from another disk, so that its owner can mend its own; and back again.

What it is rescued with stands in the row from the request on. That its state is one of rescue makes the host build
the guest so (`guest.py`), and so the way back is to be in any other state.
"""

from datetime import timedelta

from aerostat.kernel.context import internal_context
from aerostat.kernel.db import Row
from aerostat.kernel.work import Flow, Work

from .. import imaging, model
from ..guest import guest_of
from ..room import room_of
from ..states import RUNNING, SERVER
from .power_server import back_to_rest

LIMIT = timedelta(minutes=30)

rescue_server = Flow("server.rescue", on=model.SERVERS, machine=SERVER, deadline=LIMIT, failed=back_to_rest)
unrescue_server = Flow("server.unrescue", on=model.SERVERS, machine=SERVER, deadline=LIMIT, failed="fail")


@rescue_server.step
async def fetch_image(work: Work, server: Row) -> None:
    client = work.house.client("image", internal_context(work.request_id, "compute"))
    image = await client.get_image(server.rescue["image_id"])
    await room_of(work.house).host(server.host, work.request_id).ensure_image(imaging.spec_of(image))


@fetch_image.undo
async def forget(work: Work, server: Row) -> None:
    server.rescue = None


@rescue_server.step
async def boot_rescue(work: Work, server: Row) -> None:
    """A guest takes on another disk only while it is off."""
    host = room_of(work.house).host(server.host, work.request_id)
    await host.set_power(server.id, "shutoff")
    spec = await guest_of(work.house, server, work.request_id, work.data.get("admin_password"))
    await host.ensure_guest(spec)
    work.data.pop("admin_password", None)
    work.move("rescued", power_state=RUNNING, state_before=None, fault=None)


@boot_rescue.undo
async def boot_again(work: Work, server: Row) -> None:
    """Off the rescue disk; a server that was stopped stays so."""
    server.rescue = None
    host = room_of(work.house).host(server.host, work.request_id)
    await host.set_power(server.id, "shutoff", 0.0)
    spec = await guest_of(work.house, server, work.request_id)
    await host.ensure_guest(spec, "running" if server.state_before == "active" else "shutoff")


@unrescue_server.step
async def boot_own_disk(work: Work, server: Row) -> None:
    host = room_of(work.house).host(server.host, work.request_id)
    await host.set_power(server.id, "shutoff")
    await host.ensure_guest(await guest_of(work.house, server, work.request_id))
    server.rescue = None
    work.move("running", power_state=RUNNING, state_before=None, fault=None)
