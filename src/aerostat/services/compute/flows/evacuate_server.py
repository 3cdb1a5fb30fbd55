"""Evacuation: the host of a server is dead, and another makes the guest anew.

With shared storage it has the same disk, otherwise a fresh one from its image. What the dead host still has is taken
away when it comes back (`reconcilers/orphans.py`); until then the migration holds the claim on it.
"""

from datetime import timedelta

from aerostat.kernel import clock
from aerostat.kernel.context import internal_context
from aerostat.kernel.db import Row
from aerostat.kernel.errors import DriverError
from aerostat.kernel.work import Fault, Flow, Work

from .. import imaging, model, moves, networking
from ..errors import StorageIsShared, StorageNotShared
from ..guest import guest_of
from ..hosts import look_for_orphans
from ..room import room_of
from ..states import POWER_STATES, REST_EVENTS, SERVER


async def _give_up(work: Work, server: Row, fault: Fault) -> None:
    """The server is no worse off than before: on a host that is dead."""
    moves.note(work, status="error")
    work.move(REST_EVENTS.get(server.state_before, "fail"), state_before=None)


evacuate_server = Flow(
    "server.evacuate",
    on=model.SERVERS,
    machine=SERVER,
    deadline=timedelta(minutes=30),
    failed=_give_up,
)


@evacuate_server.step
async def claim_target(work: Work, server: Row) -> None:
    await moves.claim_target(work, server)
    moves.note(work, status="pre-migrating")


@claim_target.undo
async def stay(work: Work, server: Row) -> None:
    target = work.data.get("target")
    if target is None:
        return
    room, home = room_of(work.house), (await moves.of_flow(work)).source_host
    ports = tuple(one["port_id"] for one in server.interfaces)
    heir = home if work.data.get("shared") else None
    try:
        await room.host(target, work.request_id).remove_guest(server.id, ports, heir)
    except DriverError as error:
        if error.retry and work.attempt < work.flow.attempts:
            raise
        work.record("failed", reason=error.message)
    await networking.bind_ports(room.network_admin(work.request_id), server, home)
    await moves.settle_on(work, server, home)
    await moves.hold_only(work, server, work.flow_id, home)


@evacuate_server.step
async def look_for_files(work: Work, server: Row) -> None:
    """Whether the target sees the guest's disk, and must therefore never throw it away."""
    target = room_of(work.house).host(work.data["target"], work.request_id)
    if "shared" not in work.data:
        work.data["shared"] = await target.find_owner(server.id) not in (None, work.data["target"])
    shared, asked = work.data["shared"], work.data.get("on_shared_storage")
    if asked is True and not shared:
        raise StorageNotShared(host=work.data["target"])
    if asked is False and shared:
        raise StorageIsShared(host=work.data["target"])
    if not shared:
        await target.clear_files(server.id)
        client = work.house.client("image", internal_context(work.request_id, "compute"))
        await target.ensure_image(imaging.spec_of(await client.get_image(server.image_id)))


@evacuate_server.step
async def boot_there(work: Work, server: Row) -> None:
    room, target = room_of(work.house), work.data["target"]
    await networking.bind_ports(room.network_admin(work.request_id), server, target)
    spec = await guest_of(work.house, server, work.request_id, work.data.get("admin_password"))
    runs = work.data["runs"]
    found = await room.host(target, work.request_id).ensure_guest(
        spec, "running" if runs else "shutoff", new=not work.data["shared"]
    )
    work.data.pop("admin_password", None)
    server.host = target
    server.availability_zone = (await room.zones()).get(target)
    moves.note(work, status="done")
    work.also(look_for_orphans)  # the host may be back already, with the guest that it had
    work.move(
        "running" if runs else "halted",
        power_state=POWER_STATES[found.state],
        launched_at=clock.now(),
        state_before=None,
        fault=None,
    )
