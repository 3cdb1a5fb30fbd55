"""Cold migration: a server is stopped, and made anew on another host from its files; then it is confirmed or reverted.

Until then the host that it left keeps the guest, switched off, and the room for it. `resize_server.py` has the flows
that confirm and revert; what they do about a server that changed hosts is at the end of this file.
"""

from datetime import timedelta

from aerostat.kernel.db import Row
from aerostat.kernel.work import Fault, Flow, Work

from .. import model, moves, networking
from ..guest import guest_of
from ..host.protocol import Power
from ..room import room_of
from ..states import RUNNING, SERVER, SHUTDOWN
from .power_server import back_to_rest


async def _give_up(work: Work, server: Row, fault: Fault) -> None:
    moves.note(work, status="error")
    await back_to_rest(work, server, fault)


migrate_server = Flow(
    "server.migrate",
    on=model.SERVERS,
    machine=SERVER,
    deadline=timedelta(hours=2),
    failed=_give_up,
)


@migrate_server.step
async def claim_target(work: Work, server: Row) -> None:
    await moves.claim_target(work, server)
    moves.note(work, status="migrating")


@claim_target.undo
async def stay(work: Work, server: Row) -> None:
    """The guest is made whole where it was, which takes its files back; then nothing of it is left elsewhere."""
    target = work.data.get("target")
    if target is None:
        return
    migration = await moves.of_flow(work)
    run: Power = "shutoff" if server.state_before == "stopped" else "running"
    await _move_into(work, server, migration.source_host, run)
    server.flavor_before = None
    await moves.settle_on(work, server, migration.source_host)
    await moves.remove_there(work, server, target)
    await moves.hold_only(work, server, work.flow_id, migration.source_host)


@migrate_server.step
async def carry_files(work: Work, server: Row) -> None:
    """To where the target sees them; with shared storage it does already. They are whole only while the guest is off,
    so it is stopped in the same step: it may have been started since the last attempt.
    """
    source = (await moves.of_flow(work)).source_host
    room = room_of(work.house)
    await room.host(source, work.request_id).set_power(server.id, "shutoff")
    target = room.host(work.data["target"], work.request_id)
    if await target.find_owner(server.id) == source:
        return
    await target.clear_files(server.id)
    await target.fetch_files(server.id, source, running=False)


@migrate_server.step
async def start_there(work: Work, server: Row) -> None:
    """It is afterwards what it was before: off if it was stopped."""
    target = work.data["target"]
    stopped = server.state_before == "stopped"
    await _move_into(work, server, target, "shutoff" if stopped else "running")
    server.flavor_before = {**server.flavor, "was": server.state_before}
    await moves.settle_on(work, server, target)
    moves.note(work, status="finished")
    work.move("resized", power_state=SHUTDOWN if stopped else RUNNING)


async def confirm_move(work: Work, server: Row, move: Row) -> None:
    """It stays where it is: the host that it left forgets it."""
    await moves.remove_there(work, server, move.source_host)
    await moves.hold_only(work, server, move.id, server.host)


async def revert_move(work: Work, server: Row, move: Row, run: bool) -> None:
    """Back to where it came from, with the disk that it left there; what was written since is lost."""
    if server.host != move.source_host:
        await room_of(work.house).host(move.dest_host, work.request_id).set_power(server.id, "shutoff")
        await _move_into(work, server, move.source_host, "running" if run else "shutoff")
        await moves.settle_on(work, server, move.source_host)
    await moves.remove_there(work, server, move.dest_host)
    await moves.hold_only(work, server, move.id, move.source_host)


async def _move_into(work: Work, server: Row, host_name: str, power: Power) -> None:
    """Ports first, so that packets find the guest when it starts."""
    room = room_of(work.house)
    await networking.bind_ports(room.network_admin(work.request_id), server, host_name)
    spec = await guest_of(work.house, server, work.request_id)
    await room.host(host_name, work.request_id).ensure_guest(spec, power)
